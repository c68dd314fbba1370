#pragma once
// with_scope: the one way to start concurrent tasks. However it is left, its children have ended.

#include <new>
#include <tuple>

#include <hawser/coro/stored_arguments.hpp>
#include <hawser/coro/task.hpp>

namespace hawser {

class scope;

namespace detail {

/// std::invoke, which is in <functional>; std::apply does the same.
template <class F, class... Args> decltype(auto) invoke(F&& f, Args&&... args) {
    return std::apply(std::forward<F>(f), std::forward_as_tuple(std::forward<Args>(args)...));
}

/// A spawned task: queued, then running, then reported to its scope and gone.
class scope_child : public waiter, public list_node {
public:
    virtual void inspect(inspector& to) const = 0;

protected:
    ~scope_child() = default;
};

template <class F, class... Args> class spawned;

template <class Op> struct return_stored {
    Op op;
    Op operator()() { return std::move(op); }
};

}  // namespace detail

/// The children of one with_scope. Use it from its own thread, while with_scope runs.
class scope {
public:
    scope() = default;
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;

    /// Starts `f(args...)`, which returns a task, as a child: queued behind what is ready now, none of it runs inside
    /// this call. Callable and arguments are decayed and stored until the child's frame is gone, so lambdas with
    /// captures are safe here. Throws std::bad_alloc. Children spawned after a stop start and see it at their first wait.
    template <class F, class... Args> void spawn(F&& f, Args&&... args) {
        using child = detail::spawned<std::decay_t<F>, std::decay_t<Args>...>;
        add(*new child{*this, std::forward<F>(f), std::forward<Args>(args)...});
    }
    /// The same for a task made already. Beware of lambda coroutines: their captures are not stored; pass the lambda.
    template <awaitable Op>
        requires(!std::is_lvalue_reference_v<Op>)
    void spawn(Op&& op) {
        spawn(detail::return_stored<Op>{std::move(op)});
    }

    /// Asks every child, and the body, to stop; with_scope then ends without an error of its own.
    void request_stop() noexcept { stop_.request_stop(); }
    bool stop_requested() const noexcept { return stop_.stop_requested(); }
    /// Children that have not ended.
    std::size_t size() const noexcept { return running_; }

private:
    template <class F> friend class with_scope;
    template <class F, class... Args> friend class detail::spawned;

    void open(const detail::environment& env, detail::waiter& parent) noexcept {
        environment_ = {env.loop, stop_.get_token()};
        parent_ = &parent;
        stop_.follow(env.stop);
    }
    void add(detail::scope_child& child) noexcept {
        ++running_;
        children_.push_back(child);
        environment_.loop->make_ready(child);
    }
    [[gnu::cold]] void fail(std::exception_ptr thrown) noexcept {
        if (detail::is_cancelled(thrown)) {
            saw_cancel_ = true;
            return;
        }
        if (!error_) error_ = std::move(thrown);
        stop_.request_stop();
    }
    void leave() noexcept {
        if (--running_ == 0 && parent_waits_) environment_.loop->make_ready(*parent_);
    }

    detail::environment environment_{};
    stop_source stop_;
    detail::waiter* parent_ = nullptr;
    detail::list<detail::scope_child> children_;
    std::size_t running_ = 0;
    bool parent_waits_ = false, saw_cancel_ = false;
    std::exception_ptr error_;
};

namespace detail {

/// Holds the callable and its arguments until the frame made of them is gone.
template <class F, class... Args> class spawned final : public scope_child, public recycled {
public:
    template <class G, class... As> explicit spawned(scope& owner, G&& f, As&&... args)
        : owner_{&owner}, f_{std::forward<G>(f)}, args_{std::forward<As>(args)...} {
        run = [](waiter& w) noexcept { static_cast<spawned&>(w).begin(); };
    }

private:
    static constexpr bool by_value = std::is_invocable_v<F&, Args...>;
    static_assert(by_value || std::is_invocable_v<F&, Args&...>,
                  "spawn(f, args...): f cannot be called with these arguments. They are stored by value and passed as "
                  "rvalues or, if f takes references, as lvalues; use std::ref for objects that outlive the scope");

    static_assert(arguments_are_kept<F, Args...>(),
                  "spawn(f, args...): a parameter of f is a reference to another type than its argument's (such as const "
                  "std::string& and \"text\"): it would refer to a temporary that is gone when the task runs. Pass an object of "
                  "that type, which is stored, or take the parameter by value");

    using task_type = std::invoke_result_t<F&, std::conditional_t<by_value, Args, Args&>...>;
    static_assert(awaitable<task_type>, "spawn(f, args...): f must return a hawser::task (or another awaitable)");

    task_type make() {
        return std::apply([this](Args&... args) {
            if constexpr (by_value) return detail::invoke(f_, std::move(args)...);
            else return detail::invoke(f_, args...);
        }, args_);
    }
    void begin() noexcept {
        run = [](waiter& w) noexcept { static_cast<spawned&>(w).end(); };
        try {
            if (task_.emplace(make()).start(owner_->environment_, *this)) return;
        } catch (...) {
            task_.reset();  // it has no end to collect
            owner_->fail(std::current_exception());
        }
        end();
    }
    void end() noexcept {
        try {
            if (task_) {
                auto&& how = detail::collect(*task_);
                if (how.failed()) [[unlikely]] owner_->fail(how.exception());
            }
        } catch (...) {  // of moving the value
            owner_->fail(std::current_exception());
        }
        scope& owner = *owner_;
        unlink();
        delete this;
        owner.leave();
    }

    void inspect(inspector& to) const override {
        if (task_) to.branch(*task_);
        else to.below([&] { to.say("a task that was spawned and has not started"); });
    }

    scope* owner_;
    F f_;
    std::tuple<Args...> args_;
    std::optional<task_type> task_;
};

}  // namespace detail

/// `co_await with_scope(f)` calls `f(scope&)`, a plain function or one that returns a task, and ends when f and every
/// child have ended. If f or a child throws, the others are stopped, all are joined, and the first error is rethrown; a
/// child that ends with `cancelled` ends quietly. The value is f's. A stop of the awaiting task reaches f and all
/// children, and comes out as `cancelled` if it cut one of them short and f gave no value. f is stored until then: a
/// lambda with captures may be a coroutine here. The local variables of f end with f, before its children: let children
/// refer to what was declared before with_scope, or spawn them with copies.
template <class F> class [[nodiscard]] with_scope {
    using returned = std::invoke_result_t<F&, scope&>;
    static constexpr bool is_async = awaitable<returned>;

    static auto value() {
        if constexpr (is_async) return std::type_identity<await_result_t<returned>>{};
        else return std::type_identity<returned>{};
    }

public:
    using value_type = typename decltype(value())::type;

    template <class G> explicit with_scope(G&& f) : f_{std::forward<G>(f)} {
        static_assert(detail::closure_is_safe<G>,
                      "g++ before 13 destroys this closure twice: name the function first, auto f = [...]{...}; "
                      "co_await with_scope(f)");
    }
    with_scope(with_scope&& other) : f_{std::forward<F>(other.f_)} {}

    bool start(const detail::environment& env, detail::waiter& parent) {
        scope_.open(env, parent);
        parent_stop_ = env.stop;
        scope_.running_ = 1;  // the body
        run_body();
        scope_.parent_waits_ = scope_.running_ != 0;
        return scope_.parent_waits_;
    }
    detail::outcome<value_type> collect() {
        scope_.stop_.unfollow();
        if (scope_.error_) return {std::move(scope_.error_)};
        // Children that were cut short must not look finished; a value that f gave is not lost to that.
        const bool nothing_to_lose = std::is_void_v<value_type> || end_.failed();
        if (nothing_to_lose && scope_.saw_cancel_ && parent_stop_.stop_requested()) return {result<value_type>{errc::cancelled}};
        return std::move(end_);
    }
    void inspect(detail::inspector& to) const {
        to.say("with_scope, running: ");
        to.say(scope_.running_);
        if constexpr (is_async) {
            if (body_) to.branch(*body_);
        }
        scope_.children_.for_each([&](const detail::scope_child& child) { child.inspect(to); });
    }

private:
    void run_body() {
        try {
            if constexpr (is_async) {
                body_.emplace(f_(scope_));
                waiter_.owner = this;
                waiter_.run = [](detail::waiter& w) noexcept { static_cast<body_waiter&>(w).owner->body_ended(); };
                if (!body_->start(scope_.environment_, waiter_)) body_ended();
                return;
            } else if constexpr (std::is_void_v<value_type>) {
                f_(scope_);
                end_ = detail::outcome<value_type>{result<void>{}};
            } else {
                end_ = detail::outcome<value_type>{result<value_type>{f_(scope_)}};
            }
        } catch (...) {
            failed(std::current_exception());
        }
        scope_.leave();
    }
    void body_ended() noexcept {
        if constexpr (is_async) {
            auto how = detail::collect(*body_);
            if (how.failed()) failed(how.exception());
            else end_ = detail::outcome<value_type>{std::move(how)};
            body_.reset();
        }
        scope_.leave();
    }
    void failed(std::exception_ptr thrown) noexcept {
        scope_.stop_.request_stop();
        scope_.fail(thrown);
        // A body stopped by scope.request_stop() ends quietly only where there is no value to give.
        if constexpr (std::is_void_v<value_type>) end_ = detail::outcome<value_type>{result<void>{}};
        else end_ = detail::outcome<value_type>{std::move(thrown)};
    }

    struct body_waiter : detail::waiter {
        with_scope* owner = nullptr;
    };
    struct nothing {};
    F f_;
    scope scope_;
    stop_token parent_stop_;
    detail::outcome<value_type> end_;
    body_waiter waiter_;
    std::optional<std::conditional_t<is_async, returned, nothing>> body_;
};
template <class F> with_scope(F&&) -> with_scope<F>;

}  // namespace hawser
