#pragma once
// What the tests of mutex, semaphore, channel and generator share.

#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>

#include <hawser/coro/under.hpp>
#include <hawser/coro/with_scope.hpp>

#include "manual_loop.hpp"
#include "support/doctest.hpp"

namespace waiting_support {

inline unsigned long allocations = 0;

}  // namespace waiting_support

// Counts the allocations of the program that includes this; weak, so that each of its files may.
[[gnu::weak]] void* operator new(std::size_t size) {
    ++waiting_support::allocations;
    if (void* memory = std::malloc(size ? size : 1)) return memory;
    throw std::bad_alloc{};
}
[[gnu::weak]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::weak]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace waiting_support {

/// "done", "cancelled", or what else went wrong.
template <class T> std::string ending(const hawser::result<T>& r) {
    if (r) return "done";
    return r.error() == hawser::errc::cancelled ? "cancelled" : r.error().code().message();
}

/// Runs `f(scope&)`, a coroutine, and its children on a loop of their own.
template <class F> void in_scope(F f) {
    manual::loop loop;
    const auto program = [&]() -> hawser::task<> { co_await hawser::with_scope(f); };
    loop.run(program()).get();
}

inline hawser::task<> turns(int n) {
    for (int i = 0; i < n; ++i) co_await manual::turn{};
}

/// Awaits `op` under a stop source of the test's and notes how it ended; keeps what it gave until the task ends.
template <class Op> hawser::task<> note(Op op, std::string& into, hawser::stop_source& stop) {
    auto r = co_await hawser::as_result(hawser::detail::under{stop, std::move(op)});
    into = ending(r);
}

/// Where the stack is.
[[gnu::noinline]] inline std::intptr_t stack_depth() { return reinterpret_cast<std::intptr_t>(__builtin_frame_address(0)); }

/// Awaits `make()` 100,000 times: neither stack nor heap may grow by it.
template <class Make> hawser::task<> many_times(Make make) {
    co_await make();
    const unsigned long allocated = allocations;
    const std::intptr_t depth = stack_depth();
    bool level = true;
    for (int i = 0; i < 100'000; ++i) {
        (void)co_await hawser::as_result(make());
        const std::intptr_t off = stack_depth() - depth;
        level = level && off > -4096 && off < 4096;
    }
    CHECK(level);
    CHECK(allocations == allocated);
}

/// A stopped task that swallows each failure of `make()` and tries again: others must have their turns.
template <class Make> void check_that_retries_starve_nobody(Make make) {
    int tries = 0, others = 0;
    bool all_cancelled = true, over = false;
    in_scope([&](hawser::scope& s) -> hawser::task<> {
        hawser::stop_source stop;
        stop.request_stop();
        s.spawn([&]() -> hawser::task<> {
            while (!over && tries < 100'000) {
                ++tries;
                try {
                    co_await hawser::detail::under{stop, make()};
                    all_cancelled = false;
                } catch (...) {
                }
            }
        });
        for (; others < 10; ++others) co_await manual::turn{};
        over = true;
        co_await manual::turn{};
    });
    CHECK(all_cancelled);
    CHECK(others == 10);
    CHECK(tries > 100);
    CHECK(tries < 1000);
}

}  // namespace waiting_support
