#pragma once
// result<T>: a value or an error_info, without throwing.

#include <new>
#include <type_traits>
#include <utility>

#include <hawser/base/error.hpp>

#if defined(__cpp_lib_expected)
#include <expected>
#endif

namespace hawser {

/// What `co_await as_result(op)` gives: the value of `op`, or what went wrong. Has no tuple protocol, on purpose:
/// g++ 15 and 16 skip destructors of such bindings in coroutines.
template <class T> class [[nodiscard]] result {
    static_assert(!std::is_same_v<T, error_info> && !std::is_same_v<T, errc>, "a result of an error could not be told from a failure");

public:
    using value_type = T;

    result(const T& value) : has_{true} { make(value_, value); }
    result(T&& value) noexcept(std::is_nothrow_move_constructible_v<T>) : has_{true} { make(value_, std::move(value)); }
    result(error_info error) noexcept : has_{false} { make(error_, std::move(error)); }
    result(errc code) noexcept : result{error_info{code}} {}
    result(const result& other) : has_{other.has_} {
        if (has_) make(value_, other.value_);
        else make(error_, other.error_);
    }
    result(result&& other) noexcept(std::is_nothrow_move_constructible_v<T>) : has_{other.has_} {
        if (has_) make(value_, std::move(other.value_));
        else make(error_, other.error_);
    }
    result& operator=(result other) noexcept(std::is_nothrow_move_constructible_v<T>) {
        this->~result();
        if constexpr (std::is_nothrow_move_constructible_v<T>) {
            return *::new (static_cast<void*>(this)) result{std::move(other)};
        } else {
            try {
                return *::new (static_cast<void*>(this)) result{std::move(other)};
            } catch (...) {
                ::new (static_cast<void*>(this)) result{errc::cancelled};
                throw;
            }
        }
    }
    ~result() {
        if (has_) value_.~T();
        else error_.~error_info();
    }

    bool has_value() const noexcept { return has_; }
    explicit operator bool() const noexcept { return has_; }

    /// The value; throws `error` or `cancelled` if there is none.
    T& value() & { return check(), value_; }
    const T& value() const& { return check(), value_; }
    T&& value() && { return check(), std::move(value_); }
    template <class U> T value_or(U&& other) && { return has_ ? std::move(value_) : static_cast<T>(std::forward<U>(other)); }

    /// The value; the behaviour is undefined if there is none.
    T& operator*() & noexcept { return value_; }
    const T& operator*() const& noexcept { return value_; }
    T&& operator*() && noexcept { return std::move(value_); }
    T* operator->() noexcept { return &value_; }
    const T* operator->() const noexcept { return &value_; }

    /// The failure; one that equals no errc if there is a value.
    const error_info& error() const noexcept { return has_ ? error_info::none() : error_; }

#if defined(__cpp_lib_expected)
    operator std::expected<T, error_info>() && {
        if (has_) return std::move(value_);
        return std::unexpected{error_};
    }
#endif

private:
    template <class U, class... From> static void make(U& where, From&&... from) {
        ::new (static_cast<void*>(&where)) U(std::forward<From>(from)...);
    }
    void check() const {
        if (!has_) throw_error(error_);
    }
    union {
        T value_;
        error_info error_;
    };
    bool has_;
};

template <> class [[nodiscard]] result<void> {
public:
    using value_type = void;

    result() noexcept : result_{success{}} {}
    result(error_info error) noexcept : result_{std::move(error)} {}
    result(errc code) noexcept : result_{code} {}

    bool has_value() const noexcept { return result_.has_value(); }
    explicit operator bool() const noexcept { return result_.has_value(); }
    /// Throws `error` or `cancelled` if this is a failure.
    void value() const { static_cast<void>(result_.value()); }
    void operator*() const noexcept {}
    const error_info& error() const noexcept { return result_.error(); }

#if defined(__cpp_lib_expected)
    operator std::expected<void, error_info>() const {
        if (has_value()) return {};
        return std::unexpected{error()};
    }
#endif

private:
    struct success {};
    result<success> result_;
};

}  // namespace hawser
