#include <memory>
#include <stdexcept>
#include <string>

#include <hawser/coro/task.hpp>

#include "manual_loop.hpp"
#include "support/doctest.hpp"
#include "support/in_child.hpp"

using namespace hawser;
using manual::tracked;

namespace {

task<int> ready(int v) { co_return v; }
task<int> turned(int v) {
    co_await manual::turn{};
    co_return v;
}
task<> throws(std::string what) {
    co_await manual::turn{};
    throw std::runtime_error{what};
}
task<int> throws_at_once() {
    throw std::runtime_error{"at once"};
    co_return 0;
}

task<long> many_ready(int n) {
    long sum = 0;
    for (int i = 0; i < n; ++i) sum += co_await ready(1);
    co_return sum;
}
task<long> many_turned(int n) {
    long sum = 0;
    for (int i = 0; i < n; ++i) sum += co_await turned(1);
    co_return sum;
}
task<int> deep(int depth) {
    if (depth == 0) {
        co_await manual::turn{};
        co_return 0;
    }
    co_return 1 + co_await deep(depth - 1);
}

task<int> by_value(tracked t) {
    co_await manual::turn{};
    co_return t.value;
}
task<int> by_reference(const tracked& t) {  // lives until the end of the co_await expression
    co_await manual::turn{};
    co_return t.value;
}
task<std::unique_ptr<int>> move_only(std::unique_ptr<int> p) {
    co_await manual::turn{};
    ++*p;
    co_return p;
}
task<std::string> converts() { co_return "text"; }

operation<int> composite(bool good) {
    co_await manual::turn{};
    if (!good) co_return error_info{make_error_code(errc::closed), phase::read, "a.test", {}, 3};
    co_return 7;
}
operation<void> composite_void() { co_return result<void>{}; }

}  // namespace

TEST_SUITE("task") {
    TEST_CASE("values, nothing, move-only values, conversions") {
        manual::loop loop;
        CHECK(loop.run(ready(3)).get() == 3);
        CHECK(loop.run(turned(4)).get() == 4);
        CHECK(*loop.run(move_only(std::make_unique<int>(1))).get() == 2);
        CHECK(loop.run(converts()).get() == "text");
        CHECK_NOTHROW(loop.run([]() -> task<> { co_return; }()).get());
        static_assert(!std::is_copy_constructible_v<task<int>>);
        static_assert(awaitable<task<int>> && awaitable<operation<int>> && !awaitable<int>);
    }

    TEST_CASE("a task is lazy, and one that never ran frees what it holds") {
        bool ran = false;
        auto body = [](bool& flag, tracked) -> task<> {
            flag = true;
            co_return;
        };
        {
            task<> t = body(ran, tracked{1});
            CHECK_FALSE(ran);
            CHECK(tracked::alive == 1);
        }
        CHECK_FALSE(ran);
        CHECK(tracked::alive == 0);
        task<> again = body(ran, tracked{});
        task<> moved = std::move(again);
        CHECK_FALSE(again);  // NOLINT
        CHECK(moved);
        manual::loop loop;
        loop.run(std::move(moved)).get();
        CHECK(ran);
    }

    TEST_CASE("exceptions of any type reach who awaits, from before and after a suspension") {
        manual::loop loop;
        CHECK_THROWS_WITH_AS(loop.run(throws("words")).get(), "words", std::runtime_error);
        CHECK_THROWS_WITH_AS(loop.run(throws_at_once()).get(), "at once", std::runtime_error);
        auto parent = []() -> task<std::string> {
            std::string caught;
            try {
                co_await throws("inner");
            } catch (const std::runtime_error& e) {
                caught = e.what();
            }
            try {
                co_await throws_at_once();
            } catch (const std::runtime_error& e) {
                caught += e.what();
            }
            try {
                co_await []() -> task<> { throw 42; co_return; }();
            } catch (int i) {
                caught += std::to_string(i);
            }
            co_return caught;
        };
        CHECK(loop.run(parent()).get() == "innerat once42");
    }

    TEST_CASE("a million awaits that are ready do not use up the stack") {
        manual::loop loop;
        CHECK(loop.run(many_ready(1000000)).get() == 1000000);
        CHECK(loop.turns == 0);
    }

    TEST_CASE("so many that suspend do not either") {
        manual::loop loop;
        CHECK(loop.run(many_turned(100000)).get() == 100000);
        CHECK(loop.turns == 100001);  // the last one ends run()
    }

    TEST_CASE("a deep chain suspends and returns") {
        manual::loop loop;
        CHECK(loop.run(deep(500)).get() == 500);
        CHECK(loop.turns == 2);
    }

    TEST_CASE("the stop token flows from parent to child") {
        manual::loop loop;
        stop_source source;
        auto child = []() -> task<stop_token> { co_return co_await manual::get_stop_token{}; };
        auto parent = [&]() -> task<bool> {
            const stop_token before = co_await child();
            const bool early = before.stop_requested();
            source.request_stop();
            const stop_token after = co_await child();
            co_return !early && before.stop_requested() && after.stop_requested();
        };
        CHECK(loop.run(parent(), source.get_token()).get());
    }

    TEST_CASE("a named task and a moved one can be awaited") {
        manual::loop loop;
        auto body = []() -> task<int> {
            task<int> first = turned(1);
            task<int> second = turned(2);
            const int a = co_await first;
            const int b = co_await std::move(second);
            co_return a * 10 + b;
        };
        CHECK(loop.run(body()).get() == 12);
    }

    TEST_CASE("arguments and temporaries of a co_await expression are constructed and destroyed once each") {
        tracked::wrong = 0;
        manual::loop loop;
        auto body = []() -> task<> {
            CHECK(co_await by_value(tracked{1}) == 1);
            CHECK(tracked::alive == 0);
            CHECK(co_await by_reference(tracked{2}) == 2);
            CHECK(tracked::alive == 0);
            tracked named{3};
            CHECK(co_await by_value(named) == 3);
            CHECK(co_await by_value(std::move(named)) == 3);
            CHECK(tracked::alive == 1);
            const result<int> r = co_await as_result(by_value(tracked{4}));
            CHECK(*r == 4);
            const int sum = co_await by_value(tracked{5}) + co_await by_reference(tracked{6});
            CHECK(sum == 11);
            if (co_await by_value(tracked{0})) FAIL("not reached");
            CHECK(tracked::alive == 1);
        };
        loop.run(body()).get();
        CHECK(tracked::alive == 0);
        CHECK(tracked::wrong == 0);
    }

    TEST_CASE("what an exception passes is destroyed once") {
        tracked::wrong = 0;
        manual::loop loop;
        auto fails = [](tracked) -> task<> {
            co_await manual::turn{};
            throw std::runtime_error{"x"};
        };
        auto body = [&]() -> task<> {
            tracked local{1};
            co_await fails(tracked{2});
        };
        CHECK_THROWS_AS(loop.run(body()).get(), std::runtime_error);
        CHECK(tracked::alive == 0);
        CHECK(tracked::wrong == 0);
    }

    TEST_CASE("an operation returns its errors; awaiting it throws them") {
        manual::loop loop;
        CHECK(loop.run(composite(true)).get() == 7);
        CHECK_NOTHROW(loop.run(composite_void()).get());
        auto body = []() -> task<> {
            CHECK(co_await composite(true) == 7);
            auto bad = co_await as_result(composite(false));
            CHECK(bad.error() == errc::closed);
            CHECK(bad.error().transferred() == 3);
            bool thrown = false;
            try {
                co_await composite(false);
            } catch (const error& e) {
                thrown = e.peer() == "a.test";
            }
            CHECK(thrown);
        };
        loop.run(body()).get();
    }

    TEST_CASE("destroying a task that runs says what is wrong and ends the program") {
        const std::string said = hawser_test::words_of_abort([] {
            manual::loop loop;
            hawser::detail::waiter nobody;
            manual::gate closed;
            auto body = [&]() -> task<> { co_await closed.wait(); };
            task<> t = body();
            t.start({&loop, {}}, nobody);
        });
        CHECK(said.find("a task was destroyed while it runs") != std::string::npos);
        CHECK(said.find("with_scope") != std::string::npos);
    }
}
