// any_stream: of a user's own stream class, of TCP and of TLS; and TLS over a user's own stream.

#include <hawser/hawser.hpp>

#include "../tls/support.hpp"
#include "support/doctest.hpp"
#include "support/memory_stream.hpp"
#include "support/sockets.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;
using hw::errc;

namespace {

/// What a user writes against any_stream&: it cannot tell which stream it got.
hw::task<std::string> ask(hw::any_stream& line, std::string question) {
    co_await line.write(question, "\n");
    hw::buffered in{line};
    auto answer = co_await in.read_line();
    co_return answer ? *answer : "nothing";
}
/// And against the concept.
template <hw::stream S> hw::task<> answer_one(S& line) {
    hw::buffered in{line};
    auto question = co_await in.read_line();
    co_await hw::write_all(line, "you said " + *question + "\n");
}

struct tls_ends {
    hw::tls::stream client, server;
};
/// TLS over two ends of a line.
template <class S> hw::task<tls_ends> tls_over(std::pair<S, S> line) {
    const auto trust = client_config({});
    const auto keys = server_config();
    auto both = co_await hw::when_all(hw::tls::handshake(std::move(line.first), "localhost", trust),
                                      hw::tls::accept(std::move(line.second), keys));
    co_return tls_ends{std::move(std::get<0>(both)), std::move(std::get<1>(both))};
}

}  // namespace

TEST_SUITE("make_any_stream") {
    TEST_CASE("a stream of one's own reads, writes and ends as every other") {
        run_fake([]() -> hw::task<> {
            auto out = std::make_shared<memory_pipe>();
            auto in = std::make_shared<memory_pipe>();
            in->chunks = {"hello ", "world"};
            in->ended = true;
            hw::any_stream line = hw::make_any_stream(memory_stream{in, out});
            CHECK(line.is_open());
            CHECK(line.native_handle() == -1);
            const std::size_t n = co_await line.write("a", std::string{"bc"}, "d");
            CHECK(n == 4);
            co_await line.flush();
            CHECK(out->all() == "abcd");
            const std::string all = co_await hw::read_all(line);
            CHECK(all == "hello world");
            co_await line.shutdown_send();
            co_await turns(3);
            CHECK(out->ended);
            auto late = co_await hw::as_result(line.write("x"));
            CHECK((!late && late.error() == errc::closed));
            co_await line.close();
            CHECK_FALSE(line.is_open());
        });
    }
    TEST_CASE("one that accepts less than asked gets everything, in order") {
        run_fake([]() -> hw::task<> {
            auto in = std::make_shared<memory_pipe>(), out = std::make_shared<memory_pipe>();
            out->take_at_most = 1000;
            hw::any_stream line = hw::make_any_stream(memory_stream{in, out});
            const std::string text = long_text(300'000);
            co_await line.write(text);
            co_await line.flush();
            CHECK(out->all() == text);
        });
    }
    TEST_CASE("a write waits where the stream below takes nothing, and the memory is bounded") {
        run_fake([]() -> hw::task<> {
            auto in = std::make_shared<memory_pipe>(), out = std::make_shared<memory_pipe>();
            out->capacity = 0;
            hw::any_stream line = hw::make_any_stream(memory_stream{in, out});
            const std::string text = long_text(2 << 20);
            auto r = co_await hw::as_result(hw::with_timeout(1s, line.write(text)));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::timed_out);
            CHECK(r.error().transferred() == line.unsent());
            CHECK(line.unsent() <= 2 * hw::defaults::send_buffer_limit);
            line.set_write_timeout(10s);
            const auto before = hw::reactor::current()->now();
            auto stalled = co_await hw::as_result(line.write(text));
            REQUIRE_FALSE(stalled);
            CHECK(stalled.error() == errc::timed_out);
            CHECK((hw::reactor::current()->now() - before == 10s));
            CHECK(line.unsent() == r.error().transferred() + stalled.error().transferred());
            CHECK(line.unsent() <= 2 * hw::defaults::send_buffer_limit);
        });
    }
    TEST_CASE("errors of the stream below: what was read first comes first, the errno stays") {
        run_fake([]() -> hw::task<> {
            auto in = std::make_shared<memory_pipe>(), out = std::make_shared<memory_pipe>();
            in->chunks = {"abc"};
            in->failure = hw::error_info::from_errno(ETIMEDOUT, hw::phase::read);
            hw::any_stream line = hw::make_any_stream(memory_stream{in, out});
            auto r = co_await hw::as_result(hw::read_all(line));
            REQUIRE_FALSE(r);
            CHECK(r.error().code() == std::error_code{ETIMEDOUT, std::system_category()});
            CHECK(r.error().transferred() == 3);
            out->fail(hw::error_info::from_errno(EPIPE, hw::phase::write));
            co_await line.write("x");
            auto flushed = co_await hw::as_result(line.flush());
            CHECK((!flushed && flushed.error().code().value() == EPIPE));
            auto next = co_await hw::as_result(line.write("x"));
            CHECK((!next && next.error().code().value() == EPIPE));
        });
    }
    TEST_CASE("destroyed without close it still sends what was accepted") {
        auto in = std::make_shared<memory_pipe>(), out = std::make_shared<memory_pipe>();
        const std::string text = long_text(200'000);
        run_fake([&]() -> hw::task<> {
            hw::any_stream line = hw::make_any_stream(memory_stream{in, out});
            co_await line.write(text);
        });
        CHECK(out->all() == text);
        CHECK(out->ended);
        CHECK(in.use_count() == 1);  // the stream below is gone with it
    }
    TEST_CASE("destroyed without close over one that takes nothing, it is given up in time") {
        hw::test::fake_backend io;
        auto in = std::make_shared<memory_pipe>(), out = std::make_shared<memory_pipe>();
        out->capacity = 0;
        const auto before = io.now();
        hw::test::run_on(io, [](auto i, auto o) -> hw::task<> {
            hw::any_stream line = hw::make_any_stream(memory_stream{i, o});
            co_await line.write("never");
        }(in, out));
        CHECK(io.now() - before == hw::defaults::close_timeout);
        CHECK(in.use_count() == 1);
        CHECK(out->all().empty());
    }
    TEST_CASE("close() waits for the peer's end for so long, and pending operations end") {
        run_fake([]() -> hw::task<> {
            auto in = std::make_shared<memory_pipe>(), out = std::make_shared<memory_pipe>();
            hw::any_stream line = hw::make_any_stream(memory_stream{in, out});
            const auto before = hw::reactor::current()->now();
            auto reads = [&]() -> hw::task<> {
                char into[10];
                auto r = co_await hw::as_result(line.read_some(into));
                CHECK((!r && r.error() == errc::closed));
                CHECK(hw::reactor::current()->now() == before);
            };
            auto closes = [&]() -> hw::task<> {
                co_await line.write("bye");
                co_await line.close();
                CHECK(out->all() == "bye");
                CHECK(out->ended);
                CHECK(hw::reactor::current()->now() - before == hw::defaults::close_timeout);
                co_await line.close();
            };
            co_await hw::when_all(reads(), closes());
            CHECK(hw::reactor::current()->now() - before == hw::defaults::close_timeout);
        });
    }
    TEST_CASE("it cannot be made outside run()") {
        memory_stream mine{std::deque<std::string>{}};
        try {
            (void)hw::make_any_stream(std::move(mine));
            FAIL("no error");
        } catch (const hw::error& e) {
            CHECK(e.info() == errc::no_reactor);
        }
    }
    TEST_CASE("one that outlives its reactor answers no_reactor, and its stream is gone with it") {
        auto in = std::make_shared<memory_pipe>(), out = std::make_shared<memory_pipe>();
        hw::any_stream line;
        run_fake([&]() -> hw::task<> {
            line = hw::make_any_stream(memory_stream{in, out});
            co_await line.write("x");
        });
        run_fake([&]() -> hw::task<> {
            char into[10];
            auto r = co_await hw::as_result(line.read_some(into));
            CHECK((!r && r.error() == errc::no_reactor));
            auto w = co_await hw::as_result(line.write("x"));
            CHECK((!w && w.error() == errc::no_reactor));
        });
    }
}

TEST_SUITE("any_stream&") {
    TEST_CASE("takes a tcp::stream, a tls::stream, and one of the user's own") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            auto over_tcp = co_await hw::when_all(ask(near, "tcp"), answer_one(far));
            CHECK(std::get<0>(over_tcp) == "you said tcp");

            auto plain = co_await tcp_pair();
            auto ends = co_await tls_over(std::move(plain));
            auto over_tls = co_await hw::when_all(ask(ends.client, "tls"), answer_one(ends.server));
            CHECK(std::get<0>(over_tls) == "you said tls");

            auto [mine, other] = memory_pair();
            hw::any_stream any = hw::make_any_stream(std::move(mine));
            auto over_memory = co_await hw::when_all(ask(any, "memory"), answer_one(other));
            CHECK(std::get<0>(over_memory) == "you said memory");
        }());
    }
    TEST_CASE("a tls::stream may be moved into an any_stream, and TLS may run over an any_stream") {
        hw::run([]() -> hw::task<> {
            auto plain = co_await tcp_pair();
            std::pair<hw::any_stream, hw::any_stream> erased{std::move(plain.first), std::move(plain.second)};
            auto outer = co_await tls_over(std::move(erased));
            std::pair<hw::any_stream, hw::any_stream> again{std::move(outer.client), std::move(outer.server)};
            auto inner = co_await tls_over(std::move(again));
            auto got = co_await hw::when_all(ask(inner.client, "tls in tls"), answer_one(inner.server));
            CHECK(std::get<0>(got) == "you said tls in tls");
            co_await hw::when_all(inner.client.close(), inner.server.close());
        }());
    }
}

TEST_SUITE("TLS over a stream of one's own") {
    TEST_CASE("it shakes hands, talks and ends properly, also where each write takes little") {
        run_fake([]() -> hw::task<> {
            auto line = memory_pair();
            line.first.out().take_at_most = 37;
            line.second.out().take_at_most = 1;
            auto ends = co_await tls_over(std::move(line));
            CHECK(ends.client.peer().subject == "/CN=localhost");
            auto got = co_await hw::when_all(ask(ends.client, "memory"), answer_one(ends.server));
            CHECK(std::get<0>(got) == "you said memory");
            auto closes = [&]() -> hw::task<> { co_await ends.server.close(); };
            auto reads = [&]() -> hw::task<std::size_t> {
                char into[10];
                co_return co_await ends.client.read_some(into);
            };
            auto end = co_await hw::when_all(reads(), closes());
            CHECK(std::get<0>(end) == 0);
        });
    }
    TEST_CASE("megabytes both ways at once") {
        run_fake([]() -> hw::task<> {
            auto line = memory_pair();
            line.first.out().capacity = line.second.out().capacity = 4;
            auto ends = co_await tls_over(std::move(line));
            const std::string there = long_text(3 << 20), back = long_text(2 << 20);
            auto sends = [](hw::any_stream& to, const std::string& text) -> hw::task<> {
                co_await to.write(text);
                co_await to.shutdown_send();
            };
            auto got = co_await hw::when_all(sends(ends.client, there), sends(ends.server, back), hw::read_all(ends.client), hw::read_all(ends.server));
            CHECK(std::get<2>(got) == back);
            CHECK(std::get<3>(got) == there);
        });
    }
    TEST_CASE("the end of the stream below without close_notify is a truncation") {
        run_fake([]() -> hw::task<> {
            auto there = std::make_shared<memory_pipe>(), back = std::make_shared<memory_pipe>();
            std::pair<memory_stream, memory_stream> line{memory_stream{back, there}, memory_stream{there, back}};
            auto ends = co_await tls_over(std::move(line));
            co_await ends.server.write("part");
            co_await ends.server.flush();
            back->end();
            auto r = co_await hw::as_result(hw::read_all(ends.client));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::truncated);
            CHECK(r.error().transferred() == 4);
        });
    }
    TEST_CASE("an error of the stream below keeps its errno") {
        run_fake([]() -> hw::task<> {
            auto there = std::make_shared<memory_pipe>(), back = std::make_shared<memory_pipe>();
            std::pair<memory_stream, memory_stream> line{memory_stream{back, there}, memory_stream{there, back}};
            auto ends = co_await tls_over(std::move(line));
            back->fail(hw::error_info::from_errno(EHOSTUNREACH, hw::phase::read));
            char into[10];
            auto r = co_await hw::as_result(ends.client.read_some(into));
            REQUIRE_FALSE(r);
            CHECK(r.error().code() == std::error_code{EHOSTUNREACH, std::system_category()});
        });
    }
    TEST_CASE("a handshake that is cut short by its deadline lets go of the stream below") {
        auto in = std::make_shared<memory_pipe>(), out = std::make_shared<memory_pipe>();
        run_fake([&]() -> hw::task<> {
            const auto trust = client_config({});
            auto r = co_await hw::as_result(hw::tls::handshake(memory_stream{in, out}, "localhost", trust));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::timed_out);
        });
        CHECK(in.use_count() == 1);
        CHECK_FALSE(out->chunks.empty());  // the ClientHello
    }
}

TEST_SUITE("TLS over what was buffered") {
    TEST_CASE("bytes that were read already go to TLS first: plain TCP") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            const auto keys = server_config();
            const auto trust = client_config({});
            auto serves = [&]() -> hw::task<> {
                hw::buffered in{std::move(far)};
                auto hello = co_await in.read_line();
                CHECK(*hello == "starttls");
                co_await hw::sleep_for(5ms);
                if (in.peek().empty()) co_await in.fill();
                CHECK_FALSE(in.peek().empty());  // the ClientHello
                auto line = co_await hw::tls::accept(std::move(in), keys);
                while (auto chunk = co_await line.read()) co_await line.write(*chunk);
                co_await line.close();
            };
            auto asks = [&]() -> hw::task<> {
                co_await near.write("starttls\n");
                auto line = co_await hw::tls::handshake(std::move(near), "localhost", trust);
                co_await line.write("echo");
                co_await line.shutdown_send();
                const std::string all = co_await hw::read_all(line);
                CHECK(all == "echo");
            };
            co_await hw::when_all(serves(), asks());
        }());
    }
    TEST_CASE("`buffered in{line}` moved to handshake takes the line along: it is not gone before the TLS stream is") {
        // Program 6: `proxy` and `in` are destroyed right after the TLS stream, which may still have something to send.
        const std::string text = long_text(400'000);
        std::string got;
        hw::run([&]() -> hw::task<> {
            const auto keys = server_config();
            const auto trust = client_config({});
            auto [near, far] = co_await tcp_pair();
            auto serves = [&]() -> hw::task<> {
                auto outer = co_await hw::tls::accept(std::move(far), keys);
                co_await outer.write("ready\n");
                auto inner = co_await hw::tls::accept(std::move(outer), keys);
                for (;;) {
                    auto chunk = co_await hw::as_result(inner.read());
                    if (!chunk) {
                        CHECK(chunk.error().code() == std::error_code{ECONNRESET, std::system_category()});  // the outer TLS was cut
                        break;
                    }
                    REQUIRE(chunk->has_value());
                    got += hw::as_text(**chunk);
                }
            };
            auto asks = [&]() -> hw::task<> {
                auto proxy = co_await hw::tls::handshake(std::move(near), "localhost", trust);
                hw::buffered in{proxy};
                auto ready = co_await in.read_line();
                CHECK(*ready == "ready");
                auto origin = co_await hw::tls::handshake(std::move(in), "localhost", trust);
                co_await origin.write(text);
            };
            co_await hw::when_all(serves(), asks());
        }());
        CHECK(got == text);
    }
    TEST_CASE("the end that was read already") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            const auto trust = client_config({});
            co_await far.write("not TLS at all\n");
            co_await far.shutdown_send();
            hw::buffered in{std::move(near)};
            while (co_await in.fill() != 0) {}
            auto r = co_await hw::as_result(hw::tls::handshake(std::move(in), "localhost", trust));
            REQUIRE_FALSE(r);
            CHECK(r.error().doing() == hw::phase::handshake);
            CHECK(r.error().peer().find("127.0.0.1") != std::string::npos);
        }());
    }
}
