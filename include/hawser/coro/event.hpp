#pragma once
// event: tasks wait until another says so.

#include <hawser/coro/operation.hpp>

namespace hawser {

/// A flag to wait for, within one thread. Waiters are woken in the order in which they came. Must outlive its waiters.
class event {
public:
    event() = default;
    event(const event&) = delete;
    event& operator=(const event&) = delete;

    /// An awaitable that ends when the event is set, at once if it is. Throws `cancelled` when the task is stopped.
    [[nodiscard]] auto wait() noexcept { return wait_operation{*this}; }

    /// Wakes every waiter; later ones do not wait until reset().
    void set() noexcept {
        set_ = true;
        while (!waiters_.empty()) waiters_.pop_front().finish();
    }
    void reset() noexcept { set_ = false; }
    bool is_set() const noexcept { return set_; }

private:
    class wait_operation : detail::list_node {
    public:
        using value_type = void;

        explicit wait_operation(event& on) noexcept : event_{&on} {}
        bool start(const detail::environment& env, detail::waiter& w) noexcept {
            if (event_->set_) return false;
            if (env.stop.stop_requested()) {
                stopped_ = true;
                return env.refuse(w);
            }
            loop_ = env.loop;
            waiter_ = &w;
            stop_.owner = this;
            stop_.invoke = [](detail::stop_callback& c) noexcept {
                wait_operation& self = *static_cast<stop_node&>(c).owner;
                self.stopped_ = true;
                self.unlink();
                self.finish();
            };
            stop_source::attach(env.stop, stop_);
            event_->waiters_.push_back(*this);
            return true;
        }
        result<void> take() noexcept { return stopped_ ? result<void>{errc::cancelled} : result<void>{}; }
        void inspect(detail::inspector& to) const { to.say("event"); }

    private:
        friend class event;
        template <class T> friend class detail::list;
        struct stop_node : detail::stop_callback {
            wait_operation* owner = nullptr;
        };
        void finish() noexcept {
            stop_.unlink();
            loop_->make_ready(*waiter_);
        }
        event* event_;
        bool stopped_ = false;
        detail::scheduler* loop_ = nullptr;
        detail::waiter* waiter_ = nullptr;
        stop_node stop_;
    };

    bool set_ = false;
    detail::list<wait_operation> waiters_;
};

}  // namespace hawser
