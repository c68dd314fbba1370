#pragma once
// run_main: what main() of an application wants: a clean stop on SIGINT and SIGTERM, errors on stderr, an exit status.

#include <signal.h>

#include <cstdio>

#include <hawser/reactor/run_on_threads.hpp>

namespace hawser {

namespace detail {

/// While it lives, the first SIGINT or SIGTERM calls `on_signal` on the reactor; the second has its default effect.
class termination_signals {
public:
    template <class F> termination_signals(reactor& loop, F on_signal) : previous_fd_{wake_fd_.load()} {
        auto* watch = new watcher<F>{loop, std::move(on_signal)};
        watcher_ = watch;
        wake_fd_.store(watch->fd());
        struct sigaction action{};
        action.sa_handler = &handle;
        action.sa_flags = SA_RESTART;
        ::sigaction(SIGINT, &action, &old_int_);
        ::sigaction(SIGTERM, &action, &old_term_);
    }
    termination_signals(const termination_signals&) = delete;
    termination_signals& operator=(const termination_signals&) = delete;
    ~termination_signals() {
        ::sigaction(SIGINT, &old_int_, nullptr);
        ::sigaction(SIGTERM, &old_term_, nullptr);
        wake_fd_.store(previous_fd_);
        watcher_->end();
    }

private:
    struct any_watcher : io_object {
        virtual void end() noexcept = 0;

    protected:
        ~any_watcher() = default;
    };
    /// Outlives the signals by the one poll that the kernel may still hold.
    template <class F> class watcher final : public any_watcher {
    public:
        watcher(reactor& loop, F f) : loop_{loop}, f_{std::move(f)}, fd_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
            if (fd_ < 0) throw error{error_info::from_errno(errno, phase::setup, {}, "eventfd for signals")};
            poll_.self = this;
            poll_.fd = fd_;
            poll_.events = 1;  // POLLIN
            poll_.on_complete = [](op& o, const completion& c) noexcept { static_cast<node&>(o).self->came(c.result); };
            loop.attach(*this);
            loop.io().start(poll_);
        }
        int fd() const noexcept { return fd_; }
        void end() noexcept override {
            ended_ = true;
            if (!poll_.active) finish();
        }
        void on_reactor_stop() noexcept override {
            if (poll_.active) loop_.io().cancel(poll_);
        }
        void on_reactor_gone() noexcept override {}

    private:
        struct node : poll_op {
            watcher* self = nullptr;
        };
        void came(int events) noexcept {
            if (ended_) return finish();
            if (events > 0) f_();
        }
        void finish() noexcept {
            this->unlink();
            ::close(fd_);
            delete this;
        }
        reactor& loop_;
        F f_;
        int fd_;
        node poll_;
        bool ended_ = false;
    };

    static void handle(int) noexcept {
        const int saved = errno;
        const std::uint64_t one = 1;
        if (::write(wake_fd_.load(), &one, sizeof one) < 0) {}
        ::signal(SIGINT, SIG_DFL);
        ::signal(SIGTERM, SIG_DFL);
        errno = saved;
    }

    static inline std::atomic<int> wake_fd_{-1};
    int previous_fd_;
    any_watcher* watcher_ = nullptr;
    struct sigaction old_int_{}, old_term_{};
};

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
/// after a stop by signal. The old signal handlers are restored at the end.
template <class F> int run_main_on_threads(unsigned threads, F&& fn, const reactor_options& options = {}) noexcept {
    try {
        detail::thread_group<std::remove_reference_t<F>> group{threads ? threads : 1, fn, options};
        group.run([&group](reactor& loop, stop_source&) {
            auto stop = [&group]() noexcept { group.request_stop(); };
            return detail::termination_signals{loop, stop};
        });
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
        auto stop = [&root]() noexcept { root.stop().request_stop(); };
        detail::termination_signals signals{loop, stop};
        auto ended = root.run_on(loop);
        if (ended.was_cancelled() && root.stop().stop_requested()) return 0;
        if constexpr (std::is_void_v<T>) return std::move(ended).get(), 0;
        else return std::move(ended).get();
    } catch (...) {
        return detail::report_and_fail(std::current_exception());
    }
}

}  // namespace hawser
