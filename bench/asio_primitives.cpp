// What primitives.cpp measures, in Asio: what it has of it, and in the same words.

#if defined(__clang__) && !defined(ASIO_HAS_CO_AWAIT)
#define ASIO_HAS_CO_AWAIT 1  // Asio 1.22 knows only the coroutines that clang had before C++20
#define ASIO_HAS_STD_COROUTINE 1
#endif

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/experimental/channel.hpp>

#include <chrono>
#include <cstdlib>
#include <exception>

#include "support/rows.hpp"

using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;

namespace {

// With the type of the executor known, Asio calls it directly.
using executor = asio::io_context::executor_type;
template <class T = void> using task = asio::awaitable<T, executor>;
constexpr asio::use_awaitable_t<executor> await;
using steady_timer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, executor>;

asio::io_context context{1};

auto yield_once() { return asio::post(context, await); }

task<> nothing() { co_return; }

task<std::size_t> same(std::size_t i) { co_return i; }

task<std::size_t> same_after_a_turn(std::size_t i) {
    co_await yield_once();
    co_return i;
}

/// Spawns `count` times what `make(i)` gives, and waits until all have ended.
template <class Make> task<> spawn_all(std::size_t count, Make make) {
    steady_timer all_ended{context, steady_timer::time_point::max()};
    std::size_t running = count;
    for (std::size_t i = 0; i < count; ++i) {
        asio::co_spawn(context, make(i), [&](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
            if (--running == 0) all_ended.cancel();
        });
    }
    asio::error_code cancelled;
    co_await all_ended.async_wait(asio::redirect_error(await, cancelled));
}

task<> spawn(std::size_t count) {
    constexpr std::size_t batch = 100;
    for (std::size_t done = 0; done < count; done += batch) co_await spawn_all(batch, [](std::size_t) { return nothing(); });
}

template <auto Child> task<> await_child(std::size_t count) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += co_await Child(i);
    if (sum != count * (count - 1) / 2) std::abort();
}

task<> yield(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) co_await yield_once();
}

task<> yield_among_100(std::size_t count) {
    co_await spawn_all(100, [=](std::size_t) { return yield(count / 100); });
}

using channel = asio::experimental::basic_channel<executor, asio::experimental::channel_traits<>, void(asio::error_code, std::size_t)>;

task<> send_all(channel& to, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) co_await to.async_send(asio::error_code{}, i, await);
}

task<> through_channel(std::size_t count) {
    channel values{context, 16};
    asio::co_spawn(context, send_all(values, count), asio::detached);
    for (std::size_t i = 0; i < count; ++i) co_await values.async_receive(await);
}

task<> timeouts(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        steady_timer limit{context, 1h};
        co_await (yield_once() || limit.async_wait(await));
    }
}

task<> sleep(std::chrono::milliseconds d) {
    steady_timer timer{context, d};
    co_await timer.async_wait(await);
}

task<> sleeps(std::size_t count) {
    co_await spawn_all(count, [](std::size_t i) { return sleep(1ms + i % 1000 * 1ms); });
}

task<> run(const bench::rounds_options& options) {
    std::vector<bench::row<task<>>> rows{
        {"spawn and finish", 50'000, spawn},
        {"await a child", 200'000, await_child<same>},
        {"await a child that yields", 50'000, await_child<same_after_a_turn>},
        {"yield, 1 task", 100'000, yield},
        {"yield, 100 tasks", 100'000, yield_among_100},
        {"channel: send and receive", 50'000, through_channel},
        {"timeout around a yield", 10'000, timeouts},
        {"sleep, 100,000 at once", 100'000, sleeps},
    };
    bench::leave_only(rows, options.only);
    co_await bench::measure(rows, options.rounds);
    bench::print(rows, options.json);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"CPU time of Asio's coroutines by themselves"};
    const bench::rounds_options options = bench::parse_rounds_options(app, argc, argv);
    try {
        asio::co_spawn(context, run(options), [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        });
        context.run();
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "asio_primitives: %s\n", failure.what());
        return 1;
    }
}
