#pragma once
// run: a reactor on this thread, for one task.

#include <hawser/coro/task.hpp>
#include <hawser/reactor/reactor.hpp>
#include <hawser/reactor/uring.hpp>

namespace hawser {

namespace detail {

/// The task that a reactor runs for, and the source that stops it.
template <class Op> class root : root_task {
public:
    explicit root(Op&& op) : op_{std::move(op)} {
        show = [](const root_task& t, inspector& to) { to.show(static_cast<const root&>(t).op_); };
        waiter_.owner = this;
        waiter_.run = [](waiter& w) noexcept { static_cast<end_waiter&>(w).owner->done_ = true; };
    }
    stop_source& stop() noexcept { return stop_; }

    /// Runs to the end; the reactor stays open.
    outcome<typename Op::value_type> run_to_end(reactor& loop) {
        if constexpr (requires { static_cast<bool>(op_); }) if (!op_) throw error{error_info{make_error_code(errc::invalid_argument), phase::setup, {}, "run() of a task that was moved from"}};
        loop.attach(*this);
        if (op_.start({&loop, stop_.get_token()}, waiter_)) loop.run_until(done_);
        unlink();
        return detail::collect(op_);
    }
    /// The same, and until nothing of it is in the kernel.
    outcome<typename Op::value_type> run_on(reactor& loop) {
        auto ended = run_to_end(loop);
        loop.close();
        return ended;
    }

private:
    struct end_waiter : waiter {
        root* owner = nullptr;
    };
    Op op_;
    stop_source stop_;
    end_waiter waiter_;
    bool done_ = false;
};

/// Frees the frames and buffers that a thread kept, when its outermost run() returns.
struct recycled_memory {
    recycled_memory() = default;
    recycled_memory(const recycled_memory&) = delete;
    recycled_memory& operator=(const recycled_memory&) = delete;
    ~recycled_memory() {
        frame_recycler::drain();
        buffer_recycler::drain();
    }
};

}  // namespace detail

/// Makes a reactor on this thread, runs `t` to its end, and gives its value or throws what it threw. Returns when
/// nothing is in flight any more. Throws errc::io_uring_refused with the reason where the kernel or a sandbox does not
/// allow io_uring, and errc::invalid_argument inside another run(). Touches no signals.
template <class T> T run(task<T> t, const reactor_options& options = {}) {
    detail::recycled_memory memory;
    detail::root<task<T>> root{std::move(t)};
    detail::uring_backend io{options};
    reactor loop{io};
    return root.run_on(loop).get();
}

}  // namespace hawser
