// Proper ends and resets on real sockets: what the peer of a stream sees, and what a stream sees of its peer.

#include <cerrno>

#include <hawser/coro/when_all.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/test/fake_backend.hpp>

#include "support/doctest.hpp"
#include "support/sockets.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;
namespace hw = hawser;
using hw::errc;
using hw::test::fake_backend;

namespace {


/// How sending on `to` fails at last: the news of a reset or of a peer that is gone.
hw::task<std::error_code> error_of_sending(hw::any_stream& to) {
    static_cast<void>(co_await hw::as_result(to.write("more")));
    co_return (co_await hw::as_result(to.flush())).error().code();
}

/// More than the buffers of such sockets and of a stream take while the peer does not read.
constexpr hw::tcp::listen_options tight{.socket = {.send_buffer = 8192, .receive_buffer = 8192}};
const std::string bulk = pattern(4 << 20);
/// Writes of it what the stream accepts, and says how much that was.
hw::task<std::size_t> fill(hw::any_stream& to) {
    auto wrote = co_await hw::as_result(hw::with_timeout(1ms, to.write(bulk)));
    REQUIRE(wrote.error() == errc::timed_out);
    CHECK(to.unsent() >= hw::defaults::send_buffer_limit);
    co_return wrote.error().transferred();
}

void check_cut(const raw_socket::ending& got, std::size_t accepted) {
    CHECK(got.error == ECONNRESET);
    CHECK(got.text.size() < accepted);
    CHECK((got.text == bulk.substr(0, got.text.size())));
}

/// Runs `use(stream, peer)` and gives how it ended for the peer, which reads nothing before the reactor is gone.
template <class F> raw_socket::ending seen_by_peer(hw::tcp::listen_options options, F use) {
    raw_socket other{-1};
    auto program = [&]() -> hw::task<> {
        auto [line, peer] = co_await with_raw_peer(options);
        other = std::move(peer);
        hw::tcp::stream mine = std::move(line);
        co_await use(mine, other);
    };
    hw::run(program());
    return other.receive_end();
}

/// Both ends of a real connection, for a stream on scripted completions.
std::pair<int, raw_socket> connected() {
    const int door = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const hw::detail::raw_address any = hw::detail::to_raw(hw::endpoint::loopback(0));
    if (::bind(door, &any.any, any.size) != 0 || ::listen(door, 1) != 0) std::abort();
    raw_socket peer = raw_socket::connect(hw::detail::endpoint_of(door, ::getsockname));
    const int fd = ::accept4(door, nullptr, nullptr, SOCK_CLOEXEC);
    ::close(door);
    return {fd, std::move(peer)};
}

}  // namespace

TEST_SUITE("a reset by the peer") {
    TEST_CASE("that a send has met is not taken for a proper end by the read after it") {
        for (const bool lends : {false, true}) {
            CAPTURE(lends);
            hw::run([](bool lent) -> hw::task<> {
                auto [line, peer] = co_await with_raw_peer();
                hw::tcp::stream& near = line;
                peer.send("half of the answ");
                peer.reset();
                CHECK(co_await error_of_sending(near) == system(ECONNRESET));
                std::size_t got = 0;
                hw::error_info failure = hw::error_info::none();
                while (!failure) {
                    std::size_t n = 0;
                    if (lent) {
                        auto chunk = co_await hw::as_result(near.read());
                        if (!chunk) failure = chunk.error();
                        else if (*chunk) n = (*chunk)->size();
                    } else {
                        char into[10];
                        auto some = co_await hw::as_result(near.read_some(into));
                        if (!some) failure = some.error();
                        else n = *some;
                    }
                    got += n;
                    REQUIRE((failure || n != 0));  // no proper end
                }
                CHECK(failure.code() == system(ECONNRESET));
                CHECK(failure.doing() == hw::phase::read);
                CHECK(got == 16);
            }(lends));
        }
    }
    TEST_CASE("nor by the first read of a stream that has only sent") {
        hw::run([]() -> hw::task<> {
            auto [line, peer] = co_await with_raw_peer();
            hw::tcp::stream& near = line;
            peer.reset();
            CHECK(co_await error_of_sending(near) == system(ECONNRESET));
            char into[10];
            auto read = co_await hw::as_result(near.read_some(into));
            REQUIRE_FALSE(read);
            CHECK(read.error().code() == system(ECONNRESET));
            auto again = co_await hw::as_result(near.read_some(into));
            REQUIRE_FALSE(again);
            CHECK(again.error().code() == system(ECONNRESET));
        }());
    }
    TEST_CASE("after its proper end leaves that a proper end: sending gets EPIPE") {
        hw::run([]() -> hw::task<> {
            auto [line, peer] = co_await with_raw_peer();
            hw::tcp::stream& near = line;
            peer.send("the whole answer");
            peer.close();
            std::error_code failed;
            while (!failed) failed = co_await error_of_sending(near);  // the first one makes the peer's kernel reset
            CHECK(failed == system(EPIPE));
            std::string all;
            while (auto chunk = co_await near.read()) all += hw::as_text(*chunk);
            CHECK(all == "the whole answer");
        }());
    }
}

TEST_SUITE("the peer of a stream sees a reset") {
    TEST_CASE("when close() could not send everything within its limit") {
        std::size_t accepted = 0;
        const raw_socket::ending got = seen_by_peer(tight, [&](hw::tcp::stream& line, raw_socket&) -> hw::task<> {
            accepted = co_await fill(line);
            auto closed = co_await hw::as_result(line.close(10ms));
            CHECK(closed.error() == errc::timed_out);
        });
        check_cut(got, accepted);
    }
    TEST_CASE("also where shutdown_send() was begun before, whose FIN waits behind the bytes") {
        std::size_t accepted = 0;
        const raw_socket::ending got = seen_by_peer(tight, [&](hw::tcp::stream& line, raw_socket&) -> hw::task<> {
            accepted = co_await fill(line);
            auto ended = co_await hw::as_result(hw::with_timeout(10ms, line.shutdown_send()));
            CHECK(ended.error() == errc::timed_out);
            auto closed = co_await hw::as_result(line.close(10ms));
            CHECK(closed.error() == errc::timed_out);
        });
        check_cut(got, accepted);
    }
    TEST_CASE("when the reactor ended with bytes unsent in a stream that was kept") {
        hw::tcp::stream kept;
        std::size_t accepted = 0;
        const raw_socket::ending got = seen_by_peer(tight, [&](hw::tcp::stream& line, raw_socket&) -> hw::task<> {
            accepted = co_await fill(line);
            kept = std::move(line);
        });
        check_cut(got, accepted);
        CHECK(kept.native_handle() == -1);
    }
    TEST_CASE("when a send that was cancelled did not send all, or something waited behind it") {
        struct {
            int result;  // of the send of 8 bytes
            bool more;
            int error;   // that the peer sees
        } const cases[] = {{8, false, 0}, {8, true, ECONNRESET}, {7, false, ECONNRESET}, {-ECANCELED, false, ECONNRESET}, {-EHOSTUNREACH, false, ECONNRESET}};
        for (const auto& c : cases) {
            CAPTURE(c.result);
            CAPTURE(c.more);
            fake_backend io;
            io.sends_complete = io.cancels_complete = false;
            auto [fd, peer] = connected();
            hw::tcp::stream kept;
            auto program = [&, own = fd]() -> hw::task<> {
                kept = hw::tcp::stream::make(*hw::reactor::current(), hw::detail::unique_fd{own}, hw::endpoint::loopback(443), {});
                co_await kept.write("all of 8");
                co_await hw::yield();
                if (c.more) co_await kept.write("and this");
                io.when_idle([&] { io.complete(*io.find(hw::detail::op_kind::send), c.result); });
            };
            hw::test::run_on(io, program());
            CHECK(peer.receive_end().error == c.error);
        }
    }
}

TEST_SUITE("the peer of a stream sees a FIN") {
    TEST_CASE("when all was sent, however the stream went") {
        enum { closed, destroyed, destroyed_at_once, half_closed, kept_beyond_the_reactor };
        for (const auto way : {closed, destroyed, destroyed_at_once, half_closed, kept_beyond_the_reactor}) {
            for (const std::size_t size : {std::size_t{0}, std::size_t{5}, std::size_t{50'000}}) {
                CAPTURE(static_cast<int>(way));
                CAPTURE(size);
                hw::tcp::stream kept;
                const std::string text = bulk.substr(0, size);
                const raw_socket::ending got = seen_by_peer({}, [&](hw::tcp::stream& line, raw_socket& peer) -> hw::task<> {
                    if (size) co_await line.write(text);
                    if (way == destroyed_at_once) peer.shutdown_send();  // else what is sent waits two seconds for that
                    else co_await line.flush();
                    // A silent peer that has everything is waited for, and is no reason for a reset.
                    if (way == closed) co_await line.close(10ms);
                    if (way == half_closed) co_await line.shutdown_send();
                    if (way == kept_beyond_the_reactor) kept = std::move(line);
                });
                CHECK(got.error == 0);
                CHECK((got.text == text));
            }
        }
    }
}
