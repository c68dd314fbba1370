#pragma once
// What when_all and when_any share: operations that run at once under one stop source and are all joined.

#include <array>
#include <tuple>

#include <hawser/coro/operation.hpp>

namespace hawser::detail {

/// Counts the running members of a group and wakes the parent with the last.
class group {
public:
    group() = default;
    group(group&&) noexcept {}  // moved before the start only

protected:
    ~group() = default;

    void open(const environment& env, waiter& parent, std::size_t count) noexcept {
        environment_ = {env.loop, stop_.get_token()};
        parent_ = &parent;
        running_ = count + 1;  // one for the caller of start(), so that nobody is woken inside it
        stop_.follow(env.stop);
    }
    /// True if members are still running.
    bool opened() noexcept { return --running_ != 0; }
    void say_running(inspector& to, std::string_view what) const {
        to.say(what);
        to.say(", running: ");
        to.say(running_);
    }

    environment environment_{};

private:
    template <class Op> friend class member;

    void ended(std::size_t index, bool failed) noexcept {
        const bool ends_group = any_ || failed;
        if (ends_group && first_ == none) {
            first_ = index;
            stop_.request_stop();
        }
        if (--running_ == 0) {
            stop_.unfollow();
            environment_.loop->make_ready(*parent_);
        }
    }

protected:
    static constexpr std::size_t none = ~std::size_t{0};
    std::size_t first_ = none;  // when_all: the first that failed; when_any: the first that ended
    bool any_ = false;

private:
    stop_source stop_;
    waiter* parent_ = nullptr;
    std::size_t running_ = 0;
};

/// One operation of a group and how it ended.
template <class Op> class member : public waiter {
public:
    using value_type = typename Op::value_type;

    explicit member(Op&& op) : op_{std::move(op)} {}
    member(member&& other) : op_{std::move(other.op_)} {}

    void begin(group& owner, const environment& env, std::size_t index) noexcept {
        owner_ = &owner;
        index_ = index;
        run = [](waiter& w) noexcept { static_cast<member&>(w).end(); };
        try {
            if (op_.start(env, *this)) return;
        } catch (...) {
            end_ = outcome<value_type>{std::current_exception()};
            return report();
        }
        end();
    }
    outcome<value_type>& ending() noexcept { return end_; }
    void inspect(inspector& to) const {
        if (!ended_) to.branch(op_);
    }

private:
    void end() noexcept {
        try {
            end_ = detail::collect(op_);
        } catch (...) {  // of moving the value
            end_ = outcome<value_type>{std::current_exception()};
        }
        report();
    }
    void report() noexcept {
        ended_ = true;
        owner_->ended(index_, end_.failed());
    }

    Op op_;
    outcome<value_type> end_;
    group* owner_ = nullptr;
    std::size_t index_ = 0;
    bool ended_ = false;
};

}  // namespace hawser::detail
