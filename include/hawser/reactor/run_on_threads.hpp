#pragma once
// run_on_threads: share-nothing threads, a reactor on each.

#include <pthread.h>

#include <optional>
#include <vector>

#include <hawser/reactor/run.hpp>

namespace hawser {

namespace detail {

/// The threads of one call. Each runs fn() on a reactor of its own; the first error stops the others.
template <class F> class thread_group {
    using task_type = std::invoke_result_t<F&>;

public:
    /// `started(loop, group)`, if there is one, is called on each thread inside its reactor.
    using on_start = void (*)(reactor& loop, thread_group& group);
    thread_group(unsigned count, F& fn, const reactor_options& options, on_start started = nullptr)
        : fn_{fn}, options_{options}, started_{started}, members_(count) {
        for (member& m : members_) m.group = this;
    }

    /// Runs all, this thread being the first; returns when all have ended. Rethrows the first error.
    void run() {
        std::size_t made = 1;
        for (; made < members_.size(); ++made) {
            member& m = members_[made];
            const int failed = ::pthread_create(&m.thread, nullptr, [](void* p) -> void* {
                static_cast<member*>(p)->group->work(*static_cast<member*>(p));
                return nullptr;
            }, &m);
            if (failed) {
                fail(std::make_exception_ptr(error{error_info::from_errno(failed, phase::setup, "a thread", "pthread_create")}));
                break;
            }
        }
        work(members_[0]);
        for (std::size_t i = 1; i < made; ++i) ::pthread_join(members_[i].thread, nullptr);
        if (error_) std::rethrow_exception(error_);
    }

    /// From any thread: every task is asked to stop.
    void request_stop() noexcept {
        mutex_lock guard{mutex_};
        stopping_ = true;
        for (member& m : members_) stop_member(m);
    }

private:
    struct member {
        thread_group* group = nullptr;
        pthread_t thread{};
        std::optional<reactor_handle> handle;
        stop_source* stop = nullptr;
    };
    void work(member& m) noexcept {
        try {
            recycled_memory memory;
            root<task_type> root{fn_()};
            uring_backend io{options_};
            reactor loop{io};
            loop.share_ports(members_.size() > 1);
            {
                mutex_lock guard{mutex_};
                m.handle.emplace(loop.handle());
                m.stop = &root.stop();
                if (stopping_) m.stop->request_stop();
            }
            if (started_) started_(loop, *this);
            auto ended = root.run_on(loop);
            {
                mutex_lock guard{mutex_};
                m.handle.reset();
                m.stop = nullptr;
            }
            std::move(ended).get();
        } catch (const cancelled&) {
            const bool expected = stop_was_requested();
            if (!expected) fail(std::current_exception());
        } catch (...) {
            fail(std::current_exception());
        }
    }
    bool stop_was_requested() noexcept {
        mutex_lock guard{mutex_};
        return stopping_;
    }
    void fail(std::exception_ptr thrown) noexcept {
        {
            mutex_lock guard{mutex_};
            if (!error_) error_ = std::move(thrown);
        }
        request_stop();
    }
    static void stop_member(member& m) noexcept {
        if (m.handle) m.handle->post([source = m.stop]() noexcept { source->request_stop(); });
    }

    F& fn_;
    const reactor_options options_;
    const on_start started_;
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
    std::vector<member> members_;
    std::exception_ptr error_;
    bool stopping_ = false;
};

}  // namespace detail

/// Calls `fn()`, which returns a task, once on each of `threads` threads (this one included), each with a reactor of
/// its own; nothing is shared between them, and listeners share their port by SO_REUSEPORT. Returns when all have
/// ended. The first error stops the others and is rethrown. `fn` is called from several threads at once.
template <class F> void run_on_threads(unsigned threads, F&& fn, const reactor_options& options = {}) {
    detail::thread_group<std::remove_reference_t<F>> group{threads ? threads : 1, fn, options};
    group.run();
}

}  // namespace hawser
