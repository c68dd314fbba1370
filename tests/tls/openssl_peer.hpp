#pragma once
// The other end of a connection by OpenSSL itself, for what no libtls does.

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "support.hpp"

namespace hawser_test {

/// OpenSSL over two memory BIOs.
class openssl_peer {
public:
    openssl_peer(bool server, int version) : context_{SSL_CTX_new(server ? TLS_server_method() : TLS_client_method())} {
        SSL_CTX_set_min_proto_version(context_, version);
        SSL_CTX_set_max_proto_version(context_, version);
        if (server) {
            REQUIRE(SSL_CTX_use_certificate_chain_file(context_, cert("server.pem").c_str()) == 1);
            REQUIRE(SSL_CTX_use_PrivateKey_file(context_, cert("server.key").c_str(), SSL_FILETYPE_PEM) == 1);
        }
        line = SSL_new(context_);
        in_ = BIO_new(BIO_s_mem());
        out_ = BIO_new(BIO_s_mem());
        SSL_set_bio(line, in_, out_);
        server ? SSL_set_accept_state(line) : SSL_set_connect_state(line);
    }
    openssl_peer(const openssl_peer&) = delete;
    openssl_peer& operator=(const openssl_peer&) = delete;
    ~openssl_peer() {
        SSL_free(line);
        SSL_CTX_free(context_);
    }
    bytes take_output() {
        bytes taken(BIO_ctrl_pending(out_));
        if (!taken.empty()) BIO_read(out_, taken.data(), static_cast<int>(taken.size()));
        return taken;
    }
    void receive(const bytes& ciphertext) {
        if (!ciphertext.empty()) BIO_write(in_, ciphertext.data(), static_cast<int>(ciphertext.size()));
        drive();
    }
    void drive() {
        ERR_clear_error();
        for (char part[4096];;) {
            const int n = SSL_read(line, part, sizeof part);
            if (n <= 0) {
                failed = SSL_get_error(line, n) == SSL_ERROR_SSL;
                return;
            }
            got.append(part, static_cast<std::size_t>(n));
        }
    }
    void write(std::string_view text) { CHECK(SSL_write(line, text.data(), static_cast<int>(text.size())) == static_cast<int>(text.size())); }

    SSL* line;
    std::string got;
    bool failed = false;

private:
    SSL_CTX* context_;
    BIO *in_, *out_;
};

}  // namespace hawser_test
