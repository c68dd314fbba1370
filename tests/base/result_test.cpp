#include <doctest/doctest.h>

#include <memory>
#include <string>

#include <hawser/base/result.hpp>

using namespace hawser;

namespace {

template <class T> concept has_tuple_size = requires { std::tuple_size<T>::value; };

struct counted {
    static inline int alive = 0;
    explicit counted(int v) : value{v} { ++alive; }
    counted(const counted& o) : value{o.value} { ++alive; }
    counted(counted&& o) noexcept : value{std::exchange(o.value, -1)} { ++alive; }
    counted& operator=(const counted&) = default;
    ~counted() { --alive; }
    int value;
};

}  // namespace

TEST_SUITE("result") {
    TEST_CASE("a value") {
        result<std::string> r = std::string{"text"};
        REQUIRE(r);
        CHECK(r.has_value());
        CHECK(*r == "text");
        CHECK(r->size() == 4);
        CHECK(r.value() == "text");
        CHECK(std::move(r).value_or("other") == "text");
    }

    TEST_CASE("a failure") {
        result<int> r = errc::closed;
        CHECK_FALSE(r);
        CHECK(r.error() == errc::closed);
        CHECK_THROWS_AS(r.value(), error);
        CHECK(std::move(r).value_or(7) == 7);
        CHECK_FALSE(result<int>{1}.error() == errc::closed);  // asking a value for its error is harmless
        CHECK_FALSE(result<void>{}.error() == errc::cancelled);
        result<int> stopped = errc::cancelled;
        CHECK_THROWS_AS(stopped.value(), cancelled);
    }

    TEST_CASE("void") {
        result<void> good;
        CHECK(good);
        CHECK_NOTHROW(good.value());
        result<void> bad = errc::timed_out;
        CHECK_FALSE(bad);
        CHECK(bad.error() == errc::timed_out);
        CHECK_THROWS_AS(bad.value(), error);
        good = bad;
        CHECK_FALSE(good);
    }

    TEST_CASE("move-only values") {
        result<std::unique_ptr<int>> r = std::make_unique<int>(3);
        result<std::unique_ptr<int>> other = std::move(r);
        std::unique_ptr<int> p = *std::move(other);
        CHECK(*p == 3);
        CHECK(*result<std::unique_ptr<int>>{std::make_unique<int>(4)}.value() == 4);
    }

    TEST_CASE("values are constructed and destroyed once each, across every assignment") {
        {
            result<counted> a = counted{1}, b = errc::closed, c = counted{2};
            CHECK(counted::alive == 2);
            a = c;
            CHECK(a->value == 2);
            CHECK(counted::alive == 2);
            b = a;
            CHECK(b->value == 2);
            CHECK(counted::alive == 3);
            a = errc::timed_out;
            CHECK(a.error() == errc::timed_out);
            CHECK(counted::alive == 2);
            c = std::move(b);
            CHECK(c->value == 2);
            const result<counted>& same = c;
            c = same;
            CHECK(c->value == 2);
            const result<counted> d = c;
            CHECK((*d).value == 2);
            CHECK(d->value == 2);
            CHECK(d.value().value == 2);
        }
        CHECK(counted::alive == 0);
    }

    TEST_CASE("what has no tuple protocol cannot be taken apart") {
        static_assert(!has_tuple_size<result<int>>);
        static_assert(has_tuple_size<std::pair<int, int>>);
    }
}
