#include <doctest/doctest.h>

#include <optional>
#include <vector>

#include <hawser/base/stop_token.hpp>

using namespace hawser;

namespace {

struct callback : detail::stop_callback {
    explicit callback(std::vector<int>& l, int i = 0) : log{&l}, id{i} {
        invoke = [](detail::stop_callback& c) noexcept {
            auto& self = static_cast<callback&>(c);
            self.log->push_back(self.id);
            if (self.also) self.also->unlink();
        };
    }
    std::vector<int>* log;
    int id;
    callback* also = nullptr;
};

}  // namespace

TEST_SUITE("stop_token") {
    TEST_CASE("a token of nothing never stops") {
        const stop_token t;
        CHECK_FALSE(t.stop_possible());
        CHECK_FALSE(t.stop_requested());
        std::vector<int> log;
        callback c{log};
        stop_source::attach(t, c);
        CHECK_FALSE(c.linked());
    }

    TEST_CASE("callbacks are called once, in order, and are free afterwards") {
        stop_source s;
        std::vector<int> log;
        callback a{log, 1}, b{log, 2}, c{log, 3};
        for (callback* x : {&a, &b, &c}) stop_source::attach(s.get_token(), *x);
        b.unlink();
        CHECK_FALSE(s.stop_requested());
        s.request_stop();
        s.request_stop();
        CHECK(log == std::vector{1, 3});
        CHECK(s.get_token().stop_requested());
        CHECK_FALSE(a.linked());
    }

    TEST_CASE("level-triggered: a token asked later says yes, and nothing is registered any more") {
        stop_source s;
        const stop_token t = s.get_token();
        s.request_stop();
        CHECK(t.stop_requested());
        std::vector<int> log;
        callback c{log};
        stop_source::attach(t, c);
        CHECK_FALSE(c.linked());
        CHECK(log.empty());
    }

    TEST_CASE("a callback may take another one away") {
        stop_source s;
        std::vector<int> log;
        callback a{log, 1}, b{log, 2}, c{log, 3};
        a.also = &b;
        for (callback* x : {&a, &b, &c}) stop_source::attach(s.get_token(), *x);
        s.request_stop();
        CHECK(log == std::vector{1, 3});
    }

    TEST_CASE("a stop goes down, not up") {
        stop_source top, middle, leaf, beside;
        middle.follow(top.get_token());
        leaf.follow(middle.get_token());
        beside.follow(top.get_token());
        middle.request_stop();
        CHECK(leaf.stop_requested());
        CHECK_FALSE(top.stop_requested());
        CHECK_FALSE(beside.stop_requested());
        top.request_stop();
        CHECK(beside.stop_requested());
    }

    TEST_CASE("following what has stopped already stops at once; following nothing does not") {
        stop_source top, late, free;
        top.request_stop();
        late.follow(top.get_token());
        CHECK(late.stop_requested());
        free.follow(stop_token{});
        CHECK_FALSE(free.stop_requested());
    }

    TEST_CASE("no longer following, by unfollow or by the end of its life") {
        stop_source top;
        stop_source quits;
        quits.follow(top.get_token());
        quits.unfollow();
        {
            stop_source dies;
            dies.follow(top.get_token());
        }
        top.request_stop();
        CHECK_FALSE(quits.stop_requested());
    }
}
