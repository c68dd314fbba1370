// Blocking OpenSSL, a thread for each connection.

#include "blocking_openssl_line.hpp"
#include "blocking_server.hpp"

namespace {

SSL_CTX* make_context(const server_options& of) {
    SSL_CTX* context = ::SSL_CTX_new(::TLS_server_method());
    if (!context) openssl_give_up("SSL_CTX_new");
    if (::SSL_CTX_use_certificate_chain_file(context, of.cert.c_str()) != 1) openssl_give_up("certificate " + of.cert);
    if (::SSL_CTX_use_PrivateKey_file(context, of.key.c_str(), SSL_FILETYPE_PEM) != 1) openssl_give_up("key " + of.key);
    return context;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Blocking OpenSSL, a thread for each connection."};
    const server_options of = parse_server_options(app, argc, argv);
    if (!of.tls()) blocking::serve_tcp(of.port);
    SSL_CTX* const context = make_context(of);
    blocking::serve(of.port, [context, mode = of.mode](int fd) {
        openssl_line line{::SSL_new(context), fd, ::SSL_accept};
        if (line.works()) blocking::talk(mode, line);
    });
}
