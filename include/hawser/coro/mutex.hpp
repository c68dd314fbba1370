#pragma once
// mutex: one task at a time, across its waits.

#include <hawser/coro/waiting.hpp>

namespace hawser {

/// Keeps tasks of one thread out of each other's way where something must stay whole across a co_await; between two
/// waits nobody else runs and no mutex is needed. Not recursive. Must outlive its guards and its waiters: destroying it
/// before says so on stderr and aborts.
class mutex {
public:
    /// Holds the mutex, or nothing. Unlocks when it goes.
    class guard {
    public:
        guard() noexcept = default;
        guard(guard&& other) noexcept : mutex_{std::exchange(other.mutex_, nullptr)} {}
        guard& operator=(guard&& other) noexcept {
            guard{std::move(other)}.swap(*this);
            return *this;
        }
        ~guard() { unlock(); }

        /// Unlocks now. The task that has waited longest has the mutex from here on, it runs when its turn comes. Does
        /// nothing if this guard holds nothing.
        void unlock() noexcept {
            if (mutex_) std::exchange(mutex_, nullptr)->pass_on();
        }
        bool owns_lock() const noexcept { return mutex_ != nullptr; }
        explicit operator bool() const noexcept { return owns_lock(); }

    private:
        friend class mutex;
        explicit guard(mutex& held) noexcept : mutex_{&held} {}
        void swap(guard& other) noexcept { std::swap(mutex_, other.mutex_); }
        mutex* mutex_ = nullptr;
    };

    mutex() = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;
    ~mutex() {
        if (!locked_) return;
        detail::misuse("a mutex was destroyed while a task holds it or waits for it. Declare it before the guards, and before the with_scope "
                       "whose children use it: they have ended when that ends");
    }

    /// Waits for the mutex and gives its guard: `auto guard = co_await m.lock();`. First come, first served: nobody gets
    /// it past those who wait. Throws `cancelled` when the task is stopped before the mutex was given to it; one that was
    /// given to a task stopped in the same turn is in its guard. Never allocates.
    [[nodiscard]] auto lock() noexcept { return lock_operation{*this}; }

    /// The guard if the mutex is free now, else one that holds nothing.
    [[nodiscard]] guard try_lock() noexcept {
        if (locked_) return {};
        locked_ = true;
        return guard{*this};
    }
    bool is_locked() const noexcept { return locked_; }

private:
    class lock_operation : public detail::waiting {
    public:
        using value_type = guard;

        explicit lock_operation(mutex& on) noexcept : mutex_{&on} {}
        bool start(const detail::environment& env, detail::waiter& w) noexcept {
            if (env.stop.stop_requested()) return refuse(env, w);
            got_ = mutex_->try_lock();
            if (got_) return false;
            wait_in(mutex_->waiters_, env, w);
            return true;
        }
        result<guard> take() noexcept {
            if (stopped()) return errc::cancelled;
            return std::move(got_);
        }
        void inspect(detail::inspector& to) const { to.say("mutex"); }

    private:
        friend class mutex;
        mutex* mutex_;
        guard got_;  // here and not in take(): an operation whose end nobody looks at must not keep the lock
    };

    void pass_on() noexcept {
        if (waiters_.empty()) {
            locked_ = false;
            return;
        }
        lock_operation& next = waiters_.front();
        next.got_ = guard{*this};
        next.finish();
    }

    bool locked_ = false;
    detail::list<lock_operation> waiters_;
};

}  // namespace hawser
