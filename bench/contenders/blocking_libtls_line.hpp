#pragma once
// A connection over blocking libtls: tls_read, tls_write and tls_close in loops as the manual shows them.

#include <tls.h>
#include <unistd.h>

#include <cstddef>
#include <span>
#include <string>

class libtls_line {
public:
    /// Owns both.
    libtls_line(tls* session, int fd) : session_{session}, fd_{fd} {}
    libtls_line(const libtls_line&) = delete;
    libtls_line& operator=(const libtls_line&) = delete;
    ~libtls_line() {
        int r;
        do r = ::tls_close(session_);
        while (r == TLS_WANT_POLLIN || r == TLS_WANT_POLLOUT);
        ::tls_free(session_);
        ::close(fd_);
    }

    /// 0 at the end, or if the connection broke.
    std::size_t read(std::span<std::byte> into) {
        for (;;) {
            const ssize_t n = ::tls_read(session_, into.data(), into.size());
            if (n == TLS_WANT_POLLIN || n == TLS_WANT_POLLOUT) continue;
            return n > 0 ? static_cast<std::size_t>(n) : 0;
        }
    }
    /// All of it; false if the connection broke.
    bool write(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::tls_write(session_, bytes.data(), bytes.size());
            if (n == TLS_WANT_POLLIN || n == TLS_WANT_POLLOUT) continue;
            if (n < 0) return false;
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
        return true;
    }
    /// Why it broke; empty if it ended.
    std::string error() const {
        const char* why = ::tls_error(session_);
        return why ? why : "";
    }

private:
    tls* session_;
    int fd_;
};
