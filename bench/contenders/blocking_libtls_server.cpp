// Blocking libtls, a thread for each connection.

#include "blocking_libtls_line.hpp"
#include "blocking_server.hpp"
#include "libtls_settings.hpp"

int main(int argc, char** argv) {
    CLI::App app{"Blocking libtls, a thread for each connection."};
    const server_options of = parse_server_options(app, argc, argv);
    if (!of.tls()) blocking::serve_tcp(of.port);
    // All threads share it: connections only read it, as long as clients show no certificates.
    tls* const context = libtls::server_context(of.cert, of.key);
    blocking::serve(of.port, [context, mode = of.mode](int fd) {
        tls* session = nullptr;
        if (::tls_accept_socket(context, &session, fd) != 0) {
            ::close(fd);
            return;
        }
        libtls_line line{session, fd};
        blocking::talk(mode, line);
    });
}
