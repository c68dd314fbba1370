// Asio and OpenSSL: coroutines over ssl::stream, one thread.

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "../support/server_options.hpp"
#include "asio_coroutines.hpp"
#include "empty_lines.hpp"

namespace {

template <class Line> task<> echo(Line& line) {
    std::array<std::byte, 16384> buffer;
    asio::error_code ended;
    for (;;) {
        const std::size_t n = co_await line.async_read_some(asio::buffer(buffer), asio::redirect_error(await, ended));
        if (ended) co_return;
        co_await asio::async_write(line, asio::buffer(buffer, n), await);
    }
}

task<> hello(tls_line& line) {
    std::array<std::byte, 4096> buffer;
    std::string answers;
    empty_lines requests;
    asio::error_code ended;
    for (;;) {
        const std::size_t n = co_await line.async_read_some(asio::buffer(buffer), asio::redirect_error(await, ended));
        if (ended) co_return;
        answers.clear();
        for (std::size_t count = requests.in(std::span{buffer}.first(n)); count != 0; --count) answers += hello_response;
        co_await asio::async_write(line, asio::buffer(answers), await);
    }
}

task<> bulk(tls_line& line) {
    bulk_request asked;
    std::vector<std::byte> block;
    asio::error_code ended;
    for (;;) {
        co_await asio::async_read(line, asio::buffer(&asked, sizeof asked), asio::redirect_error(await, ended));
        if (ended || asked.block == 0) co_return;
        block.resize(asked.block);
        if (asked.both_ways != 0) {
            for (std::uint64_t i = 0; i < asked.total / asked.block; ++i) {
                co_await asio::async_read(line, asio::buffer(block), await);
                co_await asio::async_write(line, asio::buffer(block), await);
            }
        } else {
            for (std::uint64_t left = asked.total; left != 0;) {
                const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, block.size()));
                left -= co_await asio::async_write(line, asio::buffer(block, n), await);
            }
        }
    }
}

task<> serve_tcp(tcp_line line) { co_await echo(line); }

using handler = task<> (*)(tls_line&);

task<> serve_tls(tcp_line below, asio::ssl::context& context, handler serve) {
    tls_line line{std::move(below), context};
    co_await line.async_handshake(asio::ssl::stream_base::server, await);
    co_await serve(line);
    asio::error_code ignored;
    co_await line.async_shutdown(asio::redirect_error(await, ignored));
}

template <class Serve> task<> accept(asio::basic_socket_acceptor<tcp, executor>& door, Serve serve) {
    asio::error_code failed;
    for (;;) {
        tcp_line line = co_await door.async_accept(asio::redirect_error(await, failed));
        if (failed == asio::error::connection_aborted) continue;
        if (failed) throw asio::system_error{failed, "accept"};
        line.set_option(tcp::no_delay{true}, failed);
        // What goes wrong with one of them is of no concern to the others.
        asio::co_spawn(door.get_executor(), serve(std::move(line)), asio::detached);
    }
}

void run(const server_options& of) {
    asio::ssl::context context{asio::ssl::context::tls_server};
    if (of.tls()) {
        context.use_certificate_chain_file(of.cert);
        context.use_private_key_file(of.key, asio::ssl::context::pem);
    }
    asio::io_context io{1};
    asio::basic_socket_acceptor<tcp, executor> door{io.get_executor()};
    door.open(tcp::v4());
    door.set_option(tcp::acceptor::reuse_address{true});
    door.bind({tcp::v4(), of.port});
    door.listen(4096);
    announce(door.local_endpoint().port());

    const auto give_up = [](const std::exception_ptr& why) {
        if (why) std::rethrow_exception(why);
    };
    if (of.tls()) {
        const handler serve = of.mode == "tls-echo" ? &echo<tls_line> : of.mode == "tls-bulk" ? &bulk : &hello;
        asio::co_spawn(io, accept(door, [&context, serve](tcp_line line) { return serve_tls(std::move(line), context, serve); }), give_up);
    } else {
        asio::co_spawn(io, accept(door, serve_tcp), give_up);
    }
    io.run();
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Echoes or serves with Asio and OpenSSL"};
    const server_options of = parse_server_options(app, argc, argv);
    try {
        run(of);
    } catch (const std::exception& e) {
        std::cerr << "asio_server: " << e.what() << '\n';
        return 1;
    }
}
