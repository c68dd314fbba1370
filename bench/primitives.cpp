// What coroutines cost by themselves: tasks, switches, synchronisation, timers. asio_primitives.cpp does the same in Asio.

#include <cstdlib>

#include <hawser/hawser.hpp>

#include "support/rows.hpp"

namespace hw = hawser;
using namespace std::chrono_literals;

namespace {

hw::task<> nothing() { co_return; }

hw::task<std::size_t> same(std::size_t i) { co_return i; }

hw::task<std::size_t> same_after_a_turn(std::size_t i) {
    co_await hw::yield();
    co_return i;
}

hw::task<> spawn(std::size_t count) {
    constexpr std::size_t batch = 100;
    for (std::size_t done = 0; done < count; done += batch) {
        auto children = [](hw::scope& s) {
            for (std::size_t i = 0; i < batch; ++i) s.spawn(nothing);
        };
        co_await hw::with_scope(children);
    }
}

/// Sums up, so that the value is used.
template <auto Child> hw::task<> await_child(std::size_t count) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += co_await Child(i);
    if (sum != count * (count - 1) / 2) std::abort();
}

hw::task<> yield(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) co_await hw::yield();
}

hw::task<> yield_among_100(std::size_t count) {
    auto children = [=](hw::scope& s) {
        for (int i = 0; i < 100; ++i) s.spawn(yield, count / 100);
    };
    co_await hw::with_scope(children);
}

hw::task<> send_all(hw::channel<std::size_t>& to, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) co_await to.send(i);
    to.close();
}

hw::task<> through_channel(std::size_t count) {
    hw::channel<std::size_t> values{16};
    auto both = [&](hw::scope& s) -> hw::task<> {
        s.spawn(send_all, std::ref(values), count);
        while (co_await values.receive()) {}
    };
    co_await hw::with_scope(both);
}

hw::generator<std::size_t> numbers(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) co_yield i;
}

hw::task<> generate(std::size_t count) {
    auto all = numbers(count);
    while (co_await all.next()) {}
}

hw::task<> lock_and_unlock(std::size_t count) {
    hw::mutex m;
    for (std::size_t i = 0; i < count; ++i) auto guard = co_await m.lock();
}

hw::task<> lock_often(hw::mutex& m, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        auto guard = co_await m.lock();
        co_await hw::yield();
    }
}

/// Each holds the mutex for a turn, in which the other waits for it.
hw::task<> lock_against_another(std::size_t count) {
    hw::mutex m;
    co_await hw::when_all(lock_often(m, count / 2), lock_often(m, count / 2));
}

hw::task<> acquire_and_release(std::size_t count) {
    hw::semaphore s{1};
    for (std::size_t i = 0; i < count; ++i) {
        co_await s.acquire();
        s.release();
    }
}

hw::task<> answer(hw::event& question, hw::event& reply, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        co_await question.wait();
        question.reset();
        reply.set();
    }
}

/// Half of the waits are there, half in the other task.
hw::task<> ask_and_wait(std::size_t count) {
    hw::event question, reply;
    auto both = [&](hw::scope& s) -> hw::task<> {
        s.spawn(answer, std::ref(question), std::ref(reply), count / 2);
        for (std::size_t i = 0; i < count / 2; ++i) {
            question.set();
            co_await reply.wait();
            reply.reset();
        }
    };
    co_await hw::with_scope(both);
}

hw::task<> timeouts(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) co_await hw::with_timeout(1h, hw::yield());
}

hw::task<> sleeps(std::size_t count) {
    auto children = [=](hw::scope& s) {
        for (std::size_t i = 0; i < count; ++i) {
            s.spawn([](hw::duration d) -> hw::task<> { co_await hw::sleep_for(d); }, 1ms + i % 1000 * 1ms);
        }
    };
    co_await hw::with_scope(children);
}

hw::task<> run(const bench::rounds_options& options) {
    std::vector<bench::row<hw::task<>>> rows{
        {"spawn and finish", 200'000, spawn},
        {"await a child", 400'000, await_child<same>},
        {"await a child that yields", 200'000, await_child<same_after_a_turn>},
        {"yield, 1 task", 400'000, yield},
        {"yield, 100 tasks", 400'000, yield_among_100},
        {"channel: send and receive", 200'000, through_channel},
        {"generator: next", 400'000, generate},
        {"mutex: lock and unlock", 400'000, lock_and_unlock},
        {"mutex: lock against another task, yield, unlock", 200'000, lock_against_another},
        {"semaphore: acquire and release", 400'000, acquire_and_release},
        {"event: set and wait", 200'000, ask_and_wait},
        {"timeout around a yield", 200'000, timeouts},
        {"sleep, 100,000 at once", 100'000, sleeps},
    };
    bench::leave_only(rows, options.only);
    co_await bench::measure(rows, options.rounds);
    bench::print(rows, options.json);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"CPU time of hawser's coroutines by themselves"};
    const bench::rounds_options options = bench::parse_rounds_options(app, argc, argv);
    return hw::run_main(run(options));
}
