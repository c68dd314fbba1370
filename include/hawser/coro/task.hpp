#pragma once
// task<T>: a lazy coroutine; operation<T>: the same for the library's own composites, which return errors instead
// of throwing them.

#include <optional>

#include <hawser/base/recycler.hpp>
#include <hawser/coro/operation.hpp>

namespace hawser {

template <class T = void> class task;
template <class T> class operation;

namespace detail {

// Coroutines in headers are templates, `template <class = void>` where they would not be: g++ emits every other coroutine
// that it sees, used or not, with all that it calls, which made including hawser several times as slow.

/// What every coroutine of hawser has: its environment, and who waits for its end.
class promise_base : public recycled {
public:
    std::suspend_always initial_suspend() const noexcept { return {}; }
    auto final_suspend() const noexcept { return hand_over{}; }

    template <class Op> auto await_transform(Op&& op, std::source_location where = std::source_location::current()) noexcept {
        static_assert(awaitable<Op>,
                      "this is not an awaitable of hawser: it would resume the task wherever it ends, not on its reactor. Wrap it: "
                      "co_await hawser::foreign(std::move(it))");
        using type = std::remove_reference_t<Op>;
        at_.where = where;
        return awaiter<type>{op, at_};
    }

    /// Runs the coroutine to its first real suspension. True if it is suspended and will make `w` ready.
    bool start(std::coroutine_handle<> frame, const environment& env, waiter& w) {
        run(frame, env);
        return !frame.done() && wait(w);
    }
    bool started() const noexcept { return static_cast<bool>(at_.self.handle); }

    /// One line of dump_tasks, and below it what runs on behalf of this coroutine.
    void inspect(inspector& to) const {
        if (to.has_words()) to.say("a task");
        to.below([&] {
            to.say_name(made_);
            if (!started()) return to.say(" has not started");
            if (!at_.awaited) return to.say(" runs");
            to.say(" awaits ");
            to.end_with(at_.where, at_.env.loop->turn_time() - at_.since);
            at_.inspect(at_.awaited, to);
        });
    }

protected:
    promise_base() = default;
    ~promise_base() = default;
    /// Keeps what the coroutine is called: g++ gives the line on which its body ends, clang the one on which it begins.
    void set_name(std::source_location made) noexcept { made_ = made; }

    /// Runs the coroutine to where it suspends.
    void run(std::coroutine_handle<> frame, const environment& env) {
        at_.env = env;
        at_.self.handle = frame;
        frame.resume();
    }
    /// From now on hand_over() goes to `w`. Not before run(): a coroutine that need not wait must not resume its parent.
    bool wait(waiter& w) noexcept {
        continuation_ = &w;
        return true;
    }
    /// Suspends the coroutine for good, or until run(), and goes on with who waits for it.
    struct hand_over {
        bool await_ready() const noexcept { return false; }
        template <class Promise> std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> frame) const noexcept {
            promise_base& promise = frame.promise();
            waiter* next = std::exchange(promise.continuation_, nullptr);
            if (!next) return std::noop_coroutine();
            if (next->handle) return next->handle;
            promise.at_.env.loop->make_ready(*next);  // it may destroy this frame, so not from inside it
            return std::noop_coroutine();
        }
        void await_resume() const noexcept {}
    };

private:

    position at_;
    waiter* continuation_ = nullptr;
    std::source_location made_{};
};

/// Stores how the coroutine ended.
template <class T> class outcome_promise : public promise_base {
public:
    void unhandled_exception() noexcept { end_ = outcome<T>{std::current_exception()}; }
    /// Once, when it has ended.
    outcome<T>&& take_outcome() noexcept { return std::move(end_); }

protected:
    outcome<T> end_;
};

template <class T> class task_promise final : public outcome_promise<T> {
public:
    task<T> get_return_object(std::source_location made = std::source_location::current()) noexcept;
    template <class U>
        requires std::is_convertible_v<U&&, T>
    void return_value(U&& value) {
        this->end_.emplace(static_cast<T>(std::forward<U>(value)));
    }
};

template <> class task_promise<void> final : public outcome_promise<void> {
public:
    task<void> get_return_object(std::source_location made = std::source_location::current()) noexcept;
    void return_void() noexcept { end_.emplace(); }
};

template <class T> class operation_promise final : public outcome_promise<T> {
public:
    operation<T> get_return_object(std::source_location made = std::source_location::current()) noexcept;
    void return_value(result<T> r) { this->end_ = outcome<T>{std::move(r)}; }
};

/// Owns a coroutine frame that was not started, or has ended.
template <class Promise> class frame_owner {
public:
    explicit frame_owner(std::coroutine_handle<Promise> frame) noexcept : frame_{frame} {}
    frame_owner(frame_owner&& other) noexcept : frame_{std::exchange(other.frame_, {})} {}
    frame_owner& operator=(frame_owner&& other) noexcept {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~frame_owner() {
        if (!frame_) return;
        if (frame_.promise().started() && !frame_.done()) {
            misuse("a task was destroyed while it runs; the kernel may still use its buffers. Spawn it in a scope "
                   "(co_await hawser::with_scope) and let the scope join it");
        }
        frame_.destroy();
    }

    bool start(const environment& env, waiter& w) { return frame_.promise().start(frame_, env, w); }
    auto&& collect() { return frame_.promise().take_outcome(); }
    auto take() { return frame_.promise().take_outcome().take(); }
    explicit operator bool() const noexcept { return static_cast<bool>(frame_); }
    void inspect(inspector& to) const { frame_.promise().inspect(to); }

private:
    std::coroutine_handle<Promise> frame_;
};

}  // namespace detail

/// A coroutine that runs when it is awaited or spawned, on the reactor of whoever does so. Move-only; await it once:
/// `T value = co_await std::move(t)`. It takes the stop token of its parent. Its frame comes from a free list of
/// the thread. Destroying one that was never started is fine, one that runs is a programming error (scopes join).
template <class T> class [[nodiscard("a task does nothing until it is awaited or spawned")]] task
    : public detail::frame_owner<detail::task_promise<T>> {
    static_assert(!std::is_reference_v<T>, "a task returns a value; return a pointer or std::reference_wrapper instead");

public:
    using value_type = T;
    using promise_type = detail::task_promise<T>;
    using detail::frame_owner<promise_type>::frame_owner;
};

/// An operation made of others, such as read_exactly: await it for its value, or `co_await as_result(op)` for a
/// result<T>. Move-only, lazy, await it once.
template <class T> class [[nodiscard("an operation does nothing until it is awaited")]] operation
    : public detail::frame_owner<detail::operation_promise<T>> {
public:
    using value_type = T;
    using promise_type = detail::operation_promise<T>;
    using detail::frame_owner<promise_type>::frame_owner;
};

namespace detail {

template <class T> task<T> task_promise<T>::get_return_object(std::source_location made) noexcept {
    this->set_name(made);
    return task<T>{std::coroutine_handle<task_promise>::from_promise(*this)};
}
inline task<void> task_promise<void>::get_return_object(std::source_location made) noexcept {
    set_name(made);
    return task<void>{std::coroutine_handle<task_promise>::from_promise(*this)};
}
template <class T> operation<T> operation_promise<T>::get_return_object(std::source_location made) noexcept {
    this->set_name(made);
    return operation<T>{std::coroutine_handle<operation_promise>::from_promise(*this)};
}

}  // namespace detail
}  // namespace hawser
