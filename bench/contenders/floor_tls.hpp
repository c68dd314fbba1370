#pragma once
// TLS on a bare connection: libtls reads ciphertext where the kernel left it and writes records into the outbox.

#include <tls.h>

#include "floor_connection.hpp"

namespace bare {

class tls_connection : public connection {
public:
    using connection::connection;

protected:
    ~tls_connection() override { ::tls_free(session_); }

    /// Plaintext; 0 at the end; TLS_WANT_POLLIN when all input was taken; -1 when it failed.
    ssize_t read(std::span<std::byte> into) {
        while (!dry_ || !inbox_.empty()) {
            const ssize_t n = ::tls_read(session_, into.data(), into.size());
            // What came may have been a ticket: then libtls says that it wants input while there is some.
            if (n == TLS_WANT_POLLIN) {
                dry_ = inbox_.empty();
                continue;
            }
            // libtls hands out all of a record that fits. Less than that, and it holds no more.
            dry_ = n > 0 && static_cast<std::size_t>(n) < into.size() && inbox_.empty();
            return n;
        }
        return ended_ ? 0 : TLS_WANT_POLLIN;
    }

    /// Seals at most 16 KiB. Only while has_room().
    bool write(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::tls_write(session_, bytes.data(), bytes.size());
            if (n <= 0) return false;
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
        return true;
    }

    /// Says goodbye if that is still possible, and ends.
    void close() {
        (void)::tls_close(session_);
        finish();
    }

    static ssize_t take_input(::tls*, void* to, std::size_t size, void* self) {
        auto& inbox = static_cast<tls_connection*>(self)->inbox_;
        if (inbox.empty()) return TLS_WANT_POLLIN;
        const std::size_t n = size < inbox.size() ? size : inbox.size();
        std::memcpy(to, inbox.data(), n);
        inbox = inbox.subspan(n);
        return static_cast<ssize_t>(n);
    }
    static ssize_t give_output(::tls*, const void* from, std::size_t size, void* self) {
        const bool fits = static_cast<tls_connection*>(self)->append({static_cast<const std::byte*>(from), size});
        return fits ? static_cast<ssize_t>(size) : -1;
    }

    ::tls* session_ = nullptr;

private:
    bool dry_ = true;  // libtls has nothing to give before there is more input
};

}  // namespace bare
