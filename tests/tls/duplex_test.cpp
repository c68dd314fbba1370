// Both directions at once, through small buffers, on real sockets.

#include <hawser/hawser.hpp>

#include "support.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;

namespace {

// smaller receive buffers crawl on loopback by themselves: the window is less than a segment
const hw::socket_options small{.send_buffer = 8 * 1024, .receive_buffer = 128 * 1024};

/// Runs `body(client, server)` on the two ends of one TLS connection over TCP with small buffers.
template <class Body> void on_a_pair(Body body) {
    auto all = [&]() -> hw::task<> {
        hw::tls::listener_options options;
        options.tcp.socket = small;
        hw::tls::listener door{server_config(), hw::endpoint::loopback(0), options};
        hw::tls::stream server, client;
        auto accepts = [&]() -> hw::task<> {
            auto caller = co_await door.accept();
            server = co_await caller.handshake();
        };
        auto connects = [&]() -> hw::task<> {
            hw::tls::connect_options how;
            how.tcp.socket = small;
            client = co_await hw::tls::connect("localhost", std::to_string(door.local_endpoint().port()), client_config({}), how);
        };
        co_await hw::when_all(accepts(), connects());
        co_await body(client, server);
    };
    hw::run(all());
}

/// A stream of bytes that tells where it was cut, repeated or swapped.
class pattern {
public:
    std::string_view next(std::size_t n) {
        text_.resize(n);
        for (char& c : text_) c = byte();
        return text_;
    }
    bool matches(std::span<const std::byte> got) {
        for (std::byte b : got) if (static_cast<char>(b) != byte()) return false;
        return true;
    }

private:
    char byte() {
        if (left_ == 0) {
            state_ = state_ * 6364136223846793005u + 1442695040888963407u;
            word_ = state_ >> 8;
            left_ = 7;
        }
        --left_;
        const char c = static_cast<char>(word_);
        word_ >>= 8;
        return c;
    }
    std::string text_;
    std::uint64_t state_ = 42, word_ = 0;
    int left_ = 0;
};

hw::task<> send_pattern(hw::tls::stream& line, std::size_t total) {
    pattern p;
    for (std::size_t done = 0; done < total;) {
        const std::size_t n = std::min<std::size_t>(total - done, 1000 + done % 90'000);
        co_await line.write(p.next(n));
        done += n;
    }
    co_await line.shutdown_send();
}

hw::task<> check_pattern(hw::tls::stream& line, std::size_t total) {
    pattern p;
    std::size_t got = 0;
    while (auto chunk = co_await line.read()) {
        REQUIRE(p.matches(*chunk));
        got += chunk->size();
    }
    CHECK(got == total);
}

}  // namespace

TEST_CASE("a reader and a writer on each end move 256 MiB in each direction at once") {
    on_a_pair([](hw::tls::stream& client, hw::tls::stream& server) -> hw::task<> {
        constexpr std::size_t total = std::size_t{256} << 20;
        co_await hw::when_all(send_pattern(client, total), check_pattern(client, total), send_pattern(server, total),
                              check_pattern(server, total));
    });
}

TEST_CASE("both sides may write before they read, up to the limits of the buffers") {
    on_a_pair([](hw::tls::stream& client, hw::tls::stream& server) -> hw::task<> {
        const std::string much(hw::defaults::send_buffer_limit, 'm');
        auto talk = [&](hw::tls::stream& line) -> hw::task<> {
            co_await line.write(much);
            std::string back(much.size(), '\0');
            co_await hw::read_exactly(line, back);
            CHECK(back == much);
        };
        co_await hw::when_all(talk(client), talk(server));
    });
}

TEST_CASE("a second reader or writer is refused, and the first goes on") {
    on_a_pair([](hw::tls::stream& client, hw::tls::stream& server) -> hw::task<> {
        char first[8], second[8];
        auto children = [&](hw::scope& s) -> hw::task<> {
            s.spawn([&]() -> hw::task<> { CHECK(co_await client.read_some(first) == 4); });
            co_await hw::yield();
            auto busy = co_await hw::as_result(client.read_some(second));
            CHECK(busy.error() == errc::busy);
            co_await server.write("data");
        };
        co_await hw::with_scope(children);
        auto empty = co_await hw::as_result(client.read_some(std::span<char>{}));
        CHECK(empty.error() == errc::invalid_argument);
    });
}

TEST_CASE("a stream destroyed without close() sends what it had accepted, and is seen as cut") {
    on_a_pair([](hw::tls::stream& client, hw::tls::stream& server) -> hw::task<> {
        const std::string much(200'000, 'q');
        co_await client.write(much);
        client = hw::tls::stream{};
        std::string got;
        for (;;) {
            auto chunk = co_await hw::as_result(server.read());
            if (!chunk) {
                CHECK(chunk.error() == errc::truncated);
                break;
            }
            REQUIRE(chunk->has_value());
            got += as_text(**chunk);
        }
        CHECK(got == much);
    });
}

TEST_CASE("a stream moved or closed while others wait on it") {
    on_a_pair([](hw::tls::stream& client, hw::tls::stream& server) -> hw::task<> {
        char into[8];
        hw::tls::stream elsewhere;
        auto children = [&](hw::scope& s) -> hw::task<> {
            s.spawn([&]() -> hw::task<> { CHECK(co_await client.read_some(into) == 3); });
            co_await hw::yield();
            elsewhere = std::move(client);
            co_await server.write("abc");
        };
        co_await hw::with_scope(children);
        auto closing = [&](hw::scope& s) -> hw::task<> {
            s.spawn([&]() -> hw::task<> {
                auto n = co_await hw::as_result(elsewhere.read_some(into));
                CHECK(n.error() == errc::closed);
            });
            co_await hw::yield();
            co_await elsewhere.close();
            co_await elsewhere.close();
        };
        co_await hw::with_scope(closing);
        auto late = co_await hw::as_result(elsewhere.write("late"));
        CHECK(late.error() == errc::closed);
    });
}

TEST_CASE("every read under a short random timeout: nothing is lost") {
    on_a_pair([](hw::tls::stream& client, hw::tls::stream& server) -> hw::task<> {
        constexpr std::size_t total = std::size_t{8} << 20;
        std::size_t timeouts = 0;
        auto reads = [&]() -> hw::task<> {
            pattern p;
            std::mt19937 random{7};
            std::vector<std::byte> into(30'000);
            for (std::size_t got = 0; got < total;) {
                auto n = co_await hw::as_result(hw::with_timeout(std::chrono::microseconds{random() % 300}, server.read_some(into)));
                if (!n) {
                    REQUIRE(n.error() == errc::timed_out);
                    ++timeouts;
                    continue;
                }
                REQUIRE(p.matches(std::span<const std::byte>{into}.first(*n)));
                got += *n;
            }
        };
        co_await hw::when_all(send_pattern(client, total), reads());
        CHECK(timeouts > 0);
    });
}
