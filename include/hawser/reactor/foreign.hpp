#pragma once
// Awaiting what is not hawser's: the task always comes back to its own reactor.

#include <coroutine>

#include <hawser/coro/operation.hpp>
#include <hawser/reactor/reactor.hpp>

namespace hawser {

namespace detail {

template <class Aw> decltype(auto) awaiter_of(Aw&& aw) {
    if constexpr (requires { std::forward<Aw>(aw).operator co_await(); }) return std::forward<Aw>(aw).operator co_await();
    else if constexpr (requires { operator co_await(std::forward<Aw>(aw)); }) return operator co_await(std::forward<Aw>(aw));
    else return std::forward<Aw>(aw);
}

/// The frame that awaits the foreign awaitable, on whatever thread that resumes it.
struct foreign_runner {
    struct promise_type {
        foreign_runner get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        auto final_suspend() const noexcept { return report{}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept {}  // the body catches everything

        reactor_handle* home = nullptr;
        waiter* parent = nullptr;
        reactor* loop = nullptr;
    };
    struct report {
        bool await_ready() const noexcept { return false; }
        // Once it is posted the frame may be destroyed by the reactor's thread; not inlined, so that nothing of it is
        // touched after that (LLVM 56301).
        [[gnu::noinline]] void await_suspend(std::coroutine_handle<promise_type> ended) const noexcept {
            const promise_type& p = ended.promise();
            const reactor_handle home = *p.home;
            home.post([loop = p.loop, parent = p.parent]() noexcept { loop->make_ready(*parent); });
        }
        void await_resume() const noexcept {}
    };
    std::coroutine_handle<promise_type> frame;
};

template <class Aw> class foreign_operation {
public:
    using value_type = std::remove_cvref_t<decltype(awaiter_of(std::declval<Aw>()).await_resume())>;

    explicit foreign_operation(Aw&& aw) : awaitable_{std::move(aw)} {}
    foreign_operation(foreign_operation&& other) : awaitable_{std::move(other.awaitable_)} {}
    ~foreign_operation() {
        if (runner_) runner_.destroy();
    }

    bool start(const environment& env, waiter& w) {
        home_.emplace(reactor::of(env).handle());
        runner_ = run(*this).frame;
        runner_.promise().home = &*home_;
        runner_.promise().loop = &reactor::of(env);
        runner_.promise().parent = &w;
        runner_.resume();
        return true;
    }
    outcome<value_type> collect() { return std::move(end_); }
    void inspect(inspector& to) const { to.say("foreign awaitable"); }

private:
    static foreign_runner run(foreign_operation& self) {
        try {
            if constexpr (std::is_void_v<value_type>) {
                co_await std::move(self.awaitable_);
                self.end_ = outcome<void>{result<void>{}};
            } else {
                self.end_ = outcome<value_type>{result<value_type>{co_await std::move(self.awaitable_)}};
            }
        } catch (...) {
            self.end_ = outcome<value_type>{std::current_exception()};
        }
    }

    Aw awaitable_;
    std::optional<reactor_handle> home_;
    std::coroutine_handle<foreign_runner::promise_type> runner_;
    outcome<value_type> end_;
};

}  // namespace detail

/// Awaits an awaitable of another library, which may resume on any thread: `co_await foreign(std::move(aw))`. The task
/// goes on on its own reactor. Takes ownership of `aw`. A stop of the task does not reach `aw`: it is awaited to its
/// end. Costs a coroutine frame and a post.
template <class Aw>
    requires(!std::is_lvalue_reference_v<Aw>)
[[nodiscard]] auto foreign(Aw&& aw) {
    return detail::foreign_operation<Aw>{std::move(aw)};
}

}  // namespace hawser
