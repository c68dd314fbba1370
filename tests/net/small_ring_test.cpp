// Rings that are too small for the work: nothing fails, nothing is lost, nothing is reordered.

#include <hawser/coro/when_all.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/net/connect.hpp>
#include <hawser/reactor/run.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/stream/algorithms.hpp>

#include "support/doctest.hpp"

namespace hw = hawser;

namespace {

hw::task<> echo(hw::tcp::stream line) {
    while (auto chunk = co_await line.read()) co_await line.write(*chunk);
    co_await line.close();
}

hw::task<> serve(hw::tcp::listener* door, int count) {
    auto children = [&](hw::scope& s) -> hw::task<> {
        for (int i = 0; i < count; ++i) s.spawn(echo, co_await door->accept());
    };
    co_await hw::with_scope(children);
}

hw::task<> talk(hw::endpoint to, int seed) {
    auto line = co_await hw::tcp::connect(to);
    std::string sent(100'000, '\0');
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 31 + static_cast<std::size_t>(seed) * 7 + i / 251);
    auto writes = [&]() -> hw::task<> {
        co_await line.write(sent);
        co_await line.shutdown_send();
    };
    std::string got;
    auto reads = [&]() -> hw::task<> { got = co_await hw::read_all(line); };
    co_await hw::when_all(writes(), reads());
    CHECK(got == sent);
    co_await line.close();
}

void many_talk(const hw::reactor_options& options) {
    constexpr int count = 40;
    auto all = [&]() -> hw::task<> {
        hw::tcp::listener door{hw::endpoint::loopback(0)};
        auto children = [&](hw::scope& s) {
            s.spawn(serve, &door, count);
            for (int i = 0; i < count; ++i) s.spawn(talk, door.local_endpoint(), i);
        };
        co_await hw::with_scope(children);
    };
    hw::run(all(), options);
}

}  // namespace

TEST_CASE("two buffers for eighty connections: receives starve and take turns") {
    many_talk({.receive_buffers = 2, .receive_buffer_size = 512});
}

TEST_CASE("a submission queue of one entry") { many_talk({.entries = 1}); }

TEST_CASE("a submission queue of one entry and one buffer") {
    many_talk({.entries = 1, .receive_buffers = 1, .receive_buffer_size = 1024});
}

TEST_CASE("without multishot receive, as on kernels before 6.0") { many_talk({.multishot_receive = false}); }

TEST_CASE("a peer that sends more than is read is received piece by piece, and no byte is lost") {
    auto all = []() -> hw::task<> {
        hw::tcp::listener door{hw::endpoint::loopback(0)};
        constexpr std::size_t size = std::size_t{24} << 20;
        const auto pattern = [](std::size_t at) { return static_cast<char>(at * 31 + at / 65'521); };
        auto sends = [&]() -> hw::task<> {
            auto line = co_await door.accept();
            std::string block(std::size_t{1} << 20, '\0');
            for (std::size_t sent = 0; sent < size; sent += block.size()) {
                for (std::size_t i = 0; i < block.size(); ++i) block[i] = pattern(sent + i);
                co_await line.write(block);
            }
            co_await line.close();
        };
        auto reads = [&]() -> hw::task<> {
            auto line = co_await hw::tcp::connect(door.local_endpoint());
            std::string into(3 * 16384 + 1, '\0');
            std::size_t got = 0;
            bool right = true;
            // Now slower than the sender, now faster: it is paused, received by pieces, and by multishot again.
            for (std::size_t round = 0;; ++round) {
                if (round % 64 < 32) for (int turn = 0; turn < 4; ++turn) co_await hw::yield();
                const std::size_t n = co_await line.read_some(into);
                if (n == 0) break;
                for (std::size_t i = 0; i < n; ++i) right = right && into[i] == pattern(got + i);
                got += n;
            }
            CHECK(got == size);
            CHECK(right);
        };
        co_await hw::when_all(sends(), reads());
    };
    for (const unsigned buffers : {256u, 4u}) hw::run(all(), {.receive_buffers = buffers});
    hw::run(all(), {.multishot_receive = false});
}

TEST_CASE("options that make no sense are refused, in words") {
    const auto refusal = [](const hw::reactor_options& options) -> std::string {
        try {
            hw::run([]() -> hw::task<> { co_return; }(), options);
        } catch (const hw::error& e) {
            const bool invalid = e.code() == hw::errc::invalid_argument;
            CHECK(invalid);
            return e.what();
        }
        return "accepted";
    };
    for (const unsigned count : {0u, 3u, 65536u}) {
        CHECK(refusal({.receive_buffers = count}).find("receive_buffers is no power of two") != std::string::npos);
        CHECK(refusal({.receive_buffers = count, .multishot_receive = false}) == "accepted");
    }
    CHECK(refusal({.receive_buffer_size = 0}).find("receive_buffer_size is 0") != std::string::npos);
    CHECK(refusal({.entries = 0}).find("entries is 0") != std::string::npos);
}
