#pragma once
// generator<T>: a coroutine that gives values one by one, and may wait between them.

#include <hawser/coro/task.hpp>

namespace hawser {

template <class T> class generator;

namespace detail {

template <class T> class generator_promise final : public promise_base {
public:
    generator<T> get_return_object(std::source_location made = std::source_location::current()) noexcept;

    template <class U = T>
        requires std::is_constructible_v<T, U&&>
    hand_over yield_value(U&& value) {
        static_assert(std::is_lvalue_reference_v<U> || temporary_is_safe<std::remove_cvref_t<U>>,
                      "g++ before 13 destroys a temporary of this aggregate twice in a co_yield expression: give it a constructor, or "
                      "give the value a name and co_yield that");
        value_.emplace(std::forward<U>(value));
        return {};
    }
    void return_void() const noexcept {}
    void unhandled_exception() noexcept { failure_ = std::current_exception(); }

    /// Runs the body to its next co_yield or its end, or to where it waits: then true.
    bool resume(const environment& env, waiter& w) {
        busy_ = true;
        const auto frame = std::coroutine_handle<generator_promise>::from_promise(*this);
        run(frame, env);
        return !value_ && !frame.done() && wait(w);
    }
    bool busy() const noexcept { return busy_; }
    outcome<std::optional<T>> take_value() {
        busy_ = false;
        if (failure_) return std::exchange(failure_, nullptr);
        std::optional<T> value = std::move(value_);
        value_.reset();
        return result<std::optional<T>>{std::move(value)};
    }

private:
    std::optional<T> value_;
    std::exception_ptr failure_;
    bool busy_ = false;
};

template <class T> class next_operation {
    using handle = std::coroutine_handle<generator_promise<T>>;

public:
    using value_type = std::optional<T>;
    explicit next_operation(handle frame) noexcept : frame_{frame} {}

    bool start(const environment& env, waiter& w) {
        if (env.stop.stop_requested()) {
            refused_ = errc::cancelled;
            return env.refuse(w);
        }
        if (!frame_) return false;
        if (frame_.promise().busy()) {
            refused_ = errc::busy;
            return false;
        }
        if (frame_.done()) return false;
        runs_ = true;
        return frame_.promise().resume(env, w);
    }
    outcome<value_type> collect() {
        if (runs_) return frame_.promise().take_value();
        if (refused_ != errc{}) return result<value_type>{refused_};
        return result<value_type>{value_type{}};
    }
    void inspect(inspector& to) const {
        to.say("the next value of a generator");
        if (runs_) to.branch(frame_.promise());
    }

private:
    handle frame_;
    errc refused_{};
    bool runs_ = false;
};

}  // namespace detail

/// A coroutine that may co_await whatever a task may, and gives its values by `co_yield`:
///
///     hw::generator<int> numbers() { for (int i = 0;; ++i) { co_await hw::sleep_for(1s); co_yield i; } }
///     auto n = numbers();
///     while (auto value = co_await n.next()) use(*value);
///
/// Lazy: it runs only while somebody awaits next(), on that task's reactor and under its stop token, which it has until
/// the value is there. So a stop, or the timeout of a with_timeout around next(), reaches what the body awaits then: that
/// throws `cancelled` into the body. A body that lets it pass has ended, and next() throws `cancelled` or errc::timed_out;
/// one that catches it may yield a value after all, which next() gives, and goes on. Do not keep a stop token of the
/// body across a co_yield. Move-only. Destroying it at a co_yield destroys its locals as usual; while a next() runs
/// it says so on stderr and aborts. The frame comes from a free list of the thread; next() never allocates.
template <class T> class [[nodiscard("a generator does nothing until its next() is awaited")]] generator {
    static_assert(std::is_object_v<T> && !std::is_const_v<T>, "a generator gives values; give a pointer or std::reference_wrapper instead");

public:
    using promise_type = detail::generator_promise<T>;

    generator(generator&& other) noexcept : frame_{std::exchange(other.frame_, {})} {}
    generator& operator=(generator&& other) noexcept {
        generator old{std::move(other)};
        std::swap(frame_, old.frame_);
        return *this;
    }
    ~generator() {
        if (!frame_) return;
        if (frame_.promise().busy()) {
            detail::misuse("a generator was destroyed while a task waits for its next(). Declare it in the task that does so, or before the "
                           "with_scope whose children do: they have ended when that ends");
        }
        frame_.destroy();
    }

    /// Runs the body until its next co_yield and gives that value; empty when the body has ended, however often it is
    /// asked. Throws what the body throws, which has ended then; errc::busy while another next() runs; `cancelled`, with
    /// the body left as it is, when the task was stopped before. The generator must outlive it, but may be moved.
    [[nodiscard]] auto next() noexcept { return detail::next_operation<T>{frame_}; }

private:
    friend promise_type;
    explicit generator(std::coroutine_handle<promise_type> frame) noexcept : frame_{frame} {}
    std::coroutine_handle<promise_type> frame_;
};

namespace detail {

template <class T> generator<T> generator_promise<T>::get_return_object(std::source_location made) noexcept {
    this->set_name(made);
    return generator<T>{std::coroutine_handle<generator_promise>::from_promise(*this)};
}

}  // namespace detail
}  // namespace hawser
