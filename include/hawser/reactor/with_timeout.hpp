#pragma once
// Deadlines around any operation, and operations that must finish although their task was stopped.

#include <hawser/coro/operation.hpp>
#include <hawser/reactor/reactor.hpp>

namespace hawser {

namespace detail {

/// Runs an operation under a stop source of its own that a timer fires. `Follows`: a stop of the task reaches it too.
template <class Op, bool Follows> class timed {
public:
    using value_type = typename Op::value_type;

    timed(duration limit, Op&& op) : limit_{limit}, op_{std::move(op)} {}
    timed(time_point deadline, Op&& op) : deadline_{deadline}, absolute_{true}, op_{std::move(op)} {}
    timed(timed&& other) : limit_{other.limit_}, deadline_{other.deadline_}, absolute_{other.absolute_}, op_{std::move(other.op_)} {}
    ~timed() { disarm(); }

    bool start(const environment& env, waiter& w) {
        parent_ = env.stop;
        loop_ = &reactor::of(env);
        if constexpr (Follows) source_.follow(env.stop);
        const time_point now = loop_->now();
        const time_point deadline = absolute_ ? deadline_ : deadline_after(now, limit_);
        timer_.owner = this;
        timer_.fire = [](timer& t) noexcept { static_cast<node&>(t).owner->expire(); };
        if (deadline <= now) expire();
        else loop_->set_timer(timer_, deadline);
        return op_.start({env.loop, source_.get_token()}, w);
    }
    outcome<value_type> collect() {
        disarm();
        auto ended = detail::collect(op_);
        if (!expired_ || !ended.was_cancelled() || (Follows && parent_.stop_requested())) return ended;
        const std::size_t moved = std::move(ended).take().error().transferred();
        return {result<value_type>{error_info{errc::timed_out}.with_transferred(moved)}};
    }
    void inspect(inspector& to) const {
        to.say(Follows ? "with_timeout of " : "shield of ");
        to.show(op_);
    }

private:
    struct node : timer {
        timed* owner = nullptr;
    };
    void expire() noexcept {
        expired_ = true;
        source_.request_stop();
    }
    void disarm() noexcept {
        if (timer_heap::is_set(timer_)) loop_->cancel_timer(timer_);
        source_.unfollow();
    }

    duration limit_{};
    time_point deadline_{};
    bool absolute_ = false, expired_ = false;
    reactor* loop_ = nullptr;
    stop_token parent_;
    stop_source source_;
    node timer_;
    Op op_;
};

}  // namespace detail

/// Gives `op` at most `limit`; then it is cancelled, and if that cut it short errc::timed_out is thrown, whose
/// transferred() says how far it came. An operation that finished all the same gives its value: nothing is lost.
/// Takes ownership of `op`. Costs O(1) and no system call.
template <class Rep, class Period, awaitable Op>
    requires(!std::is_lvalue_reference_v<Op>)
[[nodiscard]] auto with_timeout(std::chrono::duration<Rep, Period> limit, Op&& op) {
    return detail::timed<Op, true>{to_duration(limit), std::move(op)};
}

/// The same with a point in time.
template <class Duration, awaitable Op>
    requires(!std::is_lvalue_reference_v<Op>)
[[nodiscard]] auto with_deadline(std::chrono::time_point<clock, Duration> deadline, Op&& op) {
    return detail::timed<Op, true>{std::chrono::time_point_cast<duration>(deadline), std::move(op)};
}

/// Runs `op` although the task was or will be stopped, for at most `limit` (then errc::timed_out): for clean-up that
/// has to be sent.
template <awaitable Op, class Rep, class Period>
    requires(!std::is_lvalue_reference_v<Op>)
[[nodiscard]] auto shield(Op&& op, std::chrono::duration<Rep, Period> limit) {
    return detail::timed<Op, false>{to_duration(limit), std::move(op)};
}

}  // namespace hawser
