#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <hawser/reactor/run.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/coro/with_scope.hpp>

namespace hw = hawser;
using namespace std::chrono_literals;

TEST_SUITE("post") {
    TEST_CASE("functions of one thread run in order, on the reactor's thread, and wake it") {
        std::vector<int> seen;
        std::vector<std::thread::id> where;
        std::thread poster;
        auto body = [&]() -> hw::task<> {
            auto children = [&](hw::scope& s) -> hw::task<> {
                poster = std::thread{[&, handle = hw::this_reactor()] {
                    for (int i = 0; i < 100; ++i) {
                        handle.post([&, i] {
                            seen.push_back(i);
                            where.push_back(std::this_thread::get_id());
                        });
                    }
                    handle.post([&s]() noexcept { s.request_stop(); });
                }};
                co_await hw::sleep_for(1h);  // nothing but the post ends it
            };
            co_await hw::with_scope(children);
        };
        hw::run(body());
        poster.join();
        REQUIRE(seen.size() == 100);
        for (int i = 0; i < 100; ++i) {
            CHECK(seen[static_cast<std::size_t>(i)] == i);
            CHECK(where[static_cast<std::size_t>(i)] == std::this_thread::get_id());
        }
    }

    TEST_CASE("many threads at once: every function runs once") {
        constexpr int threads = 4, each = 5000;
        int ran = 0;  // of the reactor's thread alone
        std::vector<std::thread> posters;
        auto body = [&]() -> hw::task<> {
            auto children = [&](hw::scope& s) -> hw::task<> {
                for (int t = 0; t < threads; ++t) {
                    posters.emplace_back([&, handle = hw::this_reactor()] {
                        for (int i = 0; i < each; ++i) handle.post([&] { if (++ran == threads * each) s.request_stop(); });
                    });
                }
                co_await hw::sleep_for(1h);
            };
            co_await hw::with_scope(children);
        };
        hw::run(body());
        for (std::thread& t : posters) t.join();
        CHECK(ran == threads * each);
    }

    TEST_CASE("a posted function may post, and so may a task; it runs in a later turn") {
        std::vector<int> seen;
        auto body = [&]() -> hw::task<> {
            auto children = [&](hw::scope& s) -> hw::task<> {
                const hw::reactor_handle here = hw::this_reactor();
                CHECK(here.post([&, here] {
                    seen.push_back(1);
                    here.post([&] {
                        seen.push_back(3);
                        s.request_stop();
                    });
                    seen.push_back(2);
                }));
                CHECK(seen.empty());
                co_await hw::sleep_for(1h);
            };
            co_await hw::with_scope(children);
        };
        hw::run(body());
        CHECK(seen == std::vector{1, 2, 3});
    }

    TEST_CASE("after the end post() is false and drops the function") {
        std::optional<hw::reactor_handle> handle;
        auto body = [&]() -> hw::task<> {
            handle = hw::this_reactor();
            co_return;
        };
        hw::run(body());
        auto owned = std::make_shared<int>(1);
        bool ran = false;
        CHECK_FALSE(handle->post([owned, &ran] { ran = true; }));
        CHECK(owned.use_count() == 1);
        CHECK_FALSE(ran);
        const hw::reactor_handle copy = *handle;
        handle.reset();
        CHECK_FALSE(copy.post([] {}));
        handle = copy;
        CHECK_FALSE(handle->post([] {}));
    }

    TEST_CASE("what was posted and did not run before the end is dropped") {
        auto owned = std::make_shared<int>(1);
        bool ran = false;
        auto body = [&]() -> hw::task<> {
            CHECK(hw::this_reactor().post([owned, &ran] { ran = true; }));
            co_return;
        };
        hw::run(body());
        CHECK_FALSE(ran);
        CHECK(owned.use_count() == 1);
    }

    TEST_CASE("posting while the reactor ends is either done or false, never lost or late") {
        for (int round = 0; round < 50; ++round) {
            std::atomic<int> ran{0};
            std::atomic<bool> posting{false};
            int taken = 0;
            std::thread poster;
            auto body = [&]() -> hw::task<> {
                poster = std::thread{[&, handle = hw::this_reactor()] {
                    for (;;) {
                        posting = true;
                        if (!handle.post([&] { ++ran; })) return;
                        ++taken;
                    }
                }};
                while (!posting) co_await hw::yield();
                co_await hw::yield();
            };
            hw::run(body());
            const int at_end = ran;
            poster.join();
            CHECK(ran == at_end);
            CHECK(at_end <= taken);
        }
    }
}
