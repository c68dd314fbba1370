#pragma once
// What event, mutex, semaphore and channel share: operations that wait in line, and leave it when they are stopped.

#include <hawser/coro/operation.hpp>

namespace hawser::detail {

/// The part of an operation that waits in a list, first come first served, until it is finished or its task is stopped.
/// Whichever comes first counts: what was finished is not stopped any more, what was stopped has left the list.
class waiting : public list_node {
public:
    /// Takes it out of the list and makes its task ready.
    void finish() noexcept {
        unlink();
        stop_.unlink();
        loop_->make_ready(*waiter_);
    }

protected:
    waiting() = default;
    waiting(const waiting&) = default;  // before the start only
    waiting& operator=(const waiting&) = delete;
    ~waiting() = default;

    /// For start() when a stop was requested before: what it returns.
    bool refuse(const environment& env, waiter& w) noexcept {
        stopped_ = true;
        return env.refuse(w);
    }
    /// For start(): from now on it waits in `line`. If a stop ends that, `Op::left()` is called where there is one: those
    /// behind it may not have to wait any more.
    template <class Op> void wait_in(list<Op>& line, const environment& env, waiter& w) noexcept {
        loop_ = env.loop;
        waiter_ = &w;
        stop_.owner = this;
        stop_.invoke = [](stop_callback& c) noexcept {
            waiting& self = *static_cast<stop_node&>(c).owner;
            self.stopped_ = true;
            self.finish();
            if constexpr (requires(Op& op) { op.left(); }) static_cast<Op&>(self).left();
        };
        stop_source::attach(env.stop, stop_);
        line.push_back(static_cast<Op&>(*this));
    }
    bool stopped() const noexcept { return stopped_; }

private:
    struct stop_node : stop_callback {
        waiting* owner = nullptr;
    };
    bool stopped_ = false;
    scheduler* loop_ = nullptr;
    waiter* waiter_ = nullptr;
    stop_node stop_;
};

}  // namespace hawser::detail
