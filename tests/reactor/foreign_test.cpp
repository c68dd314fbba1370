// Awaitables of other libraries.

#include <pthread.h>

#include <hawser/coro/task.hpp>
#include <hawser/reactor/foreign.hpp>
#include <hawser/reactor/run.hpp>

#include "support/doctest.hpp"

namespace hw = hawser;

namespace {

/// Resumes on a thread of its own.
struct elsewhere {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) {
        handle = h;
        pthread_t thread;
        REQUIRE(::pthread_create(&thread, nullptr, [](void* self) -> void* {
            static_cast<elsewhere*>(self)->handle.resume();
            return nullptr;
        }, this) == 0);
        ::pthread_detach(thread);
    }
    int await_resume() const {
        if (fails) throw std::runtime_error{"elsewhere"};
        return 7;
    }
    bool fails = false;
    std::coroutine_handle<> handle{};
};

struct at_once {
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    void await_resume() const noexcept {}
};

}  // namespace

TEST_CASE("a foreign awaitable comes back to the task's own reactor") {
    auto body = []() -> hw::task<> {
        const pthread_t home = ::pthread_self();
        hw::reactor* loop = hw::reactor::current();
        for (int i = 0; i < 20; ++i) {
            CHECK(co_await hw::foreign(elsewhere{}) == 7);
            CHECK(::pthread_equal(home, ::pthread_self()));
            CHECK(hw::reactor::current() == loop);
        }
        co_await hw::foreign(at_once{});
    };
    hw::run(body());
}

TEST_CASE("its exception is the task's") {
    auto body = []() -> hw::task<> {
        elsewhere bad;
        bad.fails = true;
        CHECK_THROWS_AS(co_await hw::foreign(std::move(bad)), std::runtime_error);
    };
    hw::run(body());
}
