#include <doctest/doctest.h>

#include <deque>
#include <map>
#include <random>
#include <vector>

#include <hawser/reactor/timer.hpp>

using namespace hawser;
using namespace std::chrono_literals;
using hawser::detail::timer;
using hawser::detail::timer_heap;

namespace {

struct numbered : timer {
    int number = 0;
};

int popped(timer_heap& h) { return static_cast<numbered&>(h.pop()).number; }

}  // namespace

TEST_SUITE("timer_heap") {
    TEST_CASE("earliest first, equal ones in the order in which they were set") {
        timer_heap heap;
        CHECK(heap.empty());
        std::deque<numbered> timers(6);
        const int seconds[] = {5, 3, 5, 1, 3, 5};
        for (std::size_t i = 0; i < timers.size(); ++i) {
            timers[i].number = static_cast<int>(i);
            timers[i].deadline = time_point{std::chrono::seconds{seconds[i]}};
            CHECK_FALSE(timer_heap::is_set(timers[i]));
            heap.set(timers[i]);
            CHECK(timer_heap::is_set(timers[i]));
        }
        CHECK(heap.next() == time_point{1s});
        std::vector<int> order;
        while (!heap.empty()) order.push_back(popped(heap));
        CHECK(order == std::vector{3, 1, 4, 0, 2, 5});
        CHECK_FALSE(timer_heap::is_set(timers[0]));
    }

    TEST_CASE("cancelling one that is not set is nothing; a cancelled one can be set again") {
        timer_heap heap;
        numbered a, b;
        heap.cancel(a);
        a.deadline = time_point{1s};
        b.deadline = time_point{2s};
        heap.set(a);
        heap.set(b);
        heap.cancel(a);
        heap.cancel(a);
        CHECK(heap.next() == time_point{2s});
        a.deadline = time_point{3s};
        heap.set(a);
        CHECK(&heap.pop() == &b);
        CHECK(&heap.pop() == &a);
        CHECK(heap.empty());
    }

    TEST_CASE("a copy of a timer is not set") {
        timer_heap heap;
        numbered a;
        a.fire = [](timer&) noexcept {};
        heap.set(a);
        numbered b = a;
        CHECK_FALSE(timer_heap::is_set(b));
        CHECK((b.fire == a.fire));
        heap.cancel(a);
    }

    TEST_CASE("random use agrees with a std::multimap") {
        for (unsigned seed = 1; seed <= 5; ++seed) {
            CAPTURE(seed);
            std::mt19937 random{seed};
            timer_heap heap;
            std::deque<numbered> timers(300);
            // The multimap keeps equal keys in the order of insertion, as the heap promises.
            std::multimap<time_point, int> expected;
            std::vector<std::multimap<time_point, int>::iterator> where(timers.size(), expected.end());
            for (std::size_t i = 0; i < timers.size(); ++i) timers[i].number = static_cast<int>(i);
            for (int step = 0; step < 30000; ++step) {
                const auto kind = random() % 8;
                const std::size_t i = random() % timers.size();
                if (kind < 4) {
                    if (timer_heap::is_set(timers[i])) continue;
                    timers[i].deadline = time_point{duration{random() % 64}};
                    heap.set(timers[i]);
                    where[i] = expected.emplace(timers[i].deadline, static_cast<int>(i));
                } else if (kind < 6) {
                    REQUIRE(timer_heap::is_set(timers[i]) == (where[i] != expected.end()));
                    heap.cancel(timers[i]);
                    if (where[i] != expected.end()) expected.erase(where[i]);
                    where[i] = expected.end();
                } else if (!heap.empty()) {
                    REQUIRE(heap.next() == expected.begin()->first);
                    const int number = popped(heap);
                    REQUIRE(number == expected.begin()->second);
                    expected.erase(expected.begin());
                    where[static_cast<std::size_t>(number)] = expected.end();
                }
                REQUIRE(heap.empty() == expected.empty());
            }
            while (!heap.empty()) {
                REQUIRE(popped(heap) == expected.begin()->second);
                expected.erase(expected.begin());
            }
            CHECK(expected.empty());
        }
    }

    TEST_CASE("a hundred thousand timers, set in any order") {
        timer_heap heap;
        std::deque<numbered> timers(100000);
        std::mt19937 random{9};
        for (numbered& t : timers) {
            t.deadline = time_point{duration{random()}};
            heap.set(t);
        }
        for (std::size_t i = 0; i < timers.size(); i += 2) heap.cancel(timers[i]);
        time_point last{};
        std::size_t n = 0;
        bool ordered = true;
        for (; !heap.empty(); ++n) {
            const time_point next = heap.pop().deadline;
            ordered = ordered && next >= last;
            last = next;
        }
        CHECK(ordered);
        CHECK(n == timers.size() / 2);
    }
}
