#include <doctest/doctest.h>

#include <random>
#include <string>

#include <hawser/base/buffer.hpp>
#include <hawser/base/byte_queue.hpp>

using hawser::as_text;
using hawser::const_buffer;
using hawser::detail::byte_queue;

TEST_SUITE("byte_queue") {
    TEST_CASE("first in, first out") {
        byte_queue q;
        CHECK(q.empty());
        CHECK(q.capacity() == 0);
        REQUIRE(q.append(const_buffer{"hello "}));
        REQUIRE(q.append(const_buffer{"world"}));
        CHECK(as_text(q.view()) == "hello world");
        q.consume(6);
        CHECK(as_text(q.view()) == "world");
        CHECK(q.size() == 5);
        REQUIRE(q.append({}));
        CHECK(q.size() == 5);
    }

    TEST_CASE("an empty queue holds no memory") {
        byte_queue q;
        REQUIRE(q.append(const_buffer{"x"}));
        CHECK(q.capacity() > 0);
        q.consume(1);
        CHECK(q.empty());
        CHECK(q.capacity() == 0);
        REQUIRE(q.append(const_buffer{"yy"}));
        q.clear();
        CHECK(q.empty());
        CHECK(q.capacity() == 0);
        q.clear();
        q.consume(0);
        CHECK(q.empty());
    }

    TEST_CASE("prepare and commit") {
        byte_queue q;
        const auto room = q.prepare(10);
        REQUIRE(room.size() >= 10);
        std::memcpy(room.data(), "0123456789", 10);
        q.commit(4);
        CHECK(as_text(q.view()) == "0123");
        const auto more = q.prepare(1);
        CHECK(more.data() == room.data() + 4);  // there was room: nothing is moved
    }

    TEST_CASE("moving takes the bytes along") {
        byte_queue a;
        REQUIRE(a.append(const_buffer{"abc"}));
        const std::byte* where = a.view().data();
        byte_queue b = std::move(a);
        CHECK(as_text(b.view()) == "abc");
        CHECK(b.view().data() == where);
        CHECK(a.empty());  // NOLINT
        byte_queue c;
        c = std::move(b);
        CHECK(as_text(c.view()) == "abc");
        a.swap(c);
        CHECK(as_text(a.view()) == "abc");
        CHECK(c.empty());
    }

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_THREAD_SANITIZER
#endif
#endif
#if HAWSER_RECYCLES && !defined(__SANITIZE_THREAD__) && !defined(UNDER_THREAD_SANITIZER)  // they end the program instead
    TEST_CASE("memory that is not to be had is a false, and nothing is lost") {
        byte_queue q;
        REQUIRE(q.append(const_buffer{"abc"}));
        CHECK(q.prepare(std::size_t{1} << 62).empty());
        CHECK(as_text(q.view()) == "abc");
    }
#endif

    TEST_CASE("random use agrees with a std::string") {
        std::mt19937 random{1};
        byte_queue q;
        std::string expected;
        for (int step = 0; step < 20000; ++step) {
            const auto kind = random() % 8;
            if (kind < 4) {
                // Mostly small, sometimes beyond the largest recycled size.
                std::string piece(random() % (random() % 100 == 0 ? 400000 : 600), static_cast<char>('a' + step % 26));
                REQUIRE(q.append(const_buffer{piece}));
                expected += piece;
            } else if (kind < 7) {
                const std::size_t n = random() % (expected.size() + 1);
                q.consume(n);
                expected.erase(0, n);
            } else if (random() % 10 == 0) {
                byte_queue other = std::move(q);
                q = std::move(other);
            }
            REQUIRE(q.size() == expected.size());
            if (step % 16 == 0) REQUIRE(as_text(q.view()) == expected);
        }
    }
}
