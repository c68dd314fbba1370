#pragma once
// The client's side of TLS through OpenSSL: what it reads and writes is in memory. It offers one way of doing TLS only, so
// that all servers do the same work, and verifies nothing.

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "failure.hpp"

namespace load {

struct free_tls {
    void operator()(::SSL* p) const { ::SSL_free(p); }
    void operator()(::SSL_CTX* p) const { ::SSL_CTX_free(p); }
    void operator()(::SSL_SESSION* p) const { ::SSL_SESSION_free(p); }
    void operator()(::BIO_METHOD* p) const { ::BIO_meth_free(p); }
};
using ticket = std::unique_ptr<::SSL_SESSION, free_tls>;

/// What OpenSSL last complained of.
inline std::string tls_error(const char* what) {
    const unsigned long code = ::ERR_peek_last_error();
    char text[256] = "no reason given";
    if (code != 0) ::ERR_error_string_n(code, text, sizeof text);
    ::ERR_clear_error();
    return std::string{what} + ": " + text;
}

/// What all TLS connections share. One of them is worked on at a time: so there is one place for what came from the socket
/// and one for what is to go there.
class tls_client {
public:
    tls_client()
        : method_{::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory")},
          context_{::SSL_CTX_new(::TLS_client_method())} {
        if (!method_ || !context_) throw failure{tls_error("SSL_CTX_new")};
        ::BIO_meth_set_read_ex(method_.get(), take_input);
        ::BIO_meth_set_write_ex(method_.get(), give_output);
        ::BIO_meth_set_ctrl(method_.get(), control);
        ::SSL_CTX* const c = context_.get();
        ::SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
        ::SSL_CTX_set_verify(c, SSL_VERIFY_NONE, nullptr);
        ::SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
        ::SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        ::SSL_CTX_sess_set_new_cb(c, keep_ticket);
        if (::SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256") != 1 || ::SSL_CTX_set1_groups_list(c, "X25519") != 1) {
            throw failure{tls_error("the ciphers")};
        }
    }

    std::span<const std::byte> input;  // not yet taken by OpenSSL
    std::vector<std::byte> output;     // to be sent

private:
    friend class tls_session;

    static tls_client& of(::BIO* bio) { return *static_cast<tls_client*>(::BIO_get_data(bio)); }

    static int take_input(::BIO* bio, char* to, std::size_t size, std::size_t* taken) {
        auto& from = of(bio).input;
        ::BIO_clear_retry_flags(bio);
        *taken = std::min(size, from.size());
        if (*taken == 0) {
            BIO_set_retry_read(bio);
            return 0;
        }
        std::memcpy(to, from.data(), *taken);
        from = from.subspan(*taken);
        return 1;
    }
    static int give_output(::BIO* bio, const char* from, std::size_t size, std::size_t* given) {
        const auto bytes = std::as_bytes(std::span{from, size});
        auto& to = of(bio).output;
        to.insert(to.end(), bytes.begin(), bytes.end());
        *given = size;
        return 1;
    }
    static long control(::BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
    static int keep_ticket(::SSL* ssl, ::SSL_SESSION* session);

    std::unique_ptr<::BIO_METHOD, free_tls> method_;
    std::unique_ptr<::SSL_CTX, free_tls> context_;
};

/// TLS of one connection.
class tls_session {
public:
    /// `from_before`: a ticket of an earlier one, to be resumed, or null.
    tls_session(tls_client& in, ::SSL_SESSION* from_before) : in_{in}, ssl_{::SSL_new(in.context_.get())} {
        ::BIO* const bio = ::BIO_new(in.method_.get());
        if (!ssl_ || bio == nullptr) throw failure{tls_error("SSL_new")};
        ::BIO_set_data(bio, &in);
        ::BIO_set_init(bio, 1);
        ::SSL_set_bio(ssl_.get(), bio, bio);
        ::SSL_set_connect_state(ssl_.get());
        SSL_set_tlsext_host_name(ssl_.get(), "localhost");
        if (from_before != nullptr) ::SSL_set_session(ssl_.get(), from_before);
        SSL_set_app_data(ssl_.get(), this);
    }
    tls_session(const tls_session&) = delete;
    tls_session& operator=(const tls_session&) = delete;

    /// A step; true when it is done. Input may be left, for read().
    bool handshake() {
        const int n = ::SSL_do_handshake(ssl_.get());
        if (n == 1) return true;
        if (::SSL_get_error(ssl_.get(), n) != SSL_ERROR_WANT_READ) throw broken{tls_error("the handshake failed")};
        return false;
    }

    /// Takes all input, and calls received(span) with what was in it.
    template <class Received> void read(std::span<std::byte> buffer, Received&& received) {
        while (!in_.input.empty() || ::SSL_pending(ssl_.get()) > 0) {
            std::size_t n = 0;
            if (::SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &n) == 1) {
                received(std::span<const std::byte>{buffer.first(n)});
                continue;
            }
            switch (::SSL_get_error(ssl_.get(), 0)) {
                case SSL_ERROR_WANT_READ: break;
                case SSL_ERROR_ZERO_RETURN: in_.input = {}; return;  // the end of the connection will follow
                default: throw broken{tls_error("reading TLS failed")};
            }
        }
    }

    void write(std::span<const std::byte> bytes) {
        std::size_t n = 0;
        if (::SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &n) != 1) throw broken{tls_error("writing TLS failed")};
    }

    void say_goodbye() {
        if (::SSL_shutdown(ssl_.get()) < 0) ::ERR_clear_error();
    }

    bool resumed() const { return ::SSL_session_reused(ssl_.get()) == 1; }
    /// The last that came, or null.
    ticket take_ticket() { return std::move(ticket_); }

private:
    friend class tls_client;

    tls_client& in_;
    std::unique_ptr<::SSL, free_tls> ssl_;
    ticket ticket_;
};

inline int tls_client::keep_ticket(::SSL* ssl, ::SSL_SESSION* session) {
    static_cast<tls_session*>(SSL_get_app_data(ssl))->ticket_.reset(session);
    return 1;
}

}  // namespace load
