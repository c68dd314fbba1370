#pragma once
// run_main: what main() of an application wants: a clean stop on SIGINT and SIGTERM, errors on stderr, an exit status.

#include <cstdio>

#include <hawser/reactor/run_on_threads.hpp>
#include <hawser/reactor/signals.hpp>

namespace hawser {

namespace detail {

inline int report_and_fail(const std::exception_ptr& escaped) noexcept {
    try {
        std::rethrow_exception(escaped);
    } catch (const cancelled&) {
        std::fputs("error: cancelled\n", stderr);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "error: %s\n", e.what());
    } catch (...) {
        std::fputs("error: an exception that is not a std::exception escaped\n", stderr);
    }
    return 1;
}

}  // namespace detail

/// Calls `fn()` on each of `threads` threads as run_on_threads does, for main(): the first SIGINT or SIGTERM asks every
/// task to stop, the second kills the process; an error that escapes is printed and gives exit status 1. Else 0, also
/// after a stop by signal. The old signal handlers are restored at the end. A signal that a task waits for by
/// next_signal is that task's instead.
template <class F> int run_main_on_threads(unsigned threads, F&& fn, const reactor_options& options = {}) noexcept {
    try {
        using group_type = detail::thread_group<std::remove_reference_t<F>>;
        group_type group{threads ? threads : 1, fn, options, [](reactor& loop, group_type& all) {
            auto stop = [](void* of) noexcept { static_cast<group_type*>(of)->request_stop(); };
            loop.service<detail::signal_service>().on_termination(stop, &all);
        }};
        group.run();
        return 0;
    } catch (...) {
        return detail::report_and_fail(std::current_exception());
    }
}

/// Runs `t` for main(): the same on this thread alone. A task<int> gives the exit status.
template <class T> int run_main(task<T> t, const reactor_options& options = {}) noexcept {
    static_assert(std::is_void_v<T> || std::is_same_v<T, int>, "run_main takes a task<> or a task<int>, whose value is the exit status");
    try {
        detail::recycled_memory memory;
        detail::root<task<T>> root{std::move(t)};
        detail::uring_backend io{options};
        reactor loop{io};
        auto stop = [](void* of) noexcept { static_cast<stop_source*>(of)->request_stop(); };
        loop.service<detail::signal_service>().on_termination(stop, &root.stop());
        auto ended = root.run_on(loop);
        if (ended.was_cancelled() && root.stop().stop_requested()) return 0;
        if constexpr (std::is_void_v<T>) return std::move(ended).get(), 0;
        else return std::move(ended).get();
    } catch (...) {
        return detail::report_and_fail(std::current_exception());
    }
}

}  // namespace hawser
