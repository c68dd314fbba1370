#pragma once
// A loop without a system below it: what becomes ready is resumed, and nothing else happens.

#include <cstdio>
#include <cstdlib>
#include <utility>

#include <hawser/coro/operation.hpp>

namespace manual {

class loop final : public hawser::detail::scheduler {
public:
    loop() noexcept { set_here(this); }
    ~loop() { set_here(nullptr); }

    /// Runs `op` to its end. Nothing ready and no end is a dead lock: the test program ends.
    template <class Op> hawser::detail::outcome<typename Op::value_type> run(Op op, hawser::stop_token stop = {}) {
        root r;
        r.run = [](hawser::detail::waiter& w) noexcept { static_cast<root&>(w).done = true; };
        if (op.start({this, stop}, r)) {
            while (!r.done) {
                if (!has_ready()) {
                    std::fputs("dead lock: nothing is ready and the task has not ended\n", stderr);
                    std::abort();
                }
                ++turns;
                run_ready();
            }
        }
        return hawser::detail::collect(op);
    }
    int turns = 0;

private:
    struct root : hawser::detail::waiter {
        bool done = false;
    };
};

/// Suspends for one turn and does not look at the stop token.
class turn {
public:
    using value_type = void;
    bool start(const hawser::detail::environment& env, hawser::detail::waiter& w) noexcept {
        env.loop->make_ready(w);
        return true;
    }
    hawser::result<void> take() noexcept { return {}; }
};

/// Gives the stop token of the task that awaits it.
class get_stop_token {
public:
    using value_type = hawser::stop_token;
    bool start(const hawser::detail::environment& env, hawser::detail::waiter&) noexcept {
        token_ = env.stop;
        return false;
    }
    hawser::result<value_type> take() noexcept { return token_; }

private:
    hawser::stop_token token_;
};

/// Waits until it is opened with a value, or stopped, as every operation of hawser does.
class gate {
public:
    class operation {
    public:
        using value_type = int;
        explicit operation(gate& g) noexcept : gate_{&g} {}

        bool start(const hawser::detail::environment& env, hawser::detail::waiter& w) noexcept {
            if (env.stop.stop_requested()) {
                stopped_ = true;
                return env.refuse(w);
            }
            if (gate_->opened_) return false;
            loop_ = env.loop;
            waiter_ = &w;
            gate_->waiting_ = this;
            stop_.owner = this;
            stop_.invoke = [](hawser::detail::stop_callback& c) noexcept {
                operation& self = *static_cast<stop_node&>(c).owner;
                self.stopped_ = true;
                self.wake();
            };
            hawser::stop_source::attach(env.stop, stop_);
            return true;
        }
        hawser::result<int> take() {
            if (gate_->fails_) return hawser::errc::closed;
            if (stopped_) return hawser::error_info{hawser::errc::cancelled}.with_transferred(gate_->transferred_);
            return gate_->value_;
        }

    private:
        friend class gate;
        struct stop_node : hawser::detail::stop_callback {
            operation* owner = nullptr;
        };
        void wake() noexcept {
            gate_->waiting_ = nullptr;
            stop_.unlink();
            loop_->make_ready(*waiter_);
        }
        gate* gate_;
        bool stopped_ = false;
        hawser::detail::scheduler* loop_ = nullptr;
        hawser::detail::waiter* waiter_ = nullptr;
        stop_node stop_;
    };

    operation wait() noexcept { return operation{*this}; }
    bool has_waiter() const noexcept { return waiting_ != nullptr; }
    void open(int value = 0) noexcept {
        opened_ = true;
        value_ = value;
        if (waiting_) waiting_->wake();
    }
    /// The wait ends with errc::closed.
    void fail() noexcept {
        fails_ = true;
        open();
    }
    /// A wait that is stopped says that it had moved so many bytes.
    void set_transferred(std::size_t n) noexcept { transferred_ = n; }

private:
    operation* waiting_ = nullptr;
    bool opened_ = false, fails_ = false;
    int value_ = 0;
    std::size_t transferred_ = 0;
};

/// Counts itself, and notices to be destroyed twice, as g++ 12 is apt to do with temporaries of a co_await expression.
class tracked {
public:
    static inline int alive = 0, wrong = 0;
    explicit tracked(int v = 0) noexcept : value{v} { ++alive; }
    tracked(const tracked& o) noexcept : value{o.value} {
        o.check();
        ++alive;
    }
    tracked(tracked&& o) noexcept : value{o.value} {
        o.check();
        o.value = -1;
        ++alive;
    }
    tracked& operator=(const tracked&) = delete;
    ~tracked() {
        check();
        self_ = nullptr;
        --alive;
    }
    int value;

private:
    void check() const noexcept {
        if (self_ != this) ++wrong;
    }
    const tracked* self_ = this;
};

}  // namespace manual
