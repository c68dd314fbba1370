// hawser, as its users write it, and with single parts of it switched off to see what each brings.

#include <CLI/CLI.hpp>
#include <hawser/hawser.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "../support/server_options.hpp"
#include "empty_lines.hpp"

namespace hw = hawser;

namespace {

struct parts {
    hw::reactor_options reactor;
    unsigned threads = 1;
    bool no_gather = false, any_stream = false, own_buffer = false;
};

template <class Line> hw::task<> echo(Line& line) {
    while (auto chunk = co_await line.read()) co_await line.write(*chunk);
}

template <class Line> hw::task<> echo_own_buffer(Line& line) {
    std::array<std::byte, 16384> buffer;
    while (const std::size_t n = co_await line.read_some(buffer)) co_await line.write(std::span{buffer}.first(n));
}

/// Each write is a send of its own.
template <class Line> hw::task<> echo_ungathered(Line& line) {
    while (auto chunk = co_await line.read()) {
        co_await line.write(*chunk);
        co_await line.flush();
    }
}

template <class Line> hw::task<> hello(Line& line) {
    empty_lines requests;
    while (auto chunk = co_await line.read()) {
        for (std::size_t count = requests.in(*chunk); count != 0; --count) co_await line.write(hello_response);
    }
}

template <bool Gathers, class Line> hw::task<> bulk(Line& line) {
    bulk_request asked;
    std::vector<std::byte> block;
    const auto request = std::as_writable_bytes(std::span{&asked, 1});
    while (co_await hw::as_result(hw::read_exactly(line, request))) {
        if (asked.block == 0) co_return;
        block.resize(asked.block);
        if (asked.both_ways != 0) {
            for (std::uint64_t i = 0; i < asked.total / asked.block; ++i) {
                co_await hw::read_exactly(line, block);
                co_await line.write(block);
                if (!Gathers) co_await line.flush();
            }
        } else {
            for (std::uint64_t left = asked.total; left != 0;) {
                const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, block.size()));
                left -= co_await line.write(std::span{block}.first(n));
                if (!Gathers) co_await line.flush();
            }
        }
    }
}

template <class Line> using handler = hw::task<> (*)(Line&);

template <class Line> handler<Line> echo_handler(const parts& with) {
    return with.own_buffer ? &echo_own_buffer<Line> : with.no_gather ? &echo_ungathered<Line> : &echo<Line>;
}

template <class Line> handler<Line> tls_handler(const server_options& of, const parts& with) {
    if (of.mode == "tls-echo") return echo_handler<Line>(with);
    if (of.mode == "tls-hello") return &hello<Line>;
    return with.no_gather ? &bulk<false, Line> : &bulk<true, Line>;
}

/// What goes wrong with one client is of no concern to the others.
template <class Line> hw::task<> serve_client(hw::tcp::stream line, handler<Line> serve) {
    try {
        co_await serve(line);
        co_await line.close();
    } catch (const hw::error&) {
    }
}

template <class Line> hw::task<> serve(hw::tcp::listener& door, handler<Line> with) {
    co_await hw::with_scope([&](hw::scope& clients) -> hw::task<> {
        for (;;) clients.spawn(serve_client<Line>, co_await door.accept(), with);
    });
}

hw::task<> print_turns() {
    for (;;) {
        co_await hw::next_signal(SIGUSR1);
        const hw::reactor& loop = *hw::reactor::current();
        std::printf("{\"turns\":%llu,\"resumptions\":%llu}\n", static_cast<unsigned long long>(loop.turns()),
                    static_cast<unsigned long long>(loop.resumptions()));
        std::fflush(stdout);
    }
}

class program {
public:
    program(const server_options& of, const parts& with) : of_{of}, with_{with} {
        if (of.tls()) certificate_ = hw::tls::server_config::from_files(of.cert, of.key);
    }
    void run() {
        hw::run_on_threads(with_.threads, [this] { return thread(); }, with_.reactor);
    }

private:
    hw::task<> thread() {
        auto all = [this](hw::scope& tasks) -> hw::task<> {
            if (certificate_) {
                std::optional<hw::tls::listener> door;
                if (open([&](auto at) { return door.emplace(*certificate_, at).local_endpoint(); })) tasks.spawn(print_turns);
                if (with_.any_stream) co_await door->serve(tls_handler<hw::any_stream>(of_, with_));
                else co_await door->serve(tls_handler<hw::tls::stream>(of_, with_));
            } else {
                std::optional<hw::tcp::listener> door;
                if (open([&](auto at) { return door.emplace(at).local_endpoint(); })) tasks.spawn(print_turns);
                if (with_.any_stream) co_await serve(*door, echo_handler<hw::any_stream>(with_));
                else co_await serve(*door, echo_handler<hw::tcp::stream>(with_));
            }
        };
        co_await hw::with_scope(all);
    }

    /// Each thread listens on the same port, which the first one finds out. True for the first.
    bool open(auto listen) {
        bool first = false;
        std::call_once(opened_, [&] {
            first = true;
            port_ = listen(hw::endpoint{hw::ip_address::any_v4(), of_.port}).port();
            announce(port_);
        });
        if (!first) listen(hw::endpoint{hw::ip_address::any_v4(), port_});
        return first;
    }

    const server_options& of_;
    const parts& with_;
    std::optional<hw::tls::server_config> certificate_;
    std::once_flag opened_;
    std::uint16_t port_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    parts with;
    bool no_multishot = false;
    CLI::App app{"Echoes or serves with hawser. SIGUSR1: prints how many turns the loop of the first thread has made, and how often it resumed something."};
    app.add_option("--threads", with.threads, "Threads, each with connections of its own")->check(CLI::Range(1, 1024))->capture_default_str();
    app.add_option("--receive-buffers", with.reactor.receive_buffers, "Shared receive buffers of a thread, a power of two")
        ->check(CLI::IsMember({1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768}))
        ->capture_default_str();
    app.add_flag("--no-multishot", no_multishot, "Poll and recv(2) instead of multishot receives");
    CLI::Option* no_gather = app.add_flag("--no-gather", with.no_gather, "A send for each write");
    app.add_flag("--any-stream", with.any_stream, "Serve an any_stream, whatever it is");
    app.add_flag("--own-buffer", with.own_buffer, "Echo from a buffer of one's own instead of a lent one")->excludes(no_gather);
    const server_options of = parse_server_options(app, argc, argv);
    with.reactor.multishot_receive = !no_multishot;
    try {
        program{of, with}.run();
    } catch (const std::exception& e) {
        std::cerr << "hawser_server: " << e.what() << '\n';
        return 1;
    }
}
