#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include <hawser/coro/when_all.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/reactor/run.hpp>
#include <hawser/reactor/sleep.hpp>

#include "virtual_time.hpp"

namespace hw = hawser;
using namespace std::chrono_literals;

namespace {

hw::task<int> answer() {
    co_await hw::yield();
    co_return 42;
}

struct counted_service {
    static inline int made = 0, alive = 0;
    explicit counted_service(hw::reactor& r) : loop{&r} {
        ++made;
        ++alive;
    }
    counted_service(const counted_service&) = delete;
    ~counted_service() { --alive; }
    hw::reactor* loop;
};

/// Polls for what never comes, and records the order in which the reactor lets go of it.
struct lingering final : hw::detail::io_object {
    struct node : hw::detail::poll_op {
        lingering* self = nullptr;
    };
    explicit lingering(hw::reactor& loop) : loop_{loop} {
        poll.self = this;
        poll.on_complete = [](hw::detail::op& o, const hw::detail::completion& c) noexcept {
            static_cast<node&>(o).self->log += c.result == -ECANCELED ? "cancelled " : "completed ";
        };
        loop.attach(*this);
        loop.io().start(poll);
    }
    void on_reactor_stop() noexcept override {
        log += "stop ";
        loop_.io().cancel(poll);
    }
    void on_reactor_gone() noexcept override { log += "gone"; }
    hw::reactor& loop_;
    node poll;
    static inline std::string log;
};

}  // namespace

TEST_SUITE("run") {
    TEST_CASE("a value, nothing, a move-only value") {
        CHECK(hw::run(answer()) == 42);
        CHECK_NOTHROW(hw::run([]() -> hw::task<> { co_return; }()));
        CHECK(*hw::run([]() -> hw::task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); }()) == 3);
        CHECK(hw::run([]() -> hw::task<int> { co_return 1; }(), {.entries = 8}) == 1);
        CHECK(hw::run(answer(), {.multishot_receive = false}) == 42);
    }

    TEST_CASE("what the task throws") {
        CHECK_THROWS_WITH_AS(hw::run([]() -> hw::task<> {
            co_await hw::yield();
            throw std::runtime_error{"words"};
        }()), "words", std::runtime_error);
        CHECK_THROWS_AS(hw::run([]() -> hw::task<> { throw hw::cancelled{}; co_return; }()), hw::cancelled);
        CHECK(hw::run(answer()) == 42);  // the thread can run again
    }

    TEST_CASE("the reactor is this thread's while it runs, and no longer") {
        CHECK(hw::reactor::current() == nullptr);
        auto body = []() -> hw::task<> {
            CHECK(hw::reactor::current() != nullptr);
            CHECK(std::string{hw::reactor::current()->io().name()} == "io_uring");
            CHECK_FALSE(hw::reactor::current()->shares_ports());
            co_return;
        };
        hw::run(body());
        CHECK(hw::reactor::current() == nullptr);
        CHECK_THROWS_AS(hw::this_reactor(), hw::error);
    }

    TEST_CASE("run() inside run() is refused in words, and the outer one goes on") {
        std::string said;
        auto body = [&]() -> hw::task<int> {
            try {
                hw::run(answer());
            } catch (const hw::error& e) {
                CHECK(e.code() == hw::errc::invalid_argument);
                said = e.what();
            }
            co_return co_await answer() + 1;
        };
        CHECK(hw::run(body()) == 43);
        CHECK(said.find("run() inside run()") != std::string::npos);
        CHECK(said.find("co_await") != std::string::npos);
    }

    TEST_CASE("a task that was moved from") {
        auto body = []() -> hw::task<> { co_return; };
        hw::task<> t = body();
        hw::task<> other = std::move(t);
        CHECK_THROWS_WITH_AS(hw::run(std::move(t)), doctest::Contains("moved from"), hw::error);
    }

    TEST_CASE("a service is made once per reactor and destroyed with it") {
        auto body = []() -> hw::task<> {
            hw::reactor& loop = *hw::reactor::current();
            counted_service& first = loop.service<counted_service>();
            co_await hw::yield();
            CHECK(&loop.service<counted_service>() == &first);
            CHECK(first.loop == &loop);
            CHECK(counted_service::alive == 1);
        };
        hw::run(body());
        hw::run(body());
        CHECK(counted_service::made == 2);
        CHECK(counted_service::alive == 0);
    }

    TEST_CASE("at the end: what owns operations is stopped, its operations end, then it is told that all is gone") {
        std::unique_ptr<lingering> object;
        auto body = [&]() -> hw::task<> {
            object = std::make_unique<lingering>(*hw::reactor::current());
            co_await hw::yield();
        };
        virtual_time::run(body());
        CHECK(lingering::log == "stop cancelled gone");
        CHECK_FALSE(object->poll.active);
        CHECK_FALSE(object->linked());
    }

    TEST_CASE("deferred work is done once before the next wait") {
        struct work : hw::detail::deferred {
            int done = 0;
        } w;
        w.flush = [](hw::detail::deferred& d) noexcept { ++static_cast<work&>(d).done; };
        auto body = [&]() -> hw::task<> {
            hw::reactor& loop = *hw::reactor::current();
            co_await hw::yield();
            loop.defer(w);
            loop.defer(w);
            CHECK(w.done == 0);
            co_await hw::yield();
            CHECK(w.done == 1);
            co_await hw::yield();
            CHECK(w.done == 1);
        };
        hw::run(body());
    }

    TEST_CASE("run() waits for what is held") {
        struct later : hw::detail::timer {
            bool fired = false;
        } t;
        t.fire = [](hw::detail::timer& x) noexcept {
            static_cast<later&>(x).fired = true;
            hw::reactor::current()->unhold();
        };
        auto body = [&]() -> hw::task<> {
            hw::reactor& loop = *hw::reactor::current();
            loop.hold();
            loop.set_timer(t, loop.now() + 1h);
            co_return;
        };
        virtual_time::run(body());
        CHECK(t.fired);
    }

    TEST_CASE("what an unfinished timer or an abandoned frame needs is freed") {
        // LeakSanitizer is the judge.
        auto body = []() -> hw::task<> {
            auto children = [](hw::scope& s) -> hw::task<> {
                for (int i = 0; i < 100; ++i) s.spawn([](int n) -> hw::task<> { co_await hw::sleep_for(std::chrono::hours{n + 1}); }, i);
                co_await hw::yield();
                s.request_stop();
            };
            co_await hw::with_scope(children);
        };
        hw::run(body());
        CHECK(hw::detail::frame_recycler::kept() == 0);
        CHECK(hw::detail::buffer_recycler::kept() == 0);
    }
}
