// echo_server: sends back what it receives, over TCP or TLS. One coroutine for both kinds of stream.

#include <CLI/CLI.hpp>
#include <hawser/hawser.hpp>

#include <iostream>
#include <mutex>
#include <optional>
#include <string>

#include "support.hpp"

namespace hw = hawser;

namespace {

struct options {
    std::string cert_file, key_file;
    std::uint16_t port = 7007;
    unsigned threads = 1;
    bool tls = false;
};

/// Every stream is an any_stream. read() lends a buffer, so that a connection that says nothing holds none.
hw::task<> echo(hw::any_stream& line) {
    while (auto chunk = co_await line.read()) co_await line.write(*chunk);
}

/// One TCP client. What goes wrong with it is of no concern to the others.
hw::task<> serve_client(hw::tcp::stream line) {
    try {
        co_await echo(line);
        co_await line.close();
    } catch (const hw::error& e) {
        std::cerr << e.what() << '\n';
    }
}

/// TCP by hand: a scope, and a child of it for each client. A stop of this task reaches all of them.
hw::task<> serve(hw::tcp::listener& door) {
    co_await hw::with_scope([&](hw::scope& clients) -> hw::task<> {
        for (;;) clients.spawn(serve_client, co_await door.accept());
    });
}

/// For TLS the listener does that, with handshakes, limits and a gentle stop.
hw::task<> serve(hw::tls::listener& door) { co_await door.serve(echo); }

/// Prints what went wrong with one TLS client.
void log_error(const std::exception_ptr& what, const hw::endpoint&) {
    try {
        std::rethrow_exception(what);
    } catch (const hw::error& e) {
        std::cerr << e.what() << '\n';
    } catch (...) {  // stopped
    }
}

}  // namespace

int main(int argc, char** argv) {
    options of;
    CLI::App app{"Sends back what it receives, until the client ends. SIGINT or SIGTERM stops it: exit status 0.\n"
                 "SIGQUIT (Ctrl-\\) prints what each task waits for, and it goes on."};
    app.add_option("--port", of.port, "Port to listen on; 0 takes a free one")->capture_default_str();
    app.add_option("--threads", of.threads, "Threads, each with connections of its own")->check(CLI::Range(1, 1024))->capture_default_str();
    CLI::Option* tls = app.add_flag("--tls", of.tls, "TLS instead of plain TCP; needs --cert and --key");
    CLI::Option* cert = app.add_option("--cert", of.cert_file, "Certificate (PEM), the server's own first")->needs(tls);
    CLI::Option* key = app.add_option("--key", of.key_file, "The key of the certificate (PEM)")->needs(tls);
    tls->needs(cert, key);
    CLI11_PARSE(app, argc, argv);
    raise_descriptor_limit();

    std::optional<hw::tls::server_config> certificate;
    try {
        if (of.tls) certificate = hw::tls::server_config::from_files(of.cert_file, of.key_file);
    } catch (const hw::error& e) {
        std::cerr << "echo_server: " << e.what() << '\n';
        return 1;
    }
    hw::tls::listener_options how;
    how.on_error = log_error;

    // Each thread has a listener on the same port; the first one finds out which that is.
    std::once_flag first;
    std::uint16_t port = of.port;
    const auto open = [&](auto& door, const auto& listen) {
        std::call_once(first, [&] {
            listen(door);
            port = door->local_endpoint().port();
            std::cout << "listening on " << (of.tls ? "tls" : "tcp") << "://localhost:" << port << std::endl;
        });
        if (!door) listen(door);
    };
    auto thread = [&]() -> hw::task<> {
        if (certificate) {
            std::optional<hw::tls::listener> door;
            open(door, [&](auto& at) { at.emplace(*certificate, hw::endpoint::any(port), how); });
            co_await serve(*door);
        } else {
            std::optional<hw::tcp::listener> door;
            open(door, [&](auto& at) { at.emplace(hw::endpoint::any(port)); });
            co_await serve(*door);
        }
    };
    return hw::run_main_on_threads(of.threads, [&] { return with_task_dumps(thread()); });
}
