#pragma once
// event: tasks wait until another says so.

#include <hawser/coro/waiting.hpp>

namespace hawser {

/// A flag to wait for, within one thread. Waiters are woken in the order in which they came. Must outlive its waiters.
class event {
public:
    event() = default;
    event(const event&) = delete;
    event& operator=(const event&) = delete;
    ~event() {
        if (waiters_.empty()) return;
        detail::misuse("an event was destroyed while tasks wait for it. Declare it before the with_scope whose children use it: they have "
                       "ended when that ends");
    }

    /// An awaitable that ends when the event is set, at once if it is. Throws `cancelled` when the task is stopped.
    [[nodiscard]] auto wait() noexcept { return wait_operation{*this}; }

    /// Wakes every waiter; later ones do not wait until reset().
    void set() noexcept {
        set_ = true;
        while (!waiters_.empty()) waiters_.front().finish();
    }
    void reset() noexcept { set_ = false; }
    bool is_set() const noexcept { return set_; }

private:
    class wait_operation : public detail::waiting {
    public:
        using value_type = void;

        explicit wait_operation(event& on) noexcept : event_{&on} {}
        bool start(const detail::environment& env, detail::waiter& w) noexcept {
            if (event_->set_) return false;
            if (env.stop.stop_requested()) return refuse(env, w);
            wait_in(event_->waiters_, env, w);
            return true;
        }
        result<void> take() noexcept { return stopped() ? result<void>{errc::cancelled} : result<void>{}; }
        void inspect(detail::inspector& to) const { to.say("event"); }

    private:
        event* event_;
    };

    bool set_ = false;
    detail::list<wait_operation> waiters_;
};

}  // namespace hawser
