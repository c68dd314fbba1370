// Blocking libtls: an HTTPS client with a thread for each request at a time, and a context for each connection.

#include "blocking_client.hpp"
#include "blocking_libtls_line.hpp"
#include "libtls_settings.hpp"

namespace {

std::unique_ptr<libtls_line> open_line(const client_options& of, void* config) {
    const int fd = blocking::connect_to(of.port);
    tls* session = libtls::client_context(static_cast<tls_config*>(config));
    auto line = std::make_unique<libtls_line>(session, fd);
    if (::tls_connect_socket(session, fd, of.host.c_str()) != 0) fail("tls_connect_socket: " + line->error());
    int r;
    do r = ::tls_handshake(session);
    while (r == TLS_WANT_POLLIN || r == TLS_WANT_POLLOUT);
    if (r != 0) fail(line->error());
    return line;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"An HTTPS client over blocking libtls, with threads."};
    const client_options of = parse_client_options(app, argc, argv);
    const libtls::config_ptr config = libtls::new_config();
    // Without it libtls trusts what the system trusts.
    if (!of.system_trust) libtls::trust_file(*config, of.ca);
    blocking::crew<libtls_line> crew{of, open_line, config.get()};
    return run_goes([&](std::size_t count, latencies& took) { crew.run(count, took); });
}
