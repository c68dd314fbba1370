#pragma once
// The command line of the clients.

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

struct client_options {
    std::string ca, host = "localhost", path;
    std::size_t size = 0, concurrency = 64;
    std::uint16_t port = 0;
    bool system_trust = false, keep_alive = false;

    /// The request, as it goes over the line.
    std::string request() const {
        return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + (keep_alive ? "" : "Connection: close\r\n") + "\r\n";
    }
};

/// Parses the common options and those that `app` has already. Ends the program after --help, and with status 2 if the
/// command line is wrong.
inline client_options parse_client_options(CLI::App& app, int argc, char** argv) {
    client_options of;
    app.add_option("--port", of.port, "Port of the server at 127.0.0.1")->required();
    CLI::Option* ca = app.add_option("--ca", of.ca, "Trust only this CA (PEM)")->check(CLI::ExistingFile);
    CLI::Option* system = app.add_flag("--system-trust", of.system_trust, "Trust what this system trusts")->excludes(ca);
    app.add_option("--host", of.host, "Name that the server must have a certificate for")->capture_default_str();
    app.add_option("--path", of.path, "What to ask for")->required();
    app.add_option("--size", of.size, "Bytes that the body must have")->required();
    app.add_option("--concurrency", of.concurrency, "Requests at a time")->check(CLI::Range(1, 10000))->capture_default_str();
    app.add_flag("--keep-alive", of.keep_alive, "Keep connections open, from one line of the input to the next too");
    app.footer("Each line of the standard input is a number of requests to make; a line of JSON answers it.");
    try {
        app.parse(argc, argv);
        if (ca->empty() && system->empty()) throw CLI::RequiredError{"--ca or --system-trust"};
    } catch (const CLI::ParseError& e) {
        std::exit(app.exit(e) == 0 ? 0 : 2);
    }
    return of;
}
