#pragma once
// pending: an operation that a Lua task waits for, from its start to its results on the Lua stack.

#include <exception>
#include <optional>

#include <hawser/coro/operation.hpp>
#include <hawser/base/recycler.hpp>
#include <hawser/lua/cancel_scope.hpp>
#include <hawser/lua/failure.hpp>
#include <hawser/reactor/with_timeout.hpp>

namespace hawser::lua::detail {

class task;

/// Owned by the task that waits for it: an error of Lua may pass while its results are pushed, and must not lose it.
class pending : public hawser::detail::waiter, public hawser::detail::recycled {
public:
    pending() = default;
    pending(const pending&) = delete;
    pending& operator=(const pending&) = delete;
    virtual ~pending() = default;

    /// False: it has ended already. Else it makes itself ready.
    virtual bool start(const hawser::detail::environment& env) noexcept = 0;
    /// Takes the operation's end. `scope`: under which it ran.
    virtual void end(cancel_scope& scope) noexcept = 0;
    /// Pushes the results and says how many they are. May raise a Lua error.
    virtual int give(state* L) = 0;
    virtual void inspect(hawser::detail::inspector& to) const = 0;

    task* owner = nullptr;
};

/// What a failure is called in Lua: an operation that was cut short names what cut it.
inline failure failure_under(cancel_scope& scope, const error_info& why) {
    if (!(why == errc::cancelled)) return why;
    cancel_scope* cause = scope.cause();
    if (cause) scope.cut(*cause);
    if (cause && cause->timed_out()) return {"timed out", ETIMEDOUT};
    return {"cancelled", ECANCELED};
}

/// `give(L, value)` pushes the value; `give.fail(L, failure)`, where there is such a function, what comes instead of nil,
/// message and number.
template <class Op, class Give> class pending_operation final : public pending {
public:
    using value_type = typename Op::value_type;

    pending_operation(Op&& op, Give give) : give_{std::move(give)}, op_{std::move(op)} {}

    bool start(const hawser::detail::environment& env) noexcept override {
        try {
            return op_.start(env, *this);
        } catch (...) {
            thrown_ = std::current_exception();
            return false;
        }
    }
    void end(cancel_scope& scope) noexcept override {
        try {
            if (thrown_) std::rethrow_exception(std::move(thrown_));
            ended_.emplace(hawser::detail::collect(op_).take());
            if (!*ended_) failure_ = failure_under(scope, ended_->error());
        } catch (const error& e) {
            failure_ = e.info();
        } catch (const cancelled&) {
            failure_ = failure_under(scope, errc::cancelled);
        } catch (const std::exception& e) {
            failure_ = failure{e.what(), EIO};
        } catch (...) {
            failure_ = failure{"an exception that is no std::exception", EIO};
        }
    }
    int give(state* L) override {
        if constexpr (requires { give_.fail(L, failure_); }) {
            if (failure_) return give_.fail(L, failure_);
        } else {
            if (failure_) return failure_.push(L);
        }
        if constexpr (std::is_void_v<value_type>) return give_(L);
        else return give_(L, **ended_);
    }
    void inspect(hawser::detail::inspector& to) const override { to.show(op_); }

private:
    Give give_;  // what it holds may be what the operation works on
    Op op_;
    std::exception_ptr thrown_;
    std::optional<result<value_type>> ended_;
    failure failure_;
};

/// nullptr: memory is short.
template <class Op, class Give> pending* make_pending(Op&& op, Give give) noexcept {
    try {
        return new pending_operation<std::remove_cvref_t<Op>, Give>{std::forward<Op>(op), std::move(give)};
    } catch (...) {
        return nullptr;
    }
}

/// An operation under a time limit of its own; `make()` makes it.
template <class Make, class Give> pending* make_limited(Make make, duration limit, Give give) noexcept {
    try {
        if (limit == duration::max()) return make_pending(make(), std::move(give));
        return make_pending(with_timeout(limit, make()), std::move(give));
    } catch (...) {
        return nullptr;
    }
}

/// The result of an operation that has no other.
struct give_true {
    int operator()(state* L) const { return lua_pushboolean(L, 1), 1; }
};

}  // namespace hawser::lua::detail
