// Socket options, and tcp::listener.

#include <sys/resource.h>
#include <sys/wait.h>

#include <hawser/coro/when_all.hpp>
#include <hawser/coro/when_any.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/reactor/run_on_threads.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/test/fake_backend.hpp>

#include "support/doctest.hpp"
#include "support/sockets.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;
namespace hw = hawser;
using hw::errc;

namespace {

int option(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    ::getsockopt(fd, level, name, &value, &size);
    return value;
}
int nodelay(const hw::any_stream& s) { return option(s.native_handle(), IPPROTO_TCP, TCP_NODELAY); }

/// Most connections that the kernel keeps for a listener.
unsigned backlog_of(int fd) {
    tcp_info info{};
    socklen_t size = sizeof info;
    ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info.tcpi_sacked;
}

template <class F> std::optional<hw::error_info> error_of(F f) {
    try {
        f();
    } catch (const hw::error& e) {
        return e.info();
    }
    return {};
}

/// Runs `body` in a process of its own, which may change limits; gives its exit status.
template <class F> int in_child(F body) {
    const pid_t child = ::fork();
    if (child == 0) {
        int status = 99;
        try {
            status = body();
        } catch (const std::exception& e) {
            std::fprintf(stderr, "child: %s\n", e.what());
        }
        ::_exit(status);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
}

}  // namespace

TEST_SUITE("socket options") {
    TEST_CASE("nodelay is on unless it is said otherwise, on both sides") {
        hw::run([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            CHECK(nodelay(near) == 1);
            CHECK(nodelay(far) == 1);
            hw::connect_options off;
            off.socket.nodelay = false;
            hw::tcp::listen_options listen_off;
            listen_off.socket.nodelay = false;
            auto [near2, far2] = co_await tcp_pair(off, listen_off);
            CHECK(nodelay(near2) == 0);
            CHECK(nodelay(far2) == 0);
        }());
    }
    TEST_CASE("keepalive and buffers reach the socket, and what a listener accepts") {
        const hw::socket_options set{.keepalive = true, .keepalive_idle = 30s, .keepalive_interval = 1500ms, .keepalive_probes = 4,
                                     .send_buffer = 20'000, .receive_buffer = 30'000};
        hw::run([](const hw::socket_options& given) -> hw::task<> {
            hw::connect_options connecting;
            hw::tcp::listen_options listening;
            connecting.socket = listening.socket = given;
            auto [near, far] = co_await tcp_pair(connecting, listening);
            for (const hw::any_stream* s : {static_cast<hw::any_stream*>(&near), static_cast<hw::any_stream*>(&far)}) {
                const int fd = s->native_handle();
                CHECK(option(fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
                CHECK(option(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 30);
                CHECK(option(fd, IPPROTO_TCP, TCP_KEEPINTVL) == 2);  // whole seconds, rounded up
                CHECK(option(fd, IPPROTO_TCP, TCP_KEEPCNT) == 4);
                CHECK(option(fd, SOL_SOCKET, SO_SNDBUF) == 40'000);  // the kernel doubles it
                CHECK(option(fd, SOL_SOCKET, SO_RCVBUF) == 60'000);
            }
        }(set));
    }
    TEST_CASE("by default keepalive is off and the kernel's buffers are its own") {
        hw::run([]() -> hw::task<> {
            raw_socket plain{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            CHECK(option(door.native_handle(), SOL_SOCKET, SO_KEEPALIVE) == 0);
            CHECK(option(door.native_handle(), SOL_SOCKET, SO_SNDBUF) == option(plain.fd(), SOL_SOCKET, SO_SNDBUF));
            CHECK(option(door.native_handle(), SOL_SOCKET, SO_RCVBUF) == option(plain.fd(), SOL_SOCKET, SO_RCVBUF));
            co_return;
        }());
    }
    TEST_CASE("descriptors are not inherited by child processes") {
        hw::run([]() -> hw::task<> {
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            auto both = co_await hw::when_all(hw::tcp::connect(door.local_endpoint()), door.accept());
            for (const int fd : {door.native_handle(), std::get<0>(both).native_handle(), std::get<1>(both).native_handle()}) {
                CHECK(::fcntl(fd, F_GETFD) == FD_CLOEXEC);
            }
        }());
    }
    TEST_CASE("option structs are trivially destructible: g++ 12 destroys temporaries of them twice") {
        static_assert(std::is_trivially_destructible_v<hw::socket_options> && std::is_trivially_destructible_v<hw::connect_options> &&
                      std::is_trivially_destructible_v<hw::tcp::listen_options> && std::is_trivially_destructible_v<hw::resolve_options> &&
                      std::is_trivially_destructible_v<hw::reactor_options>);
    }
}

TEST_SUITE("tcp::listener") {
    TEST_CASE("port 0 is chosen by the kernel and told; a dual-stack endpoint takes both families") {
        hw::run([]() -> hw::task<> {
            hw::tcp::listener door{hw::endpoint::any(0)};
            const hw::endpoint on = door.local_endpoint();
            CHECK(on.port() != 0);
            auto line = co_await hw::tcp::connect(hw::endpoint::loopback(on.port()));
            auto far = co_await door.accept();
            CHECK(far.remote_endpoint().port() == line.local_endpoint().port());
        }());
    }
    TEST_CASE("an address in use: says which and what to look at") {
        hw::run([]() -> hw::task<> {
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            const hw::endpoint taken = door.local_endpoint();
            const auto why = error_of([&] { hw::tcp::listener second{taken}; });
            REQUIRE(why.has_value());
            CHECK(why->code() == std::error_code{EADDRINUSE, std::system_category()});
            CHECK(why->doing() == hw::phase::listen);
            CHECK(why->message() == "listen on " + taken.to_string() + ": Address already in use: bind (another program listens there)");
            co_return;
        }());
    }
    TEST_CASE("an address that is not ours") {
        hw::run([]() -> hw::task<> {
            const auto why = error_of([] { hw::tcp::listener door{hw::endpoint::parse("192.0.2.1:0").value()}; });
            REQUIRE(why.has_value());
            CHECK(why->code() == std::error_code{EADDRNOTAVAIL, std::system_category()});
            CHECK(why->message().find("192.0.2.1:0") != std::string::npos);
            co_return;
        }());
    }
    TEST_CASE("reuse_port lets two listeners share a port; so does run_on_threads by itself") {
        hw::run([]() -> hw::task<> {
            hw::tcp::listen_options share;
            share.reuse_port = true;
            hw::tcp::listener first{hw::endpoint::loopback(0), share};
            hw::tcp::listener second{first.local_endpoint(), share};
            CHECK(second.local_endpoint() == first.local_endpoint());
            CHECK(option(first.native_handle(), SOL_SOCKET, SO_REUSEPORT) == 1);
            hw::tcp::listener alone{hw::endpoint::loopback(0)};
            CHECK(option(alone.native_handle(), SOL_SOCKET, SO_REUSEPORT) == 0);
            co_return;
        }());
        std::atomic<int> shared{0};
        hw::run_on_threads(2, [&shared]() -> hw::task<> {
            return [](std::atomic<int>& count) -> hw::task<> {
                hw::tcp::listener door{hw::endpoint::loopback(0)};
                count += option(door.native_handle(), SOL_SOCKET, SO_REUSEPORT);
                co_return;
            }(shared);
        });
        CHECK(shared == 2);
    }
    TEST_CASE("a server may be started again at once, while old connections wait for their end") {
        hw::run([]() -> hw::task<> {
            hw::endpoint where;
            {
                hw::tcp::listener door{hw::endpoint::loopback(0)};
                where = door.local_endpoint();
                auto both = co_await hw::when_all(hw::tcp::connect(where), door.accept());
                co_await std::get<1>(both).close(10ms);  // the side that ends first waits (TIME_WAIT)
                co_await std::get<0>(both).close(10ms);
            }
            hw::tcp::listener again{where};
            CHECK(again.local_endpoint() == where);
        }());
    }
    TEST_CASE("the backlog is what was asked for, capped by the kernel") {
        unsigned most = 0;
        if (FILE* f = std::fopen("/proc/sys/net/core/somaxconn", "r")) {
            if (std::fscanf(f, "%u", &most) != 1) most = 0;
            std::fclose(f);
        }
        hw::run([](unsigned cap) -> hw::task<> {
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            CHECK(backlog_of(door.native_handle()) == std::min<unsigned>(hw::defaults::backlog, cap));
            hw::tcp::listen_options few;
            few.backlog = 7;
            hw::tcp::listener small{hw::endpoint::loopback(0), few};
            CHECK(backlog_of(small.native_handle()) == 7);
            co_return;
        }(most));
    }
    TEST_CASE("a cancelled accept() keeps the connection for the next") {
        hw::run([]() -> hw::task<> {
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            for (int i = 0; i < 50; ++i) {  // the cancel meets the connection in every order
                CAPTURE(i);
                auto connects = [&]() -> hw::task<hw::tcp::stream> {
                    for (int j = 0; j < i % 5; ++j) co_await hw::yield();
                    co_return co_await hw::tcp::connect(door.local_endpoint());
                };
                auto accepts = [&]() -> hw::task<hw::tcp::stream> {
                    for (int tries = 0;; ++tries) {
                        auto got = co_await hw::as_result(hw::with_timeout(tries < 20 ? hw::duration{20us * (i % 7)} : hw::duration{1s}, door.accept()));
                        if (got) co_return *std::move(got);
                        CHECK(got.error() == errc::timed_out);
                    }
                };
                auto both = co_await hw::when_all(connects(), accepts());
                CHECK(std::get<0>(both).local_endpoint() == std::get<1>(both).remote_endpoint());
            }
        }());
    }
    TEST_CASE("a connection that comes between the stop and its effect is given to the same accept(), or to the next") {
        using hw::test::fake_backend;
        for (const bool gone : {false, true}) {  // whether the stopped accept() has ended before the connection comes
            CAPTURE(gone);
            fake_backend io;
            io.cancels_complete = false;
            hw::test::run_on(io, [](fake_backend& b, bool late) -> hw::task<> {
                hw::tcp::listener door{hw::endpoint::loopback(0)};
                hw::detail::op* o = nullptr;
                b.when_idle([&b, &o, late] {
                    o = b.find(hw::detail::op_kind::accept);
                    REQUIRE(o != nullptr);
                    if (!late) b.advance(1s);  // the timer and the completion come in one turn
                    if (!late) b.complete(*o, fake_backend::descriptor(7));
                });
                auto first = co_await hw::as_result(hw::with_timeout(1s, door.accept()));
                if (late) {
                    REQUIRE_FALSE(first);
                    CHECK(first.error() == errc::timed_out);
                    b.complete(*o, fake_backend::descriptor(7));
                    co_await hw::yield();
                    co_await hw::yield();
                }
                if (late) first = co_await hw::as_result(hw::with_timeout(1s, door.accept()));
                REQUIRE(first);
                CHECK(first->native_handle() == fake_backend::descriptor(7));
            }(io, gone));
        }
    }
    TEST_CASE("a second accept() is busy; close() ends the waiting one, accepted streams go on") {
        hw::run([]() -> hw::task<> {
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            auto [near, far] = co_await hw::when_all(hw::tcp::connect(door.local_endpoint()), door.accept());
            hw::any_stream& here = near;
            hw::any_stream& there = far;
            auto waits = [&]() -> hw::task<> {
                auto r = co_await hw::as_result(door.accept());
                CHECK((!r && r.error() == errc::closed));
            };
            auto closes = [&]() -> hw::task<> {
                auto r = co_await hw::as_result(door.accept());
                CHECK((!r && r.error() == errc::busy));
                door.close();
                door.close();
                auto later = co_await hw::as_result(door.accept());
                CHECK((!later && later.error() == errc::closed));
            };
            co_await hw::when_all(waits(), closes());
            co_await hw::sleep_for(1ms);
            CHECK(door.native_handle() == -1);
            co_await here.write("goes on");
            auto chunk = co_await there.read();
            CHECK(hw::as_text(*chunk) == "goes on");
        }());
    }
    TEST_CASE("destroyed while an accept() waits: closed") {
        hw::run([]() -> hw::task<> {
            std::optional<hw::tcp::listener> door{std::in_place, hw::endpoint::loopback(0)};
            auto waits = [&]() -> hw::task<> {
                auto r = co_await hw::as_result(door->accept());
                CHECK((!r && r.error() == errc::closed));
            };
            auto destroys = [&]() -> hw::task<> {
                co_await hw::yield();
                door.reset();
            };
            co_await hw::when_all(waits(), destroys());
        }());
    }
    TEST_CASE("connections that come and go, or reset before they are accepted, do no harm") {
        hw::run([]() -> hw::task<> {
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            for (int i = 0; i < 5; ++i) raw_socket::connect(door.local_endpoint()).reset();
            raw_socket alive = raw_socket::connect(door.local_endpoint());
            for (;;) {
                auto line = co_await hw::with_timeout(1s, door.accept());
                if (line.remote_endpoint() == hw::detail::endpoint_of(alive.fd(), ::getsockname)) break;
            }
        }());
    }
    TEST_CASE("out of descriptors: accept() waits without spinning, and goes on when there are some") {
        const int status = in_child([] {
            int failed = 0;
            const auto expect = [&](bool yes, int code) { if (!yes && !failed) failed = code; };
            hw::run([](auto check) -> hw::task<> {
                hw::tcp::listener door{hw::endpoint::loopback(0)};
                raw_socket waiting = raw_socket::connect(door.local_endpoint());
                std::vector<int> all;
                for (int fd; (fd = ::dup(0)) >= 0;) {
                    all.push_back(fd);
                    if (all.size() > 64) {  // now fix the limit at what is open
                        const rlimit few{static_cast<rlim_t>(fd) + 1, static_cast<rlim_t>(fd) + 1};
                        ::setrlimit(RLIMIT_NOFILE, &few);
                    }
                }
                const auto turns = hw::reactor::current()->turns();
                auto r = co_await hw::as_result(hw::with_timeout(150ms, door.accept()));
                check(!r && r.error() == errc::timed_out, 1);
                check(hw::reactor::current()->turns() - turns < 12, 2);
                auto frees = [&]() -> hw::task<> {
                    co_await hw::sleep_for(20ms);
                    ::close(all.back());
                    all.pop_back();
                };
                const auto before = hw::clock::now();
                auto got = co_await hw::when_all(hw::with_timeout(2s, door.accept()), frees());
                check(std::get<0>(got).is_open(), 3);
                check(hw::clock::now() - before < 600ms, 4);
                check(hw::clock::now() - before >= 20ms, 5);
                // And connect() says what to change.
                auto none = co_await hw::as_result(hw::tcp::connect(door.local_endpoint()));
                check(!none && none.error().code().value() == EMFILE, 6);
                check(none.error().message().find("ulimit -n") != std::string::npos, 7);
                for (const int fd : all) ::close(fd);
            }(expect));
            return failed;
        });
        CHECK(status == 0);
    }
}
