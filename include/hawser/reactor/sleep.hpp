#pragma once
// Waiting for time to pass, and for one turn of the loop.

#include <hawser/coro/operation.hpp>
#include <hawser/reactor/reactor.hpp>

namespace hawser {

namespace detail {

class sleep_operation {
public:
    using value_type = void;

    explicit sleep_operation(duration d) noexcept : for_{d} {}
    explicit sleep_operation(time_point t) noexcept : until_{t}, absolute_{true} {}

    bool start(const environment& env, waiter& w) noexcept {
        if (env.stop.stop_requested()) {
            stopped_ = true;
            return env.refuse(w);
        }
        loop_ = &reactor::of(env);
        waiter_ = &w;
        const time_point now = loop_->now();
        const time_point deadline = absolute_ ? until_ : deadline_after(now, for_);
        if (deadline <= now) {
            loop_->make_ready(w);
            return true;
        }
        timer_.owner = stop_.owner = this;
        timer_.fire = [](timer& t) noexcept {
            sleep_operation& self = *static_cast<timer_node&>(t).owner;
            self.stop_.unlink();
            self.loop_->make_ready(*self.waiter_);
        };
        stop_.invoke = [](stop_callback& c) noexcept {
            sleep_operation& self = *static_cast<stop_node&>(c).owner;
            self.stopped_ = true;
            self.loop_->cancel_timer(self.timer_);
            self.loop_->make_ready(*self.waiter_);
        };
        loop_->set_timer(timer_, deadline);
        stop_source::attach(env.stop, stop_);
        return true;
    }
    result<void> take() noexcept { return stopped_ ? result<void>{errc::cancelled} : result<void>{}; }
    void inspect(inspector& to) const { to.say("sleep"); }

private:
    struct timer_node : timer {
        sleep_operation* owner = nullptr;
    };
    struct stop_node : stop_callback {
        sleep_operation* owner = nullptr;
    };
    duration for_{};
    time_point until_{};
    bool absolute_ = false, stopped_ = false;
    reactor* loop_ = nullptr;
    waiter* waiter_ = nullptr;
    timer_node timer_;
    stop_node stop_;
};

class yield_operation {
public:
    using value_type = void;

    bool start(const environment& env, waiter& w) noexcept {
        stopped_ = env.stop.stop_requested();
        if (stopped_) return env.refuse(w);
        env.loop->make_ready(w);
        return true;
    }
    result<void> take() noexcept { return stopped_ ? result<void>{errc::cancelled} : result<void>{}; }
    void inspect(inspector& to) const { to.say("yield"); }

private:
    bool stopped_ = false;
};

}  // namespace detail

/// Suspends the task for at least `d`, rounded up by at most 250 µs; a zero or negative `d` yields for one turn of the
/// loop. Throws `cancelled` when the task is stopped. Costs no system call of its own.
template <class Rep, class Period> [[nodiscard]] auto sleep_for(std::chrono::duration<Rep, Period> d) noexcept {
    return detail::sleep_operation{to_duration(d)};
}

/// Suspends the task until `t` of hawser::clock. Otherwise as sleep_for.
template <class Duration> [[nodiscard]] auto sleep_until(std::chrono::time_point<clock, Duration> t) noexcept {
    return detail::sleep_operation{std::chrono::time_point_cast<duration>(t)};
}

/// Lets every other ready task run first. Throws `cancelled` when the task is stopped.
[[nodiscard]] inline auto yield() noexcept { return detail::yield_operation{}; }

}  // namespace hawser
