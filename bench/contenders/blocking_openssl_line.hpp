#pragma once
// A connection over blocking OpenSSL: SSL_set_fd, SSL_read and SSL_write.

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

/// What OpenSSL first said in this thread since it was cleared; empty if nothing.
inline std::string openssl_error() {
    const unsigned long code = ::ERR_peek_error();
    const char* why = ::ERR_reason_error_string(code);
    return why ? why : code != 0 ? "error " + std::to_string(code) : "";
}

[[noreturn]] inline void openssl_give_up(const std::string& what) {
    std::fprintf(stderr, "%s: %s\n", what.c_str(), openssl_error().c_str());
    std::_Exit(1);
}

class openssl_line {
public:
    /// Owns both. `shake_hands` is SSL_accept or SSL_connect.
    openssl_line(SSL* session, int fd, int (*shake_hands)(SSL*)) : session_{session}, fd_{fd} {
        works_ = session_ && ::SSL_set_fd(session_, fd_) == 1 && shake_hands(session_) == 1;
    }
    openssl_line(const openssl_line&) = delete;
    openssl_line& operator=(const openssl_line&) = delete;
    ~openssl_line() {
        if (works_) ::SSL_shutdown(session_);
        ::SSL_free(session_);
        ::ERR_clear_error();
        ::close(fd_);
    }

    /// False if the handshake failed or the connection broke.
    bool works() const { return works_; }
    /// 0 at the end, or if the connection broke.
    std::size_t read(std::span<std::byte> into) {
        std::size_t n = 0;
        if (works_ && ::SSL_read_ex(session_, into.data(), into.size(), &n) == 1) return n;
        works_ = works_ && ::SSL_get_error(session_, 0) == SSL_ERROR_ZERO_RETURN;
        return 0;
    }
    /// All of it: without SSL_MODE_ENABLE_PARTIAL_WRITE nothing less counts. False if the connection broke.
    bool write(std::span<const std::byte> bytes) {
        std::size_t n = 0;
        if (works_ && !bytes.empty()) works_ = ::SSL_write_ex(session_, bytes.data(), bytes.size(), &n) == 1;
        return works_;
    }
    /// Why it broke; empty if it ended.
    std::string error() const {
        if (works_) return "";
        const long verified = session_ ? ::SSL_get_verify_result(session_) : X509_V_OK;
        return verified != X509_V_OK ? ::X509_verify_cert_error_string(verified) : openssl_error();
    }

private:
    SSL* session_;
    int fd_;
    bool works_ = false;
};
