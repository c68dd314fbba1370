#pragma once
// What the servers have in common: their command line, how they say that they listen, and what they are asked for.

#include <sys/resource.h>

#include <CLI/CLI.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

struct server_options {
    std::string mode, cert, key;
    std::uint16_t port = 0;

    bool tls() const { return mode != "tcp-echo"; }
};

/// The request of `tls-bulk`, in the byte order of this machine.
struct bulk_request {
    std::uint64_t total;
    std::uint32_t block;
    std::uint32_t both_ways;
};
static_assert(sizeof(bulk_request) == 16);

/// What `tls-hello` answers each request with.
inline constexpr std::string_view hello_response = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHello world\n";

/// As many connections as the system lets this process have.
inline void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// Parses the common options and those that `app` has already, and raises the limit of descriptors. Ends the program
/// after --help, and with status 2 if the command line is wrong.
inline server_options parse_server_options(CLI::App& app, int argc, char** argv) {
    server_options of;
    app.add_option("mode", of.mode, "What to serve")
        ->required()
        ->check(CLI::IsMember({"tcp-echo", "tls-echo", "tls-bulk", "tls-hello"}));
    app.add_option("--cert", of.cert, "Certificate (PEM), the server's own first");
    app.add_option("--key", of.key, "The key of the certificate (PEM)");
    app.add_option("--port", of.port, "Port to listen on; 0 takes a free one")->capture_default_str();
    try {
        app.parse(argc, argv);
        if (of.tls() && (of.cert.empty() || of.key.empty())) throw CLI::ValidationError{of.mode, "needs --cert and --key"};
    } catch (const CLI::ParseError& e) {
        std::exit(app.exit(e) == 0 ? 0 : 2);
    }
    raise_descriptor_limit();
    return of;
}

/// Tells whoever started this server that it is ready.
inline void announce(std::uint16_t port) {
    std::printf("listening on %u\n", unsigned{port});
    std::fflush(stdout);
}
