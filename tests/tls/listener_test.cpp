// Servers on real sockets: isolation, limits, renewal of certificates, and the two steps of a stop.

#include <hawser/hawser.hpp>

#include "support.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;

namespace {

hw::task<> echo(hw::tls::stream& line) {
    while (auto chunk = co_await line.read()) co_await line.write(*chunk);
}

std::string port_of(const hw::tls::listener& door) { return std::to_string(door.local_endpoint().port()); }

hw::task<std::string> say(std::string port, std::string text) {
    auto line = co_await hw::tls::connect("localhost", port, client_config({}));
    co_await line.write(text);
    co_await line.shutdown_send();
    std::string answer = co_await hw::read_all(line);
    co_await line.close();
    co_return answer;
}

/// A connection that never says a word.
hw::task<hw::tcp::stream> silent(std::string port) { co_return co_await hw::tcp::connect("localhost", port); }

std::vector<std::string> reported;

void remember(const std::exception_ptr& what, const hw::endpoint&) {
    try {
        std::rethrow_exception(what);
    } catch (const std::exception& e) {
        reported.push_back(e.what());
    } catch (...) {
        reported.push_back("?");
    }
}

/// Runs a server with `handler` beside `body(port)`, then stops it.
template <class Handler, class Body> void with_server(hw::tls::listener_options options, Handler handler, Body body) {
    reported.clear();
    options.on_error = remember;
    auto all = [&]() -> hw::task<> {
        hw::tls::listener door{server_config(), hw::endpoint::loopback(0), options};
        auto children = [&](hw::scope& s) -> hw::task<> {
            s.spawn([&]() -> hw::task<> { co_await door.serve(handler); });
            co_await body(door);
            s.request_stop();
        };
        co_await hw::with_scope(children);
    };
    hw::run(all());
}

}  // namespace

TEST_CASE("a server serves many clients at once") {
    with_server({}, echo, [](hw::tls::listener& door) -> hw::task<> {
        std::vector<hw::task<std::string>> clients;
        for (int i = 0; i < 50; ++i) clients.push_back(say(port_of(door), "client " + std::to_string(i)));
        const auto answers = co_await hw::when_all(std::move(clients));
        for (int i = 0; i < 50; ++i) CHECK(answers[static_cast<std::size_t>(i)] == "client " + std::to_string(i));
    });
    CHECK(reported.empty());
}

TEST_CASE("an exception in a handler ends its connection only, without close_notify, and is reported") {
    auto handler = [](hw::tls::stream& line) -> hw::task<> {
        auto chunk = co_await line.read();
        if (chunk && as_text(*chunk) == "bad") throw std::runtime_error{"handler of bad"};
        if (chunk) co_await line.write(*chunk);
    };
    with_server({}, handler, [](hw::tls::listener& door) -> hw::task<> {
        auto bad = co_await hw::as_result(say(port_of(door), "bad"));
        REQUIRE_FALSE(bad);
        CHECK(bad.error() == errc::truncated);
        CHECK(co_await say(port_of(door), "good") == "good");
    });
    REQUIRE(reported.size() == 1);
    CHECK(contains(reported[0], "handler of bad"));
}

TEST_CASE("clients that are silent, or do not speak TLS, delay nobody and are reported") {
    hw::tls::listener_options options;
    options.handshake_timeout = 200ms;
    with_server(options, echo, [](hw::tls::listener& door) -> hw::task<> {
        std::vector<hw::tcp::stream> mute;
        for (int i = 0; i < 20; ++i) mute.push_back(co_await silent(port_of(door)));
        auto noise = co_await silent(port_of(door));
        co_await noise.write("GET / HTTP/1.0\r\n\r\n");
        CHECK(co_await say(port_of(door), "prompt") == "prompt");
        // The deadline closes the mute ones.
        for (auto& line : mute) {
            char into[8];
            CHECK(co_await line.read_some(into) == 0);
        }
    });
    REQUIRE(reported.size() == 21);
}

TEST_CASE("beyond max_handshakes the oldest unfinished one is cut") {
    hw::tls::listener_options options;
    options.max_handshakes = 5;
    with_server(options, echo, [](hw::tls::listener& door) -> hw::task<> {
        std::vector<hw::tcp::stream> mute;
        for (int i = 0; i < 8; ++i) mute.push_back(co_await silent(port_of(door)));
        CHECK(co_await say(port_of(door), "through") == "through");
        for (std::size_t i = 0; i < 4; ++i) {
            char into[8];
            CHECK(co_await mute[i].read_some(into) == 0);
        }
        REQUIRE(reported.size() == 4);
        for (const std::string& text : reported) CHECK(contains(text, "max_handshakes"));
    });
}

TEST_CASE("beyond max_connections clients wait in the backlog") {
    hw::tls::listener_options options;
    options.max_connections = 2;
    with_server(options, echo, [](hw::tls::listener& door) -> hw::task<> {
        auto config = client_config({});
        auto first = co_await hw::tls::connect("localhost", port_of(door), config);
        auto second = co_await hw::tls::connect("localhost", port_of(door), config);
        auto third = co_await hw::as_result(hw::with_timeout(100ms, hw::tls::connect("localhost", port_of(door), config)));
        CHECK(third.error() == errc::timed_out);
        co_await first.close();
        auto fourth = co_await hw::tls::connect("localhost", port_of(door), config);
        CHECK(fourth.is_open());
    });
}

TEST_CASE("renewed certificates are for new connections; those in flight keep theirs") {
    with_server({}, echo, [](hw::tls::listener& door) -> hw::task<> {
        hw::tls::config anybody{{.insecure_no_verify_certificate = true, .insecure_no_verify_name = true}};
        auto before = co_await hw::tls::connect("localhost", port_of(door), anybody);
        door.reload(server_config("self-signed"));
        auto after = co_await hw::tls::connect("localhost", port_of(door), anybody);
        CHECK(before.peer().hash != after.peer().hash);
        co_await before.write("still here");
        auto chunk = co_await before.read();
        REQUIRE(chunk);
        CHECK(as_text(*chunk) == "still here");
        CHECK_THROWS_AS(door.reload(hw::tls::server_config::from_files(cert("server.pem"), cert("client.key"))), hw::error);
    });
}

TEST_CASE("a stop closes idle connections properly, and lets busy ones finish within the grace") {
    hw::event working, finish;
    auto handler = [&](hw::tls::stream& line) -> hw::task<> {
        while (auto chunk = co_await line.read()) {
            if (as_text(*chunk) == "work") {
                working.set();
                co_await finish.wait();
                co_await line.write("done");
            } else {
                co_await line.write(*chunk);
            }
        }
    };
    auto all = [&]() -> hw::task<> {
        hw::tls::listener door{server_config(), hw::endpoint::loopback(0)};
        auto config = client_config({});
        hw::tls::stream idle, busy;
        auto children = [&](hw::scope& s) -> hw::task<> {
            s.spawn([&]() -> hw::task<> { co_await door.serve(handler); });
            idle = co_await hw::tls::connect("localhost", port_of(door), config);
            busy = co_await hw::tls::connect("localhost", port_of(door), config);
            co_await idle.write("hello");
            auto chunk = co_await idle.read();
            CHECK(chunk.has_value());
            co_await busy.write("work");
            co_await working.wait();
            s.spawn([&]() -> hw::task<> {
                // The stop reaches this task too.
                auto ended = co_await hw::as_result(hw::shield(idle.read(), 5s));
                REQUIRE(ended);
                CHECK_FALSE(ended->has_value());  // close_notify
                finish.set();
                auto answer = co_await hw::as_result(hw::shield(hw::read_all(busy), 5s));
                REQUIRE(answer);
                CHECK(*answer == "done");
            });
            s.request_stop();
        };
        co_await hw::with_scope(children);
    };
    hw::run(all());
}

TEST_CASE("after the grace a stop cuts what is busy") {
    auto handler = [](hw::tls::stream& line) -> hw::task<> {
        auto chunk = co_await line.read();
        co_await line.write(*chunk);
        co_await hw::sleep_for(1h);
    };
    hw::tls::listener_options options;
    options.grace = 20ms;
    hw::tls::stream line;
    auto all = [&]() -> hw::task<> {
        hw::tls::listener door{server_config(), hw::endpoint::loopback(0), options};
        auto children = [&](hw::scope& s) -> hw::task<> {
            s.spawn([&]() -> hw::task<> { co_await door.serve(handler); });
            line = co_await hw::tls::connect("localhost", port_of(door), client_config({}));
            co_await line.write("x");
            auto chunk = co_await line.read();
            CHECK(chunk.has_value());
            s.request_stop();
        };
        co_await hw::with_scope(children);
        auto cut = co_await hw::as_result(hw::read_all(line));
        REQUIRE_FALSE(cut);
        CHECK(cut.error() == errc::truncated);
    };
    hw::run(all());
}

TEST_CASE("a server by hand: accept gives connections before their handshake") {
    auto all = [&]() -> hw::task<> {
        hw::tls::listener door{server_config(), hw::endpoint::loopback(0)};
        auto greet = [](hw::tls::pending caller) -> hw::task<> {
            auto line = co_await hw::with_timeout(5s, caller.handshake());
            co_await line.write("hello\n");
            co_await line.close();
        };
        auto children = [&](hw::scope& s) -> hw::task<> {
            s.spawn([&]() -> hw::task<> {
                for (;;) s.spawn(greet, co_await door.accept());
            });
            auto mute = co_await silent(port_of(door));
            auto line = co_await hw::tls::connect("localhost", port_of(door), client_config({}));
            CHECK(co_await hw::read_all(line) == "hello\n");
            s.request_stop();
        };
        co_await hw::with_scope(children);
    };
    hw::run(all());
}

TEST_CASE("a listener that is closed ends serve() and leaves its connections alone") {
    auto all = [&]() -> hw::task<> {
        hw::tls::listener door{server_config(), hw::endpoint::loopback(0)};
        auto children = [&](hw::scope& s) -> hw::task<> {
            s.spawn([&]() -> hw::task<> {
                auto served = co_await hw::as_result(door.serve(echo));
                CHECK(served.error() == errc::closed);
            });
            auto line = co_await hw::tls::connect("localhost", port_of(door), client_config({}));
            door.close();
            co_await line.write("still");
            auto chunk = co_await line.read();
            CHECK(chunk.has_value());
            co_await line.close();
        };
        co_await hw::with_scope(children);
    };
    hw::run(all());
}

TEST_CASE("a port in use is an error that names it") {
    auto all = [&]() -> hw::task<> {
        hw::tls::listener door{server_config(), hw::endpoint::loopback(0)};
        auto why = error_of([&] { hw::tls::listener second{server_config(), door.local_endpoint()}; });
        REQUIRE(why);
        CHECK(why->code() == std::error_code{EADDRINUSE, std::system_category()});
        CHECK(contains(why->message(), port_of(door)));
        co_return;
    };
    hw::run(all());
    auto outside = error_of([&] { hw::tls::listener door{server_config(), hw::endpoint::loopback(0)}; });
    REQUIRE(outside);
    CHECK(*outside == errc::no_reactor);
}
