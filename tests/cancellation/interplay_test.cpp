// What two tasks on one stream, and a stop, may do to each other.

#include <hawser/hawser.hpp>
#include <hawser/test/fake_backend.hpp>

#include "support/descriptors.hpp"
#include "support/doctest.hpp"
#include "tls/support.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;
using hw::test::fake_backend;

namespace {

template <class F> void run_scripted(fake_backend& io, F&& body) { hw::test::run_on(io, body()); }

/// How a read() ended.
struct ending {
    std::string text;
    hw::error_info why = hw::error_info::none();
};
hw::task<> lend(hw::tcp::stream& line, ending& how) {
    auto chunk = co_await hw::as_result(line.read());
    if (!chunk) how.why = chunk.error();
    else how.text = *chunk ? hw::as_text(**chunk) : "the end";
}

}  // namespace

TEST_SUITE("one stream, several tasks, and a stop") {
    TEST_CASE("a reader that was stopped takes nothing from the one that reads after it") {
        fake_backend io;
        run_scripted(io, [&]() -> hw::task<> {
            hw::tcp::stream line = scripted_socket();
            ending stopped, next;
            auto body = [&](hw::scope& s) -> hw::task<> {
                hw::stop_source stop;
                s.spawn([&]() -> hw::task<> { co_await hw::detail::under{stop, lend(line, stopped)}; });
                co_await hw::sleep_for(1ms);
                stop.request_stop();
                io.deliver(wire, "for the next");
                co_await lend(line, next);  // has its bytes before the stopped one is resumed
                co_await hw::yield();
            };
            co_await hw::with_scope(body);
            CHECK(stopped.why == errc::cancelled);
            CHECK(next.text == "for the next");
        });
    }
    TEST_CASE("a reader keeps the bytes that it was woken for until it has seen them") {
        for (const bool closes : {false, true}) {
            CAPTURE(closes);
            fake_backend io;
            run_scripted(io, [&]() -> hw::task<> {
                hw::tcp::stream line = scripted_socket();
                ending woken, second;
                auto body = [&](hw::scope& s) -> hw::task<> {
                    s.spawn([&]() -> hw::task<> { co_await lend(line, woken); });
                    co_await hw::sleep_for(1ms);
                    io.deliver(wire, "for the first");
                    co_await hw::yield();  // resumed in the turn in which they come, before the first reader
                    if (closes) line = {};
                    else co_await lend(line, second);
                };
                co_await hw::with_scope(body);
                if (closes) {
                    CHECK(woken.why == errc::closed);
                } else {
                    CHECK(woken.text == "for the first");
                    CHECK(second.why == errc::busy);
                }
            });
        }
    }
    TEST_CASE("the end of the stream beats the stop, as bytes do") {
        for (const bool lends : {false, true}) {
            fake_backend io;
            run_scripted(io, [&]() -> hw::task<> {
                hw::tcp::stream line = scripted_socket();
                io.end(wire);
                bool ended = false;
                auto body = [&](hw::scope& s) -> hw::task<> {
                    s.spawn([&]() -> hw::task<> {
                        char into[1];
                        if (lends) ended = !(co_await line.read()).has_value();
                        else ended = co_await line.read_some(into) == 0;
                    });
                    co_await hw::yield();
                    s.request_stop();
                };
                co_await hw::with_scope(body);
                CHECK(ended);
            });
        }
    }
    TEST_CASE("a flush that was stopped does not hide that sending has failed") {
        for (const bool before_start : {false, true}) {
            CAPTURE(before_start);
            fake_backend io;
            io.sends_complete = false;
            run_scripted(io, [&]() -> hw::task<> {
                hw::tcp::stream line = scripted_socket();
                co_await line.write("never sent");
                hw::error_info why = hw::error_info::none();
                auto body = [&](hw::scope& s) -> hw::task<> {
                    auto fail = [&] { io.complete(*io.find(hw::detail::op_kind::send, wire), -ECONNRESET); };
                    auto flush = [&]() -> hw::task<> {
                        auto r = co_await hw::as_result(line.flush());
                        why = r.error();
                    };
                    if (!before_start) s.spawn(flush);
                    co_await hw::sleep_for(1ms);
                    fail();
                    if (before_start) {
                        co_await hw::yield();
                        s.spawn(flush);
                    }
                    s.request_stop();
                };
                co_await hw::with_scope(body);
                CHECK(why.code() == std::error_code{ECONNRESET, std::system_category()});
            });
        }
    }
    TEST_CASE("a stream that has outlived its reactor becomes no TLS stream on another") {
        hw::tcp::stream for_client, for_server;
        hw::run([](hw::tcp::stream& a, hw::tcp::stream& b) -> hw::task<> {
            a = scripted_socket();
            b = scripted_socket();
            co_return;
        }(for_client, for_server));
        hw::run([](hw::tcp::stream& a, hw::tcp::stream& b) -> hw::task<> {
            auto settings = client_config({});
            auto client = co_await hw::as_result(hw::tls::handshake(std::move(a), "localhost", settings));
            CHECK(client.error() == errc::no_reactor);
            auto certificates = server_config();
            auto server = co_await hw::as_result(hw::tls::accept(std::move(b), certificates));
            CHECK(server.error() == errc::no_reactor);
        }(for_client, for_server));
    }
}
