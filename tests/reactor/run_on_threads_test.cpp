#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include <hawser/reactor/run_on_threads.hpp>
#include <hawser/reactor/sleep.hpp>

namespace hw = hawser;
using namespace std::chrono_literals;

TEST_SUITE("run_on_threads") {
    TEST_CASE("fn is called once on each thread, with a reactor of its own, and this thread is one of them") {
        std::mutex mutex;
        std::set<std::thread::id> threads;
        std::set<hw::reactor*> reactors;
        auto body = [&]() -> hw::task<> {
            {
                std::lock_guard lock{mutex};
                threads.insert(std::this_thread::get_id());
                reactors.insert(hw::reactor::current());
                CHECK(hw::reactor::current()->shares_ports());
            }
            // All are there at once: none has ended.
            for (bool all = false; !all; co_await hw::yield()) {
                std::lock_guard lock{mutex};
                all = reactors.size() == 3;
            }
        };
        hw::run_on_threads(3, body);
        CHECK(threads.size() == 3);
        CHECK(threads.count(std::this_thread::get_id()) == 1);
        CHECK(reactors.size() == 3);
        CHECK(hw::reactor::current() == nullptr);
    }

    TEST_CASE("one thread, and none, are this one; its port is its own") {
        for (const unsigned n : {0u, 1u}) {
            int calls = 0;
            auto body = [&]() -> hw::task<> {
                ++calls;
                CHECK_FALSE(hw::reactor::current()->shares_ports());
                co_return;
            };
            hw::run_on_threads(n, body);
            CHECK(calls == 1);
        }
    }

    TEST_CASE("the first error stops the others and is rethrown") {
        for (const bool on_this_thread : {false, true}) {
            CAPTURE(on_this_thread);
            const std::thread::id here = std::this_thread::get_id();
            std::atomic<int> started{0}, stopped{0};
            std::atomic<bool> thrown{false};
            auto body = [&]() -> hw::task<> {
                ++started;
                while (started < 3) co_await hw::yield();
                if ((std::this_thread::get_id() == here) == on_this_thread && !thrown.exchange(true)) throw std::runtime_error{"first"};
                try {
                    co_await hw::sleep_for(1h);
                } catch (const hw::cancelled&) {
                    ++stopped;
                }
                throw std::runtime_error{"second"};
            };
            CHECK_THROWS_WITH_AS(hw::run_on_threads(3, body), "first", std::runtime_error);
            CHECK(stopped == 2);
        }
    }

    TEST_CASE("an error before there is a task stops those that start later as well") {
        std::atomic<int> calls{0}, ended{0};
        auto sleep = [](std::atomic<int>& n) -> hw::task<> {
            auto r = co_await hw::as_result(hw::sleep_for(1h));
            ++n;
        };
        auto body = [&]() -> hw::task<> {
            if (calls++ == 0) throw std::runtime_error{"no task"};
            return sleep(ended);
        };
        CHECK_THROWS_WITH_AS(hw::run_on_threads(4, body), "no task", std::runtime_error);
        CHECK(calls == 4);
        CHECK(ended == 3);
    }

    TEST_CASE("a cancellation that nobody asked for is an error") {
        auto body = []() -> hw::task<> { throw hw::cancelled{}; co_return; };
        CHECK_THROWS_AS(hw::run_on_threads(2, body), hw::cancelled);
    }

    TEST_CASE("values are dropped, threads post to each other, and all end") {
        std::mutex mutex;
        std::vector<hw::reactor_handle> handles;
        std::atomic<int> greetings{0};
        auto body = [&]() -> hw::task<int> {
            {
                std::lock_guard lock{mutex};
                handles.push_back(hw::this_reactor());
            }
            bool greeted = false;
            for (;; co_await hw::yield()) {
                std::lock_guard lock{mutex};
                if (handles.size() < 3) continue;
                if (!greeted) for (const hw::reactor_handle& h : handles) h.post([&] { ++greetings; });
                greeted = true;
                if (greetings == 9) break;
            }
            co_return 5;
        };
        hw::run_on_threads(3, body);
        CHECK(greetings == 9);
    }

    TEST_CASE("inside run() it is refused") {
        auto body = []() -> hw::task<> { co_return; };
        auto outer = [&]() -> hw::task<> {
            CHECK_THROWS_WITH_AS(hw::run_on_threads(2, body), doctest::Contains("run() inside run()"), hw::error);
            co_return;
        };
        hw::run(outer());
    }
}
