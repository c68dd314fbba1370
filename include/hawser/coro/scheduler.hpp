#pragma once
// The few functions through which coroutines reach the loop that runs them.

#include <coroutine>
#include <cstdint>

#include <hawser/base/clock.hpp>
#include <hawser/base/misuse.hpp>
#include <hawser/base/stop_token.hpp>

namespace hawser::detail {

/// What waits for an operation: a coroutine (`handle` is set), or a part of a composite operation (`run` is called).
struct waiter {
    waiter* next = nullptr;
    std::coroutine_handle<> handle{};
    void (*run)(waiter&) noexcept = nullptr;
};

/// The ready list of one reactor. Completions only ever make something ready; the loop resumes.
class scheduler {
public:
    scheduler() = default;
    scheduler(const scheduler&) = delete;
    scheduler& operator=(const scheduler&) = delete;

    /// Queues `w` to be resumed, first in first out. `w` must not be queued already.
    void make_ready(waiter& w) noexcept {
        if (here_ != this) [[unlikely]] wrong_thread();
        w.next = nullptr;
        *ready_tail_ = &w;
        ready_tail_ = &w.next;
    }
    bool has_ready() const noexcept { return ready_head_ != nullptr; }

    /// A stopped task's operations fail at once; every 16th goes through the loop first, so that a task which
    /// swallows each failure cannot starve the others.
    bool refusal_needs_turn() noexcept { return (++refusals_ & 15u) == 0; }

    /// About when this turn of the loop began, without asking the clock.
    time_point turn_time() const noexcept { return turn_time_; }

    /// How often it has resumed a task or another waiter so far. Awaiting what has finished already resumes nothing.
    std::uint64_t resumptions() const noexcept { return resumptions_; }

protected:
    ~scheduler() = default;

    /// The loop of this thread.
    static scheduler* here() noexcept { return here_; }
    static void set_here(scheduler* loop) noexcept { here_ = loop; }
    void set_turn_time(time_point t) noexcept { turn_time_ = t; }

    /// Resumes what is ready now, and not what becomes ready by it: one generation.
    void run_ready() noexcept {
        waiter* w = ready_head_;
        ready_head_ = nullptr;
        ready_tail_ = &ready_head_;
        while (w) {
            waiter* following = w->next;
            ++resumptions_;
            if (w->handle) w->handle.resume();
            else w->run(*w);
            w = following;
        }
    }

private:
    [[noreturn, gnu::cold, gnu::noinline]] static void wrong_thread() noexcept {
        misuse("a task was woken, stopped or spawned from another thread than its reactor's. Events, scopes, channels, streams and "
               "stop sources belong to one thread; from others use reactor_handle::post() or a remote_channel");
    }
    static inline thread_local scheduler* here_ = nullptr;

    waiter* ready_head_ = nullptr;
    waiter** ready_tail_ = &ready_head_;
    time_point turn_time_{};
    std::uint64_t resumptions_ = 0;
    unsigned refusals_ = 0;
};

/// What flows from a parent task to its children: where they run and who may stop them.
struct environment {
    scheduler* loop = nullptr;
    stop_token stop{};

    /// For start() of an operation whose task was stopped: schedules `w` if it is this refusal's turn to wait.
    bool refuse(waiter& w) const noexcept {
        if (!loop->refusal_needs_turn()) return false;
        loop->make_ready(w);
        return true;
    }
};

}  // namespace hawser::detail
