#pragma once
// semaphore: so many at a time.

#include <hawser/coro/waiting.hpp>

namespace hawser {

/// A number of permits that tasks of one thread take and give back. First come, first served: a large request that
/// waits is not overtaken by small ones. Must outlive its waiters and the `permit`s of hold(): destroying it before says
/// so on stderr and aborts.
class semaphore {
public:
    /// Holds what hold() took, or nothing. Gives it back when it goes.
    class permit {
    public:
        permit() noexcept = default;
        permit(permit&& other) noexcept : semaphore_{std::exchange(other.semaphore_, nullptr)}, count_{std::exchange(other.count_, 0)} {}
        permit& operator=(permit&& other) noexcept {
            permit{std::move(other)}.swap(*this);
            return *this;
        }
        ~permit() { release(); }

        /// Gives the permits back now. Does nothing if this holds none.
        void release() noexcept {
            semaphore* from = std::exchange(semaphore_, nullptr);
            if (!from) return;
            --from->held_;
            from->release(std::exchange(count_, 0));
        }
        /// How many permits this holds.
        std::size_t count() const noexcept { return count_; }
        explicit operator bool() const noexcept { return semaphore_ != nullptr; }

    private:
        friend class semaphore;
        permit(semaphore& of, std::size_t count) noexcept : semaphore_{&of}, count_{count} { ++of.held_; }
        void swap(permit& other) noexcept {
            std::swap(semaphore_, other.semaphore_);
            std::swap(count_, other.count_);
        }
        semaphore* semaphore_ = nullptr;
        std::size_t count_ = 0;
    };

    /// With `permits` to begin with; release() may add others later.
    explicit semaphore(std::size_t permits) noexcept : available_{permits} {}
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;
    ~semaphore() {
        if (waiters_.empty() && held_ == 0) return;
        detail::misuse("a semaphore was destroyed while tasks wait for it or hold its permits. Declare it before the permits, and before the "
                       "with_scope whose children use it: they have ended when that ends");
    }

    /// Waits until `k` permits are available and it is this task's turn, and takes them; release() gives them back. Throws
    /// `cancelled` when the task is stopped before, and then has taken none; without an exception it has taken them, also
    /// when a stop came in the same turn. Whoever may throw before its release() is better off with hold(). More permits
    /// than will ever be there are waited for until a stop, and keep those behind waiting. Never allocates.
    [[nodiscard]] auto acquire(std::size_t k = 1) noexcept { return acquire_operation<void>{*this, k}; }

    /// The same, and gives a `permit` that gives them back: `auto permit = co_await s.hold();`.
    [[nodiscard]] auto hold(std::size_t k = 1) noexcept { return acquire_operation<permit>{*this, k}; }

    /// Takes `k` permits if they are available now and nobody waits.
    [[nodiscard]] bool try_acquire(std::size_t k = 1) noexcept {
        if (!waiters_.empty() || k > available_) return false;
        available_ -= k;
        return true;
    }
    /// Gives `k` permits back, or adds them, and wakes those for whom there are enough now.
    void release(std::size_t k = 1) noexcept {
        available_ += k;
        let_through();
    }
    /// Permits that nobody has. While tasks wait these are fewer than the first of them wants.
    std::size_t available() const noexcept { return available_; }

private:
    class request : public detail::waiting {
    public:
        request(semaphore& of, std::size_t k) noexcept : semaphore_{&of}, count_{k} {}
        bool start(const detail::environment& env, detail::waiter& w) noexcept {
            if (env.stop.stop_requested()) return refuse(env, w);
            if (semaphore_->try_acquire(count_)) {
                if (holds_) held_ = permit{*semaphore_, count_};
                return false;
            }
            wait_in(semaphore_->waiters_, env, w);
            return true;
        }
        void left() noexcept { semaphore_->let_through(); }
        void inspect(detail::inspector& to) const { to.say("semaphore"); }

    protected:
        friend class semaphore;
        semaphore* semaphore_;
        std::size_t count_;
        bool holds_ = false;
        permit held_;  // an operation whose end nobody looks at must not keep what hold() was given
    };
    template <class Value> class acquire_operation : public request {
    public:
        using value_type = Value;
        acquire_operation(semaphore& of, std::size_t k) noexcept : request{of, k} { this->holds_ = !std::is_void_v<Value>; }
        result<Value> take() noexcept {
            if (this->stopped()) return errc::cancelled;
            if constexpr (std::is_void_v<Value>) return {};
            else return std::move(this->held_);
        }
    };

    void let_through() noexcept {
        while (!waiters_.empty() && waiters_.front().count_ <= available_) {
            request& next = waiters_.front();
            available_ -= next.count_;
            if (next.holds_) next.held_ = permit{*this, next.count_};
            next.finish();
        }
    }

    std::size_t available_;
    std::size_t held_ = 0;  // permit objects that are out
    detail::list<request> waiters_;
};

}  // namespace hawser
