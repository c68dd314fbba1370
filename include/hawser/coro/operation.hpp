#pragma once
// What can be awaited, and how: the protocol that every awaitable of hawser follows.

#include <concepts>
#include <exception>
#include <new>
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
    struct no_value {};
    using stored = std::conditional_t<std::is_void_v<T>, no_value, T>;
    static constexpr bool moves_quietly = std::is_nothrow_move_constructible_v<stored>;

public:
    /// Of what has not ended yet: it counts as cancelled.
    outcome() noexcept {}
    outcome(result<T> r) noexcept(moves_quietly) {
        if (!r) make<content::error>(error_, r.error());
        else if constexpr (std::is_void_v<T>) emplace();
        else emplace(*std::move(r));
    }
    outcome(std::exception_ptr e) noexcept { make<content::exception>(exception_, std::move(e)); }
    outcome(outcome&& other) noexcept(moves_quietly) { take_over(other); }
    outcome& operator=(outcome&& other) noexcept(moves_quietly) {
        clear();
        take_over(other);
        return *this;
    }
    ~outcome() { clear(); }

    /// Makes the value of what has not ended yet.
    template <class... From> void emplace(From&&... from) { make<content::value>(value_, std::forward<From>(from)...); }

    bool failed() const noexcept { return has_ != content::value; }
    bool was_cancelled() const noexcept {
        if (has_ == content::exception) return is_cancelled(exception_);
        return has_ == content::nothing || (has_ == content::error && error_ == errc::cancelled);
    }
    /// The value; throws what the operation threw.
    T get() && {
        if (failed()) [[unlikely]] fail();
        if constexpr (!std::is_void_v<T>) return std::move(value_);
    }
    /// The value or hawser's error; rethrows an exception of another type.
    result<T> take() && {
        if (has_ == content::exception) return info_of(exception_);
        if (has_ != content::value) return has_ == content::error ? error_ : errc::cancelled;
        if constexpr (std::is_void_v<T>) return {};
        else return std::move(value_);
    }
    /// The failure as an exception, for a parent that rethrows it.
    std::exception_ptr exception() const noexcept {
        if (has_ == content::exception) return exception_;
        try {
            throw_error(has_ == content::error ? error_ : errc::cancelled);
        } catch (...) {
            return std::current_exception();
        }
    }

private:
    enum class content : unsigned char { nothing, value, error, exception };

    template <content What, class U, class... From> void make(U& where, From&&... from) {
        ::new (static_cast<void*>(&where)) U(std::forward<From>(from)...);
        has_ = What;
    }
    void take_over(outcome& other) noexcept(moves_quietly) {
        if (other.has_ == content::value) emplace(std::move(other.value_));
        else if (other.has_ == content::error) make<content::error>(error_, other.error_);
        else if (other.has_ == content::exception) make<content::exception>(exception_, std::move(other.exception_));
    }
    void clear() noexcept {
        const content had = std::exchange(has_, content::nothing);
        if (had == content::value) value_.~stored();
        else if (had != content::nothing) [[unlikely]] clear_failure(had);
    }
    [[gnu::cold, gnu::noinline]] void clear_failure(content had) noexcept {
        if (had == content::error) error_.~error_info();
        else exception_.~exception_ptr();
    }
    [[noreturn, gnu::cold, gnu::noinline]] void fail() {
        if (has_ == content::exception) std::rethrow_exception(std::move(exception_));
        throw_error(has_ == content::error ? error_ : errc::cancelled);
    }

    union {
        stored value_;
        error_info error_;
        std::exception_ptr exception_;
    };
    content has_ = content::nothing;
};

/// How a finished operation ended: an outcome, or a reference to the one in a coroutine's frame.
template <class Op> decltype(auto) collect(Op& op) {
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
