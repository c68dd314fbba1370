#include <sys/socket.h>

#include <thread>

#include <hawser/hawser.hpp>

#include "support/doctest.hpp"
#include "support/in_child.hpp"

namespace hw = hawser;
using namespace std::chrono_literals;
using hawser_test::words_of_abort;

namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

struct socket_pair {
    int fds[2];
    socket_pair() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0); }
};

/// Calls `f` on another thread and waits for its end.
template <class F> void elsewhere(F f) { std::thread{f}.join(); }

hw::task<> wait_for(hw::event& e) { co_await e.wait(); }

TEST_CASE("waking a task of another thread says what to use instead, and aborts") {
    const std::string said = words_of_abort([] {
        auto program = []() -> hw::task<> {
            hw::event e;
            auto body = [&](hw::scope& all) -> hw::task<> {
                all.spawn(wait_for, std::ref(e));
                co_await hw::yield();
                elsewhere([&] { e.set(); });
            };
            co_await hw::with_scope(body);
        };
        hw::run(program());
    });
    CHECK(has(said, "another thread"));
    CHECK(has(said, "post()"));
    CHECK(has(said, "remote_channel"));
}

TEST_CASE("stopping and spawning from another thread say so too") {
    for (const bool stops : {true, false}) {
        const std::string said = words_of_abort([stops] {
            auto program = [stops]() -> hw::task<> {
                auto body = [stops](hw::scope& all) -> hw::task<> {
                    elsewhere([&] {
                        if (!stops) all.spawn([]() -> hw::task<> { co_return; });
                    });
                    all.spawn([]() -> hw::task<> { co_await hw::sleep_for(1h); });
                    co_await hw::yield();
                    elsewhere([&] { all.request_stop(); });
                };
                co_await hw::with_scope(body);
            };
            hw::run(program());
        });
        CAPTURE(stops);
        CHECK(has(said, "another thread"));
    }
}

TEST_CASE("a stream destroyed on another thread while its reactor runs says so") {
    const std::string said = words_of_abort([] {
        socket_pair pair;
        auto program = [&]() -> hw::task<> {
            auto line = hw::tcp::stream::adopt(pair.fds[0]);
            elsewhere([&] { hw::tcp::stream gone = std::move(line); });
            co_return;
        };
        hw::run(program());
    });
    CHECK(has(said, "a stream was destroyed on another thread"));
}

TEST_CASE("so does a listener") {
    const std::string said = words_of_abort([] {
        auto program = []() -> hw::task<> {
            hw::tcp::listener door{hw::endpoint{hw::ip_address::loopback_v4(), 0}};
            elsewhere([&] { door.close(); });
            co_return;
        };
        hw::run(program());
    });
    CHECK(has(said, "a listener was closed or destroyed on another thread"));
}

TEST_CASE("a stream used by another thread's task gives errors and is undisturbed") {
    socket_pair pair;
    auto program = [&]() -> hw::task<> {
        auto line = hw::tcp::stream::adopt(pair.fds[0]);
        auto other = hw::tcp::stream::adopt(pair.fds[1]);
        elsewhere([&] {
            auto misuse = [&]() -> hw::task<> {
                char buffer[4];
                std::vector<hw::error_info> ends;
                const auto keep = [&](const auto& result) { ends.push_back(result.error()); };
                keep(co_await hw::as_result(line.read_some(buffer)));
                keep(co_await hw::as_result(line.read()));
                keep(co_await hw::as_result(line.write("x")));
                keep(co_await hw::as_result(line.flush()));
                keep(co_await hw::as_result(line.shutdown_send()));
                keep(co_await hw::as_result(line.close()));
                for (const hw::error_info& e : ends) {
                    CHECK(e == hw::errc::no_reactor);
                    CHECK(has(e.message(), "the stream belongs to the reactor of another thread"));
                }
            };
            hw::run(misuse());
        });
        co_await line.write("fine");
        char buffer[4];
        CHECK(co_await hw::read_exactly(other, buffer) == 4);
    };
    hw::run(program());
}

TEST_CASE("run() inside run() says what to do instead") {
    auto inner = []() -> hw::task<> { co_return; };
    auto program = [&]() -> hw::task<> {
        try {
            hw::run(inner());
            CHECK(false);
        } catch (const hw::error& e) {
            CHECK(e.code() == hw::errc::invalid_argument);
            CHECK(has(e.what(), "run() inside run()"));
            CHECK(has(e.what(), "co_await"));
        }
        co_await hw::yield();  // and the outer one goes on
    };
    hw::run(program());
    hw::run(inner());
}

TEST_CASE("a task destroyed while its operation is in the kernel says what to do instead") {
    const std::string said = words_of_abort([] {
        socket_pair pair;
        auto reads = [](hw::any_stream& line) -> hw::task<> {
            char buffer[4];
            co_await line.read_some(buffer);
        };
        auto program = [&]() -> hw::task<> {
            auto line = hw::tcp::stream::adopt(pair.fds[0]);
            auto t = reads(line);
            hw::detail::waiter nobody;
            t.start({hw::reactor::current(), {}}, nobody);
            co_return;
        };
        hw::run(program());
    });
    CHECK(has(said, "a task was destroyed while it runs"));
    CHECK(has(said, "with_scope"));
}

}  // namespace
