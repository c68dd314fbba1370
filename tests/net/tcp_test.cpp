// tcp::stream against itself, against raw sockets, and, where time matters, on scripted completions.

#include <sys/resource.h>
#include <sys/wait.h>

#include <thread>

#include <hawser/coro/when_all.hpp>
#include <hawser/coro/when_any.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/reactor/run_on_threads.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/test/fake_backend.hpp>

#include "support/descriptors.hpp"
#include "support/doctest.hpp"
#include "support/sockets.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;
namespace hw = hawser;
using hw::errc;
using hw::test::fake_backend;

namespace {

hw::time_point now() { return hw::reactor::current()->now(); }

hw::task<std::string> read_to_end(hw::any_stream& from) {
    std::string all;
    while (auto chunk = co_await from.read()) all += hw::as_text(*chunk);
    co_return all;
}

template <class F> void run_scripted(fake_backend& io, F&& body) { hw::test::run_on(io, body()); }

/// Small buffers, so that a peer that does not read is soon noticed.
constexpr hw::tcp::listen_options tight{.socket = {.send_buffer = 8192, .receive_buffer = 8192}};

}  // namespace

TEST_SUITE("tcp::stream") {
    TEST_CASE("both ends talk, and know their addresses") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            CHECK(near.is_open());
            CHECK(near.remote_endpoint() == far.local_endpoint());
            CHECK(near.local_endpoint() == far.remote_endpoint());
            CHECK(near.peer_name() == far.local_endpoint().to_string());
            CHECK(near.native_handle() >= 0);
            std::size_t n = co_await near.write("hel", std::string{"lo"}, std::string_view{""});
            CHECK(n == 5);
            char into[100];
            n = co_await far.read_some(into);
            CHECK(std::string_view{into, n} == "hello");
            co_await far.write("and back");
            auto chunk = co_await near.read();
            CHECK(hw::as_text(*chunk) == "and back");
            n = co_await near.write("");
            CHECK(n == 0);
        }());
    }
    TEST_CASE("half-close: the end is seen, and the other direction goes on") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            co_await near.write("question");
            co_await near.shutdown_send();
            const std::string question = co_await read_to_end(far);
            CHECK(question == "question");
            co_await far.write("a long ");
            co_await hw::sleep_for(1ms);
            co_await far.write("answer");
            co_await far.shutdown_send();
            const std::string answer = co_await read_to_end(near);
            CHECK(answer == "a long answer");
            char into[10];
            const std::size_t again = co_await near.read_some(into);
            CHECK(again == 0);
            auto late = co_await hw::as_result(near.write("x"));
            REQUIRE_FALSE(late);
            CHECK(late.error() == errc::closed);
            CHECK(late.error().message().find("shutdown_send") != std::string::npos);
            co_await near.shutdown_send();  // idempotent
            co_await hw::when_all(near.close(), far.close());
        }());
    }
    TEST_CASE("one that is closed, default-constructed or moved from answers closed") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            hw::tcp::stream moved_to = std::move(near);
            hw::tcp::stream none;
            co_await hw::when_all(moved_to.close(), far.close());
            char into[10];
            for (hw::any_stream* s : {static_cast<hw::any_stream*>(&near), static_cast<hw::any_stream*>(&none), static_cast<hw::any_stream*>(&far)}) {
                CHECK_FALSE(s->is_open());
                auto r = co_await hw::as_result(s->read_some(into));
                CHECK((!r && r.error() == errc::closed));
                auto l = co_await hw::as_result(s->read());
                CHECK((!l && l.error() == errc::closed));
                auto w = co_await hw::as_result(s->write("x"));
                CHECK((!w && w.error() == errc::closed));
                auto f = co_await hw::as_result(s->flush());
                CHECK((!f && f.error() == errc::closed));
                auto e = co_await hw::as_result(s->shutdown_send());
                CHECK((!e && e.error() == errc::closed));
                co_await s->close();  // idempotent
                CHECK(s->native_handle() == -1);
                CHECK(s->unsent() == 0);
            }
            CHECK(none.peer_name().empty());
            CHECK(none.remote_endpoint() == hw::endpoint{});
        }());
    }
    TEST_CASE("an empty buffer is invalid_argument, not an end of stream") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            co_await far.write("x");
            auto r = co_await hw::as_result(near.read_some(hw::mutable_buffer{}));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::invalid_argument);
            auto x = co_await near.read();
            CHECK(hw::as_text(*x) == "x");
        }());
    }
    TEST_CASE("a second reader and a second writer are busy, and the first are undisturbed") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair({}, tight);
            hw::tcp::stream& line = near;
            hw::tcp::stream& other = far;
            const std::string bulk = pattern(4 << 20);
            char into[64], second[64];
            auto first_read = [&]() -> hw::task<std::size_t> { co_return co_await line.read_some(into); };
            auto first_write = [&]() -> hw::task<std::size_t> { co_return co_await line.write(bulk); };
            auto rest = [&]() -> hw::task<std::string> {
                auto r = co_await hw::as_result(line.read_some(second));
                CHECK((!r && r.error() == errc::busy));
                CHECK(r.error().peer() == line.peer_name());
                auto l = co_await hw::as_result(line.read());
                CHECK((!l && l.error() == errc::busy));
                auto w = co_await hw::as_result(line.write("x"));
                CHECK((!w && w.error() == errc::busy));
                auto e = co_await hw::as_result(line.shutdown_send());
                CHECK((!e && e.error() == errc::busy));
                co_await other.write("for the first");
                std::string got;
                while (got.size() < bulk.size()) {
                    auto chunk = co_await other.read();
                    if (!chunk) break;
                    got += hw::as_text(*chunk);
                }
                co_return got;
            };
            auto all = co_await hw::when_all(first_read(), first_write(), rest());
            CHECK(std::string_view{into, std::get<0>(all)} == "for the first");
            CHECK(std::get<1>(all) == bulk.size());
            CHECK(std::get<2>(all) == bulk);
        }());
    }
    TEST_CASE("a reset by the peer: errno, peer, and how much had been written") {
        hw::run([]() -> hw::task<> {
            auto [line, peer] = co_await with_raw_peer();
            raw_socket& other = peer;
            const std::string name = line.peer_name();
            auto resets = [&]() -> hw::task<> {
                co_await hw::sleep_for(1ms);
                other.reset();
            };
            char into[10];
            auto r = co_await hw::when_any(line.read_some(into), resets());
            if (!std::get<0>(r.results)) {
                auto again = co_await hw::as_result(line.read_some(into));
                std::get<0>(r.results).emplace(again);
            }
            auto& read = *std::get<0>(r.results);
            REQUIRE_FALSE(read);
            CHECK(read.error().code() == system(ECONNRESET));
            CHECK(read.error().peer() == name);
            CHECK(read.error().doing() == hw::phase::read);
            CHECK(read.error().message() == "read from " + name + ": Connection reset by peer");
        }());
        hw::run([]() -> hw::task<> {
            auto [line, peer] = co_await with_raw_peer(tight);
            hw::tcp::stream& near = line;
            raw_socket& other = peer;
            const std::string bulk = pattern(4 << 20);
            auto writes = [&]() -> hw::task<> {
                auto w = co_await hw::as_result(near.write(bulk));
                REQUIRE_FALSE(w);
                CHECK((w.error().code() == system(ECONNRESET) || w.error().code() == system(EPIPE)));
                CHECK(w.error().doing() == hw::phase::write);
                CHECK(w.error().peer() == near.peer_name());
                CHECK(w.error().transferred() >= hw::defaults::send_buffer_limit);
                CHECK(w.error().transferred() < bulk.size());
                auto next = co_await hw::as_result(near.write("x"));
                CHECK((!next && next.error().code().category() == std::system_category()));
                auto flushed = co_await hw::as_result(near.flush());
                CHECK_FALSE(flushed.has_value());
            };
            auto resets = [&]() -> hw::task<> {
                co_await hw::sleep_for(5ms);
                other.reset();
            };
            co_await hw::when_all(writes(), resets());
        }());
    }
    TEST_CASE("a cancelled read loses nothing") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            hw::tcp::stream &from = near, &to = far;
            const std::string text = pattern(200'000);
            auto sends = [&]() -> hw::task<> {
                for (std::size_t at = 0; at < text.size(); at += 1000) {
                    co_await to.write(std::string_view{text}.substr(at, 1000));
                    if (at % 7000 == 0) co_await hw::sleep_for(300us);
                }
                co_await to.shutdown_send();
            };
            std::size_t cut_short = 0;
            auto reads = [&]() -> hw::task<std::string> {
                std::string got;
                char into[777];
                for (;;) {
                    auto n = co_await hw::as_result(hw::with_timeout(50us, from.read_some(into)));
                    if (!n) {
                        CHECK(n.error() == errc::timed_out);
                        ++cut_short;
                        continue;
                    }
                    if (*n == 0) co_return got;
                    got.append(into, *n);
                }
            };
            auto all = co_await hw::when_all(sends(), reads());
            CHECK(std::get<1>(all) == text);
            CHECK(cut_short > 0);
        }());
    }
    TEST_CASE("bytes that come between the stop and its effect are given to the stopped read") {
        for (const bool lends : {false, true}) {
            fake_backend io;
            std::string got;
            run_scripted(io, [&]() -> hw::task<> {
                hw::tcp::stream line = scripted_socket();
                co_await hw::with_scope([&](hw::scope& s) -> hw::task<> {
                    s.spawn([&]() -> hw::task<> {
                        if (lends) {
                            auto chunk = co_await line.read();
                            got = hw::as_text(*chunk);
                        } else {
                            char into[10];
                            const std::size_t n = co_await line.read_some(into);
                            got.assign(into, n);
                        }
                    });
                    co_await hw::yield();
                    co_await hw::yield();
                    s.request_stop();
                    io.deliver(wire, "in between");
                });
            });
            CHECK(got == "in between");
        }
    }
    TEST_CASE("a cancelled write says how much was accepted, and all of that arrives") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair({}, tight);
            const std::string text = pattern(4 << 20);
            auto r = co_await hw::as_result(hw::with_timeout(20ms, near.write(text)));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::timed_out);
            const std::size_t accepted = r.error().transferred();
            CHECK(accepted > 0);
            auto ends = [](hw::any_stream& line) -> hw::task<> {
                co_await line.write("|");
                co_await line.shutdown_send();
            };
            auto all = co_await hw::when_all(ends(near), read_to_end(far));
            CHECK(std::get<1>(all) == text.substr(0, accepted) + "|");
        }());
    }
    TEST_CASE("a peer that does not read is held to the write timeout and to the stated memory") {
        hw::run([]() -> hw::task<> {
            auto [line, peer] = co_await with_raw_peer(tight);
            line.set_write_timeout(50ms);
            const std::string text = pattern(8 << 20);
            const auto before = now();
            auto r = co_await hw::as_result(line.write(text));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::timed_out);
            CHECK(r.error().peer() == line.peer_name());
            CHECK(r.error().message().find("does not read") != std::string::npos);
            CHECK(r.error().transferred() > 0);
            CHECK(now() - before >= 50ms);
            CHECK(now() - before < 1s);
            CHECK(line.unsent() > 0);
            CHECK(line.unsent() <= 2 * hw::defaults::send_buffer_limit);
            for (int i = 0; i < 3; ++i) {
                auto more = co_await hw::as_result(line.write(text));
                REQUIRE_FALSE(more);
                CHECK(more.error() == errc::timed_out);
                CHECK(line.unsent() <= 2 * hw::defaults::send_buffer_limit);
            }
            // close() gives up in time, and says so.
            const auto closing = now();
            auto c = co_await hw::as_result(line.close(50ms));
            REQUIRE_FALSE(c);
            CHECK(c.error() == errc::timed_out);
            CHECK(c.error().doing() == hw::phase::close);
            CHECK(now() - closing < 1s);
            co_await hw::sleep_for(1ms);
            CHECK(line.native_handle() == -1);
        }());
    }
    TEST_CASE("a peer that reads slowly is not cut by the write timeout, however little it takes at a time") {
        fake_backend io;
        io.sends_complete = false;
        const std::string text = pattern(400'000);
        run_scripted(io, [&]() -> hw::task<> {
            hw::tcp::stream line = scripted_socket();
            line.set_write_timeout(10s);
            bool done = false;
            auto takes = [&]() -> hw::task<> {
                while (!done) {
                    co_await hw::sleep_for(9s);
                    if (auto* o = io.find(hw::detail::op_kind::send, wire)) {
                        const auto left = static_cast<hw::detail::send_op*>(o)->data.size();
                        io.complete(*o, static_cast<int>(std::min<std::size_t>(left, 10'000)));
                    }
                }
            };
            auto writes = [&]() -> hw::task<> {
                co_await line.write(text);
                co_await line.flush();
                done = true;
            };
            co_await hw::when_all(takes(), writes());
        });
        CHECK(io.sent(wire) == text);
        CHECK(io.sends(wire) >= 40);
    }
    TEST_CASE("the kernel takes the one buffer while the next is filled") {
        fake_backend io;
        io.sends_complete = false;
        run_scripted(io, [&]() -> hw::task<> {
            hw::tcp::stream line = scripted_socket();
            line.set_write_timeout(1s);
            const std::string text = pattern(4 << 20);
            io.when_idle([&] { io.complete(*io.find(hw::detail::op_kind::send, wire), 1); });
            auto w = co_await hw::as_result(line.write(text));
            REQUIRE_FALSE(w);
            CHECK(w.error() == errc::timed_out);
            CHECK(w.error().transferred() == 2 * hw::defaults::send_buffer_limit);
            CHECK(line.unsent() == 2 * hw::defaults::send_buffer_limit - 1);
        });
    }
    TEST_CASE("two tasks move 64 MiB in each direction at once") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            constexpr std::size_t total = std::size_t{64} << 20;
            const std::string block = pattern(1 << 20);
            auto sends = [&](hw::any_stream& to) -> hw::task<> {
                for (std::size_t sent = 0; sent < total; sent += block.size()) co_await to.write(block);
                co_await to.shutdown_send();
            };
            auto receives = [&](hw::any_stream& from) -> hw::task<std::size_t> {
                std::size_t got = 0;
                bool same = true;
                while (auto chunk = co_await from.read()) {
                    for (std::span<const std::byte> left = *chunk; !left.empty();) {
                        const std::size_t at = got % block.size(), n = std::min(left.size(), block.size() - at);
                        same = same && hw::as_text(left.first(n)) == std::string_view{block}.substr(at, n);
                        got += n;
                        left = left.subspan(n);
                    }
                }
                CHECK(same);
                co_return got;
            };
            auto all = co_await hw::when_all(sends(near), sends(far), receives(near), receives(far));
            CHECK(std::get<2>(all) == total);
            CHECK(std::get<3>(all) == total);
            co_await hw::when_all(near.close(), far.close());
        }());
    }
    TEST_CASE("it may be moved, and destroyed, while operations wait on it") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            hw::tcp::stream& from = near;
            hw::tcp::stream& to = far;
            char into[10];
            auto reads = [&]() -> hw::task<std::size_t> { co_return co_await from.read_some(into); };
            auto moves = [&]() -> hw::task<> {
                hw::tcp::stream elsewhere = std::move(from);
                co_await hw::yield();
                co_await to.write("moved");
                co_await hw::sleep_for(2ms);
            };
            auto all = co_await hw::when_all(reads(), moves());
            CHECK(std::string_view{into, std::get<0>(all)} == "moved");
        }());
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            hw::tcp::stream& from = near;
            auto reads = [&]() -> hw::task<> {
                char into[10];
                auto r = co_await hw::as_result(from.read_some(into));
                CHECK((!r && r.error() == errc::closed));
            };
            auto destroys = [&]() -> hw::task<> {
                { hw::tcp::stream elsewhere = std::move(from); }
                co_return;
            };
            co_await hw::when_all(reads(), destroys());
        }());
    }
    TEST_CASE("assigning another stream closes the old one") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            co_await near.write("last words");
            auto [near2, far2] = co_await tcp_pair();
            near = std::move(near2);
            const std::string all = co_await read_to_end(far);
            CHECK(all == "last words");
            co_await near.write("x");
            auto chunk = co_await far2.read();
            CHECK(hw::as_text(*chunk) == "x");
        }());
    }
    TEST_CASE("adopt takes over a descriptor") {
        hw::run([]() -> hw::task<> {
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            raw_socket raw = raw_socket::connect(door.local_endpoint());
            hw::tcp::stream near = hw::tcp::stream::adopt(::dup(raw.fd()));
            raw.close();
            auto far = co_await door.accept();
            co_await near.write("adopted");
            co_await near.close(20ms);
            const std::string all = co_await read_to_end(far);
            CHECK(all == "adopted");
        }());
        CHECK_THROWS_AS(hw::tcp::stream::adopt(::dup(0)), hw::error);
    }
}

TEST_SUITE("closing a tcp::stream") {
    TEST_CASE("a silent peer holds close() no longer than its limit, and gets everything") {
        hw::run([]() -> hw::task<> {
            auto [line, peer] = co_await with_raw_peer();
            co_await line.write("last words");
            const auto before = now();
            co_await line.close(50ms);
            CHECK(now() - before >= 50ms);
            CHECK(now() - before < 500ms);
            CHECK_FALSE(line.is_open());
            CHECK(peer.receive_all() == "last words");
        }());
    }
    TEST_CASE("a peer that says its end is not waited for longer, nor one that resets") {
        hw::run([]() -> hw::task<> {
            auto [line, peer] = co_await with_raw_peer();
            peer.send("unread input is no reason to reset");
            peer.shutdown_send();
            co_await line.write("all of it");
            const auto before = now();
            co_await line.close();
            CHECK(now() - before < 1s);
            CHECK(peer.receive_all() == "all of it");
            auto [second, other] = co_await with_raw_peer();
            other.reset();
            co_await second.close();
            CHECK(now() - before < 1s);
        }());
    }
    TEST_CASE("operations that wait get closed at once") {
        hw::run([]() -> hw::task<> {
            auto [line, peer] = co_await with_raw_peer(tight);
            hw::tcp::stream& near = line;
            const std::string text = pattern(4 << 20);
            const auto before = now();
            auto reads = [&]() -> hw::task<> {
                char into[10];
                auto r = co_await hw::as_result(near.read_some(into));
                CHECK((!r && r.error() == errc::closed));
                CHECK(now() - before < 100ms);
            };
            auto writes = [&]() -> hw::task<> {
                auto w = co_await hw::as_result(near.write(text));
                CHECK((!w && w.error() == errc::closed));
                CHECK(w.error().transferred() > 0);
            };
            auto flushes = [&]() -> hw::task<> {
                auto f = co_await hw::as_result(near.flush());
                CHECK((!f && f.error() == errc::closed));
            };
            auto closes = [&]() -> hw::task<> {
                co_await hw::yield();
                auto c = co_await hw::as_result(near.close(50ms));
                CHECK((!c && c.error() == errc::timed_out));  // the peer did not take it
            };
            co_await hw::when_all(reads(), writes(), flushes(), closes());
        }());
    }
    TEST_CASE("a stopped task's close lets go, and what was written is still sent") {
        std::string got;
        std::thread reader;
        hw::run([&]() -> hw::task<> {
            auto [line, peer] = co_await with_raw_peer();
            reader = std::thread{[&got, p = std::move(peer)] { got = p.receive_all(); }};
            hw::tcp::stream& near = line;
            co_await hw::with_scope([&](hw::scope& s) -> hw::task<> {
                s.spawn([&near]() -> hw::task<> {
                    co_await near.write("last words");
                    co_await near.close();
                });
                co_await hw::yield();
                co_await hw::yield();
                s.request_stop();
            });
            CHECK_FALSE(near.is_open());
        }());
        reader.join();
        CHECK(got == "last words");
    }
    TEST_CASE("destroyed without close() it still sends what was accepted, and run() waits for that") {
        const std::string text = pattern(400'000);
        std::string got;
        std::thread reader;
        hw::run([&]() -> hw::task<> {
            auto [line, peer] = co_await with_raw_peer(tight);
            const std::size_t n = co_await line.write(std::string_view{text}.substr(0, 200'000));
            CHECK(n == 200'000);
            co_await hw::yield();
            co_await line.write(std::string_view{text}.substr(200'000));
            CHECK(line.unsent() > 100'000);
            peer.send("unread input must not become a reset");
            reader = std::thread{[&got, p = std::move(peer)] {
                std::this_thread::sleep_for(20ms);
                got = p.receive_all();
            }};
        }());
        reader.join();
        CHECK(got == text);
    }
    TEST_CASE("destroyed without close(), with a peer that takes nothing: given up after the close timeout") {
        fake_backend io;
        io.sends_complete = false;
        const auto before = io.now();
        run_scripted(io, []() -> hw::task<> {
            hw::tcp::stream line = scripted_socket();
            co_await line.write("never");
        });
        CHECK((io.now() - before == hw::defaults::close_timeout));
        CHECK(io.sends(wire) == 1);
        CHECK(io.in_flight() == 0);
    }
    TEST_CASE("the descriptor is closed with close(), not with the last handle") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            const int fd = near.native_handle();
            co_await hw::when_all(near.close(), far.close());
            co_await hw::sleep_for(1ms);
            CHECK(::fcntl(fd, F_GETFD) == -1);
        }());
    }
    TEST_CASE("a send that fails late is reported by the next flush, write and close") {
        for (const int what : {0, 1, 2}) {
            CAPTURE(what);
            fake_backend io;
            io.sends_complete = false;
            run_scripted(io, [&]() -> hw::task<> {
                hw::tcp::stream line = scripted_socket();
                co_await line.write("accepted");
                io.when_idle([&] { io.complete(*io.find(hw::detail::op_kind::send, wire), -EHOSTUNREACH); });
                co_await hw::sleep_for(1ms);
                hw::result<void> r;
                if (what == 0) r = co_await hw::as_result(line.flush());
                if (what == 2) r = co_await hw::as_result(line.close());
                if (what == 1) {
                    auto w = co_await hw::as_result(line.write("more"));
                    if (!w) r = w.error();
                }
                REQUIRE_FALSE(r);
                CHECK(r.error().code() == system(EHOSTUNREACH));
                CHECK(r.error().peer() == "example.test (127.0.0.1:443)");
            });
        }
    }
}

TEST_SUITE("a tcp::stream and its reactor") {
    TEST_CASE("the wrong thread, in words") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            hw::tcp::stream& line = near;
            std::string words, accept_words;
            std::thread other{[&] {
                hw::run([](hw::tcp::stream& s, hw::tcp::listener& l, std::string& said, std::string& said_by_listener) -> hw::task<> {
                    char into[10];
                    auto r = co_await hw::as_result(s.read_some(into));
                    if (!r && r.error() == errc::no_reactor) said = r.error().message();
                    auto w = co_await hw::as_result(s.write("x"));
                    if (w || !(w.error() == errc::no_reactor)) said = "written";
                    auto a = co_await hw::as_result(l.accept());
                    if (!a && a.error() == errc::no_reactor) said_by_listener = a.error().message();
                }(line, door, words, accept_words));
            }};
            other.join();
            CHECK(words.find("the stream belongs to the reactor of another thread") != std::string::npos);
            CHECK(words.find(line.peer_name()) != std::string::npos);
            CHECK(accept_words.find("the listener belongs to the reactor of another thread") != std::string::npos);
            co_await far.write("undisturbed");
            auto chunk = co_await line.read();
            CHECK(hw::as_text(*chunk) == "undisturbed");
        }());
    }
    TEST_CASE("outside run() nothing can be made, in words") {
        try {
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            FAIL("a listener without a reactor");
        } catch (const hw::error& e) {
            CHECK(e.info() == errc::no_reactor);
            CHECK(std::string_view{e.what()}.find("hawser::run()") != std::string_view::npos);
            CHECK(std::string_view{e.what()}.find("127.0.0.1:0") != std::string_view::npos);
        }
    }
    TEST_CASE("one that outlives run() answers no_reactor, and is closed") {
        hw::tcp::stream near, far;
        std::optional<hw::tcp::listener> door;
        hw::run([&]() -> hw::task<> {
            auto pair = co_await tcp_pair();
            near = std::move(pair.first);
            far = std::move(pair.second);
            door.emplace(hw::endpoint::loopback(0));
            co_await near.write("accepted, never sent");
        }());
        CHECK(near.native_handle() == -1);
        const auto use = [&]() -> hw::task<> {
            char into[10];
            auto r = co_await hw::as_result(near.read_some(into));
            CHECK((!r && r.error() == errc::no_reactor));
            auto l = co_await hw::as_result(near.read());
            CHECK((!l && l.error() == errc::no_reactor));
            auto w = co_await hw::as_result(near.write("x"));
            CHECK((!w && w.error() == errc::no_reactor));
            auto f = co_await hw::as_result(near.flush());
            CHECK((!f && f.error() == errc::no_reactor));
            auto a = co_await hw::as_result(door->accept());
            CHECK((!a && a.error() == errc::no_reactor));
            co_await near.close();
            auto closed = co_await hw::as_result(near.read_some(into));
            CHECK((!closed && closed.error() == errc::closed));
        };
        hw::run(use());
        // far and door are destroyed without a reactor
    }
    TEST_CASE("run() does not wait for what a kept stream has not sent to a peer that does not read") {
        hw::tcp::stream kept;
        const auto before = hw::clock::now();
        hw::run([&]() -> hw::task<> {
            auto [line, peer] = co_await with_raw_peer(tight);
            auto w = co_await hw::as_result(hw::with_timeout(20ms, line.write(pattern(4 << 20))));
            CHECK_FALSE(w.has_value());
            kept = std::move(line);
            static std::optional<raw_socket> silent;
            silent.emplace(std::move(peer));
        }());
        CHECK(hw::clock::now() - before < 1s);
    }
    TEST_CASE("a static or global one may be destroyed long after") {
        auto* leftover = new hw::tcp::stream;
        hw::run([&]() -> hw::task<> {
            auto pair = co_await tcp_pair();
            *leftover = std::move(pair.first);
        }());
        hw::run([&]() -> hw::task<> {
            delete leftover;
            co_return;
        }());
    }
    TEST_CASE("a stopped task's operations are refused, and data that is there beats the stop") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            hw::tcp::stream &line = near, &other = far;
            co_await other.write("x");
            co_await hw::sleep_for(1ms);
            co_await hw::with_scope([&](hw::scope& s) -> hw::task<> {
                s.request_stop();
                auto w = co_await hw::as_result(line.write("y"));
                CHECK((!w && w.error() == errc::cancelled));
                co_return;
            });
            auto chunk = co_await line.read();
            CHECK(hw::as_text(*chunk) == "x");
            co_await other.shutdown_send();
            auto nothing = co_await line.read();
            CHECK_FALSE(nothing.has_value());
        }());
    }
}
