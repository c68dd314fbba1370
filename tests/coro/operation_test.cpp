#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include <hawser/coro/task.hpp>

#include "manual_loop.hpp"

using namespace hawser;

namespace {

task<int> fails(error_info with) {
    co_await manual::turn{};
    throw_error(with);
    co_return 0;
}
task<int> foreign() {
    co_await manual::turn{};
    throw std::runtime_error{"not hawser's"};
    co_return 0;
}

}  // namespace

TEST_SUITE("operation") {
    TEST_CASE("as_result gives the value or the error") {
        manual::loop loop;
        auto body = []() -> task<> {
            auto good = co_await as_result([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); }());
            CHECK(**good == 3);
            auto bad = co_await as_result(fails(error_info{make_error_code(errc::truncated), phase::read, "a.test", "d", 9}));
            CHECK(bad.error() == errc::truncated);
            CHECK(bad.error().transferred() == 9);
            CHECK(bad.error().peer() == "a.test");
            auto none = co_await as_result([]() -> task<> { co_return; }());
            CHECK(none);
        };
        loop.run(body()).get();
    }

    TEST_CASE("as_result shows a cancellation as a value, with what was transferred") {
        manual::loop loop;
        auto body = []() -> task<> {
            auto r = co_await as_result(fails(error_info{errc::cancelled}.with_transferred(5)));
            CHECK(r.error() == errc::cancelled);
            CHECK(r.error().transferred() == 5);
        };
        loop.run(body()).get();
    }

    TEST_CASE("as_result lets what is not hawser's through") {
        manual::loop loop;
        auto body = []() -> task<> { auto r = co_await as_result(foreign()); CHECK(r); };
        CHECK_THROWS_AS(loop.run(body()).get(), std::runtime_error);
        CHECK_THROWS_AS(static_cast<void>(loop.run(as_result(foreign())).get()), std::runtime_error);
    }

    TEST_CASE("a stopped operation fails at once; every 16th refusal goes through the loop") {
        manual::loop loop;
        stop_source source;
        source.request_stop();
        manual::gate never;
        auto stubborn = [&](int times) -> task<int> {
            int refused = 0;
            for (int i = 0; i < times; ++i) {
                auto r = co_await as_result(never.wait());
                refused += !r && r.error() == errc::cancelled;
            }
            co_return refused;
        };
        CHECK(loop.run(stubborn(160), source.get_token()).get() == 160);
        CHECK(loop.turns == 11);  // the last one ends run()
    }

    TEST_CASE("an outcome knows how it ended") {
        using hawser::detail::outcome;
        outcome<int> value{result<int>{1}}, error_value{result<int>{errc::closed}}, stopped{result<int>{errc::cancelled}};
        outcome<int> thrown{std::make_exception_ptr(std::runtime_error{"x"})}, thrown_stop{std::make_exception_ptr(cancelled{4})};
        outcome<int> thrown_error{std::make_exception_ptr(error{errc::busy})};
        CHECK_FALSE(value.failed());
        CHECK(error_value.failed());
        CHECK(stopped.was_cancelled());
        CHECK(thrown_stop.was_cancelled());
        CHECK_FALSE(thrown.was_cancelled());
        CHECK_FALSE(error_value.was_cancelled());
        CHECK(std::move(thrown_stop).take().error().transferred() == 4);
        CHECK(std::move(thrown_error).take().error() == errc::busy);
        CHECK(std::move(value).get() == 1);
        CHECK_THROWS_AS(std::move(error_value).get(), error);
        CHECK_THROWS_AS(std::move(stopped).get(), cancelled);
        CHECK_THROWS_AS(static_cast<void>(std::move(thrown).take()), std::runtime_error);
    }

    TEST_CASE("an outcome may be replaced by any other") {
        using hawser::detail::outcome;
        using tracked = manual::tracked;
        using make_function = outcome<tracked> (*)();
        const make_function makes[] = {
            [] { return outcome<tracked>{}; },
            [] { return outcome<tracked>{result<tracked>{tracked{7}}}; },
            [] { return outcome<tracked>{result<tracked>{errc::closed}}; },
            [] { return outcome<tracked>{std::make_exception_ptr(std::runtime_error{"x"})}; },
        };
        for (const auto from : makes) {
            for (const auto to : makes) {
                outcome<tracked> changed = from();
                changed = to();
                const outcome<tracked> same = to();
                CHECK(changed.failed() == same.failed());
                CHECK(changed.was_cancelled() == same.was_cancelled());
                if (!changed.failed()) CHECK(std::move(changed).get().value == 7);
                else CHECK_THROWS(std::rethrow_exception(changed.exception()));
            }
        }
        CHECK(outcome<tracked>{}.was_cancelled());
        CHECK(outcome<tracked>{}.take().error() == errc::cancelled);
        CHECK_THROWS_AS(static_cast<void>(outcome<tracked>{}.get()), cancelled);
        CHECK(tracked::alive == 0);
        CHECK(tracked::wrong == 0);
    }
}
