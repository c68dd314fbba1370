#pragma once
// What can be awaited, and how: the protocol that every awaitable of hawser follows.

#include <concepts>
#include <exception>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include <hawser/base/result.hpp>
#include <hawser/coro/inspect.hpp>
#include <hawser/coro/scheduler.hpp>

namespace hawser {

namespace detail {

/// start() returns false when the operation has finished already; else it will make `w` ready, once. take() gives
/// the result after that, once. An operation may be moved before it is started and stays where it is afterwards.
template <class Op> concept startable = requires(Op& op, const environment& env, waiter& w) {
    typename Op::value_type;
    { op.start(env, w) } -> std::same_as<bool>;
};

}  // namespace detail

/// Anything that `co_await` accepts inside a hawser task: every awaitable of this library, and tasks themselves.
template <class Op> concept awaitable = detail::startable<std::remove_reference_t<Op>>;

template <class Op> using await_result_t = typename std::remove_reference_t<Op>::value_type;

namespace detail {

/// Turns a stored exception into the error it carries; rethrows what is not hawser's.
inline error_info info_of(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const error& e) {
        return e.info();
    } catch (const cancelled& c) {
        return error_info{errc::cancelled}.with_transferred(c.transferred());
    }
}

inline bool is_cancelled(const std::exception_ptr& exception) noexcept {
    try {
        std::rethrow_exception(exception);
    } catch (const cancelled&) {
        return true;
    } catch (...) {
        return false;
    }
}

/// A value, an error_info, or an exception of any type: how a task ended.
template <class T> class [[nodiscard]] outcome {
public:
    /// Of what has not ended yet.
    outcome() noexcept : result_{errc::cancelled} {}
    outcome(result<T> r) noexcept(std::is_nothrow_move_constructible_v<result<T>>) : result_{std::move(r)} {}
    outcome(std::exception_ptr e) noexcept : exception_{std::move(e)}, result_{errc::cancelled} {}

    bool failed() const noexcept { return exception_ || !result_; }
    bool was_cancelled() const noexcept {
        return exception_ ? is_cancelled(exception_) : !result_ && result_.error() == errc::cancelled;
    }
    /// The value; throws what the operation threw.
    T get() && {
        if (exception_) std::rethrow_exception(std::move(exception_));
        return std::move(result_).value();
    }
    /// The value or hawser's error; rethrows an exception of another type.
    result<T> take() && {
        if (exception_) return info_of(exception_);
        return std::move(result_);
    }
    /// The failure as an exception, for a parent that rethrows it.
    std::exception_ptr exception() const noexcept {
        if (exception_) return exception_;
        try {
            throw_error(result_.error());
        } catch (...) {
            return std::current_exception();
        }
    }

private:
    std::exception_ptr exception_;
    result<T> result_;
};

/// How a finished operation ended.
template <class Op> outcome<typename Op::value_type> collect(Op& op) {
    if constexpr (requires { op.collect(); }) return op.collect();
    else return outcome<typename Op::value_type>{op.take()};
}

/// Where a coroutine stands: on which reactor and under which stop, and what it awaits.
struct position {
    environment env{};
    waiter self{};
    const void* awaited = nullptr;  // the operation, while it waits
    void (*inspect)(const void* awaited, inspector& to) = nullptr;
    std::source_location where{};
    time_point since{};  // the turn of the loop in which it began to wait
};

/// The operation as `co_await` sees it inside a task.
template <class Op> struct awaiter {
    Op& op;
    position& at;

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<>) {
        at.awaited = &op;
        at.inspect = [](const void* awaited, inspector& to) { to.show(*static_cast<const Op*>(awaited)); };
        at.since = at.env.loop->turn_time();
        try {
            return op.start(at.env, at.self);
        } catch (...) {
            at.awaited = nullptr;
            throw;
        }
    }
    typename Op::value_type await_resume() {
        at.awaited = nullptr;
        if constexpr (requires { op.collect(); }) return op.collect().get();
        else return op.take().value();
    }
};

/// g++ before 13 destroys a temporary closure or aggregate in a co_await expression twice: harmless only if it owns nothing.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
template <class F> inline constexpr bool closure_is_safe =
    std::is_lvalue_reference_v<F> || std::is_trivially_destructible_v<std::remove_reference_t<F>>;
template <class T> inline constexpr bool temporary_is_safe = std::is_trivially_destructible_v<T> || !std::is_aggregate_v<T>;
#else
template <class F> inline constexpr bool closure_is_safe = true;
template <class T> inline constexpr bool temporary_is_safe = true;
#endif

}  // namespace detail

/// Gives an operation's failure as a value: `result<T> r = co_await as_result(op)`. Exceptions that are not
/// hawser's still throw. Takes ownership of `op`; costs nothing.
template <awaitable Op> class [[nodiscard]] as_result {
public:
    using value_type = result<await_result_t<Op>>;

    explicit as_result(Op&& op) : op_{std::move(op)} {}
    bool start(const detail::environment& env, detail::waiter& w) { return op_.start(env, w); }
    detail::outcome<value_type> collect() {
        try {
            return detail::outcome<value_type>{result<value_type>{detail::collect(op_).take()}};
        } catch (...) {
            return detail::outcome<value_type>{std::current_exception()};
        }
    }
    value_type take() { return detail::collect(op_).take(); }
    void inspect(detail::inspector& to) const { to.show(op_); }

private:
    Op op_;
};
template <class Op> as_result(Op&&) -> as_result<std::remove_reference_t<Op>>;

}  // namespace hawser
