#pragma once
// A go of a client: so many requests, what they cost, and how long each took. The standard input says how many.

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Ends the program because a request failed. From any thread, and without waiting for the others.
[[noreturn]] inline void fail(std::string_view why) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(why.size()), why.data());
    std::fflush(nullptr);
    std::_Exit(1);
}

/// How long each of `count` requests took. add() may be called from any thread.
class latencies {
public:
    explicit latencies(std::size_t count) : of_(count) {}

    void add(std::chrono::nanoseconds took) {
        const std::size_t i = size_.fetch_add(1, std::memory_order_relaxed);
        if (i >= of_.size()) fail("more requests were made than asked for");
        of_[i] = took;
    }
    std::size_t size() const { return size_; }
    void sort() { std::sort(of_.begin(), of_.end()); }
    /// Only when they are sorted and all there: the one that `share` of them do not exceed.
    double microseconds(double share) const {
        const auto at = static_cast<std::size_t>(share * static_cast<double>(of_.size()));
        return std::chrono::duration<double, std::micro>{of_[std::min(at, of_.size() - 1)]}.count();
    }

private:
    std::vector<std::chrono::nanoseconds> of_;
    std::atomic<std::size_t> size_ = 0;
};

/// One go, from its making to report(). A server that does not answer must not keep it for ever: after two minutes
/// it ends the program.
class go {
public:
    explicit go(std::size_t count) : took{count}, count_{count} {
        std::signal(SIGALRM, [](int) {
            constexpr std::string_view why = "the requests were not answered within two minutes\n";
            [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, why.data(), why.size());
            std::_Exit(1);
        });
        ::alarm(120);
        wall_ = now(CLOCK_MONOTONIC);
        cpu_ = now(CLOCK_PROCESS_CPUTIME_ID);
    }

    latencies took;

    std::size_t count() const { return count_; }
    /// Prints what it cost.
    void report() {
        const long long cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu_, wall = now(CLOCK_MONOTONIC) - wall_;
        ::alarm(0);
        if (took.size() != count_) fail("only " + std::to_string(took.size()) + " of " + std::to_string(count_) + " requests were made");
        took.sort();
        std::printf("{\"requests\":%zu,\"cpu_ns\":%lld,\"wall_ns\":%lld,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f}\n", count_, cpu, wall,
                    took.microseconds(0.5), took.microseconds(0.99), took.microseconds(0.999));
        std::fflush(stdout);
    }

private:
    static long long now(clockid_t clock) {
        timespec at{};
        ::clock_gettime(clock, &at);
        return at.tv_sec * 1'000'000'000LL + at.tv_nsec;
    }

    std::size_t count_;
    long long cpu_ = 0, wall_ = 0;
};

/// The number on the next line of the standard input; nothing at its end.
inline std::optional<std::size_t> read_count() {
    std::string line;
    if (!std::getline(std::cin, line)) return {};
    std::size_t count = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), count);
    if (error != std::errc{} || end != line.data() + line.size() || count == 0) fail("not a number of requests: `" + line + "`");
    return count;
}

/// Calls f(count, latencies) for each line, which makes so many requests and adds how long each took. What f throws is
/// printed and ends the program with status 1. Returns the exit status.
template <class F> int run_goes(F&& f) {
    try {
        while (const auto count = read_count()) {
            go one{*count};
            f(one.count(), one.took);
            one.report();
        }
    } catch (const std::exception& e) {
        fail(e.what());
    }
    return 0;
}
