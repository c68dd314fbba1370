#pragma once
// Time, and the CPU time of the process under test.

#include <fcntl.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string_view>

#include "failure.hpp"

namespace load {

inline constexpr std::uint64_t microsecond = 1'000, millisecond = 1'000'000, second = 1'000'000'000;

inline std::uint64_t nanoseconds(const timespec& t) {
    return static_cast<std::uint64_t>(t.tv_sec) * second + static_cast<std::uint64_t>(t.tv_nsec);
}

inline std::uint64_t read_clock(clockid_t clock) {
    timespec t{};
    ::clock_gettime(clock, &t);
    return nanoseconds(t);
}

inline std::uint64_t now() { return read_clock(CLOCK_MONOTONIC); }

/// CPU time of this process.
inline std::uint64_t own_cpu_ns() { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

/// The process whose CPU time counts.
///
/// The kernel adds to the CPU time of another process only at ticks and when a thread of it is switched out: while it runs, the
/// clock lags by up to 4 ms. So it is read only after settle().
class server_process {
public:
    explicit server_process(pid_t pid) : pid_{pid} {
        const int error = ::clock_getcpuclockid(pid, &clock_);
        if (error != 0) throw failure{because("the CPU clock of process " + std::to_string(pid), error)};
        stat_ = ::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
    }
    server_process(const server_process&) = delete;
    server_process& operator=(const server_process&) = delete;
    ~server_process() {
        if (stat_ >= 0) ::close(stat_);
    }

    std::uint64_t cpu_ns() const {
        timespec t{};
        if (::clock_gettime(clock_, &t) != 0) throw failure{because("the CPU clock of process " + std::to_string(pid_), errno)};
        return nanoseconds(t);
    }

    /// Returns once it sleeps: it has had everything that was sent, and has said all it had to say. Some never sleep, or have
    /// other clients: for 20 ms at most.
    void settle() const {
        // Enough for the threads that wrote last to wait again; below, only the main one is looked at.
        const std::uint64_t start = now();
        while (now() - start < 200 * microsecond) {
        }
        while (runs() && now() - start < 20 * millisecond) {
        }
    }

    bool is_gone() const { return state() == '\0' || state() == 'Z'; }
    pid_t pid() const { return pid_; }

private:
    bool runs() const { return state() == 'R'; }

    /// The letter after the name, which stands in parentheses; 0 if there is no such process.
    char state() const {
        char text[256];
        const ssize_t n = stat_ < 0 ? -1 : ::pread(stat_, text, sizeof text, 0);
        if (n <= 0) return '\0';
        const std::string_view line{text, static_cast<std::size_t>(n)};
        const auto end = line.rfind(") ");
        return end == line.npos ? '\0' : line[end + 2];
    }

    pid_t pid_;
    clockid_t clock_{};
    int stat_ = -1;
};

}  // namespace load
