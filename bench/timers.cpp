// Timers: what one costs when it is set and fires, and when it is set and cancelled, while so many others wait.
// `timers [ROUNDS]` prints a Markdown table: medians of ROUNDS rounds (5), in which the rows take turns.

#include <hawser/hawser.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "support/rows.hpp"

namespace hw = hawser;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t set_and_cancelled = 1'000'000;

std::minstd_rand random_numbers;

hw::duration some_time(hw::duration most = 1s) { return hw::duration{1 + static_cast<hw::duration::rep>(random_numbers()) % most.count()}; }

struct measured {
    const char* what;
    std::size_t waiting;  ///< timers that wait at the same time
    std::size_t count;    ///< timers in one round
    hw::task<double> (*round)(std::size_t waiting, std::size_t count);
    std::vector<double> nanoseconds{};  ///< of CPU for each timer, a figure per round
};

/// `waiting` tasks that sleep, all at once, each until a time of its own: set, and fired. 100 of them end in each
/// millisecond, or more so that none sleeps for more than a second: what a turn of the loop costs is shared by as many.
hw::task<double> sleeps(std::size_t waiting, std::size_t count) {
    const hw::duration most = std::min<hw::duration>(1s, waiting * 10us);
    const double before = bench::cpu_nanoseconds();
    for (std::size_t done = 0; done < count; done += waiting) {
        auto all = [=](hw::scope& s) {
            for (std::size_t i = 0; i < waiting; ++i) s.spawn([](hw::duration d) -> hw::task<> { co_await hw::sleep_for(d); }, some_time(most));
        };
        co_await hw::with_scope(all);
    }
    co_return (bench::cpu_nanoseconds() - before) / static_cast<double>(count);
}

hw::task<> wait_under_timeout(hw::event& over, hw::duration limit) { co_await hw::with_timeout(limit, over.wait()); }

/// `waiting` tasks at once, each of which waits under a timeout for what comes first: set, and cancelled.
hw::task<double> timeouts(std::size_t waiting, std::size_t count) {
    const double before = bench::cpu_nanoseconds();
    for (std::size_t done = 0; done < count; done += waiting) {
        hw::event over;
        auto all = [&](hw::scope& s) -> hw::task<> {
            for (std::size_t i = 0; i < waiting; ++i) s.spawn(wait_under_timeout, std::ref(over), 1h + some_time());
            co_await hw::yield();
            over.set();
        };
        co_await hw::with_scope(all);
    }
    co_return (bench::cpu_nanoseconds() - before) / static_cast<double>(count);
}

/// The same for one task after the other, under timers of others that wait meanwhile.
hw::task<double> timeouts_among(std::size_t waiting, std::size_t count) {
    double each = 0;
    auto all = [&](hw::scope& s) -> hw::task<> {
        for (std::size_t i = 1; i < waiting; ++i) s.spawn([](hw::duration d) -> hw::task<> { co_await hw::sleep_for(d); }, 1h + some_time());
        co_await hw::yield();
        co_await hw::yield();
        const double before = bench::cpu_nanoseconds();
        for (std::size_t i = 0; i < count; ++i) co_await hw::with_timeout(1h + some_time(), hw::yield());
        each = (bench::cpu_nanoseconds() - before) / static_cast<double>(count);
        s.request_stop();
    };
    co_await hw::with_scope(all);
    co_return each;
}

double middle(std::vector<double> of) {
    std::sort(of.begin(), of.end());
    return of[of.size() / 2];
}

hw::task<> run(std::size_t rounds) {
    std::vector<measured> rows;
    for (const std::size_t n : {std::size_t{1000}, std::size_t{10'000}, std::size_t{100'000}, std::size_t{1'000'000}}) {
        rows.push_back({"sleeps, set and fired", n, std::max<std::size_t>(n, 100'000), sleeps});
    }
    for (const std::size_t n : {std::size_t{1}, std::size_t{1000}, std::size_t{10'000}, std::size_t{100'000}, std::size_t{1'000'000}}) {
        rows.push_back({"timeouts of so many tasks, set and cancelled", n, set_and_cancelled, timeouts});
    }
    for (const std::size_t n : {std::size_t{1}, std::size_t{1000}, std::size_t{10'000}, std::size_t{100'000}, std::size_t{1'000'000}}) {
        rows.push_back({"timeouts of one task among so many timers", n, set_and_cancelled, timeouts_among});
    }
    for (std::size_t i = 0; i < rounds; ++i) {
        for (measured& row : rows) row.nanoseconds.push_back(co_await row.round(row.waiting, row.count));
    }
    std::printf("| timers | at once | ns of CPU each: median | least | most |\n|---|---:|---:|---:|---:|\n");
    for (const measured& row : rows) {
        const auto [least, most] = std::minmax_element(row.nanoseconds.begin(), row.nanoseconds.end());
        std::printf("| %s | %zu | %.0f | %.0f | %.0f |\n", row.what, row.waiting, middle(row.nanoseconds), *least, *most);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const std::size_t rounds = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 5;
    return hw::run_main(run(rounds ? rounds : 1));
}
