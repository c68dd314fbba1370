#include <doctest/doctest.h>

#include <list>
#include <random>
#include <vector>

#include <hawser/base/intrusive.hpp>

using namespace hawser::detail;

namespace {

struct item : list_node {
    explicit item(int v = 0) : value{v} {}
    int value;
};

std::vector<int> values(list<item>& l) {
    std::vector<int> out;
    l.for_each([&](item& i) { out.push_back(i.value); });
    return out;
}

struct thing : ref_counted {
    static inline int alive = 0;
    thing() { ++alive; }
    ~thing() override { --alive; }
};

}  // namespace

TEST_SUITE("intrusive") {
    TEST_CASE("a list") {
        list<item> l;
        item a{1}, b{2}, c{3};
        CHECK(l.empty());
        l.push_back(a);
        l.push_back(b);
        l.push_back(c);
        CHECK(values(l) == std::vector{1, 2, 3});
        CHECK(&l.front() == &a);
        b.unlink();
        CHECK_FALSE(b.linked());
        b.unlink();  // once more is nothing
        CHECK(values(l) == std::vector{1, 3});
        CHECK(&l.pop_front() == &a);
        CHECK_FALSE(a.linked());
        l.push_back(a);
        CHECK(values(l) == std::vector{3, 1});
        l.pop_front();
        l.pop_front();
        CHECK(l.empty());
    }

    TEST_CASE("a visited item may leave the list") {
        list<item> l;
        std::vector<item> items(10);
        for (int i = 0; i < 10; ++i) {
            items[static_cast<std::size_t>(i)].value = i;
            l.push_back(items[static_cast<std::size_t>(i)]);
        }
        l.for_each([](item& i) {
            if (i.value % 2) i.unlink();
        });
        CHECK(values(l) == std::vector{0, 2, 4, 6, 8});
    }

    TEST_CASE("a copy is not in the list") {
        list<item> l;
        item a{1};
        l.push_back(a);
        item b = a;
        CHECK_FALSE(b.linked());
        item c;
        c = a;
        CHECK_FALSE(c.linked());
        a = b;
        CHECK(a.linked());
        CHECK(values(l) == std::vector{1});
        a.unlink();
    }

    TEST_CASE("random use agrees with a std::list") {
        std::mt19937 random{3};
        list<item> l;
        std::vector<item> items(50);
        for (std::size_t i = 0; i < items.size(); ++i) items[i].value = static_cast<int>(i);
        std::list<int> expected;
        for (int step = 0; step < 5000; ++step) {
            item& i = items[random() % items.size()];
            if (i.linked()) {
                i.unlink();
                expected.remove(i.value);
            } else {
                l.push_back(i);
                expected.push_back(i.value);
            }
            REQUIRE(values(l) == std::vector(expected.begin(), expected.end()));
        }
        while (!l.empty()) l.pop_front();
    }

    TEST_CASE("references count") {
        {
            ref<thing> a{new thing};
            CHECK(thing::alive == 1);
            ref<thing> b = a;
            ref<thing> c = std::move(a);
            CHECK_FALSE(a);  // NOLINT
            CHECK(c.get() == b.get());
            const ref<thing>& same = b;
            b = same;
            CHECK(thing::alive == 1);
            c = ref<thing>{new thing};
            CHECK(thing::alive == 2);
            b = c;
            CHECK(thing::alive == 1);
            b = {};
            CHECK(thing::alive == 1);
        }
        CHECK(thing::alive == 0);
        CHECK_FALSE(ref<thing>{});
    }
}
