// Blocking OpenSSL: an HTTPS client with a thread for each request at a time, and one context for all connections.

#include "blocking_client.hpp"
#include "blocking_openssl_line.hpp"

namespace {

struct free_context {
    void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
};
using context_ptr = std::unique_ptr<SSL_CTX, free_context>;

context_ptr make_context(const client_options& of) {
    context_ptr context{::SSL_CTX_new(::TLS_client_method())};
    if (!context) openssl_give_up("SSL_CTX_new");
    ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    if (of.system_trust) {
        if (::SSL_CTX_set_default_verify_paths(context.get()) != 1) openssl_give_up("the system's certificate authorities");
    } else if (::SSL_CTX_load_verify_locations(context.get(), of.ca.c_str(), nullptr) != 1) {
        openssl_give_up("certificate authority " + of.ca);
    }
    return context;
}

std::unique_ptr<openssl_line> open_line(const client_options& of, void* context) {
    const int fd = blocking::connect_to(of.port);
    SSL* session = ::SSL_new(static_cast<SSL_CTX*>(context));
    if (!session || ::SSL_set1_host(session, of.host.c_str()) != 1 || ::SSL_set_tlsext_host_name(session, of.host.c_str()) != 1) {
        fail("SSL_new: " + openssl_error());
    }
    auto line = std::make_unique<openssl_line>(session, fd, ::SSL_connect);
    if (!line->works()) fail("SSL_connect: " + line->error());
    return line;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"An HTTPS client over blocking OpenSSL, with threads."};
    const client_options of = parse_client_options(app, argc, argv);
    const context_ptr context = make_context(of);
    blocking::crew<openssl_line> crew{of, open_line, context.get()};
    return run_goes([&](std::size_t count, latencies& took) { crew.run(count, took); });
}
