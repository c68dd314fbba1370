// When most of what held much memory has gone, the process gives it back to the system.

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <vector>

#include <hawser/base/byte_queue.hpp>
#include <hawser/base/crowd.hpp>

using hawser::detail::byte_queue;
using hawser::detail::crowd;
using hawser::detail::frame_recycler;

#if HAWSER_RECYCLES

namespace {

/// Something that goes back with the trimming, and shows whether it was done.
void keep_something() { frame_recycler::give(frame_recycler::take(64), 64); }
bool trimmed() { return frame_recycler::kept() == 0; }

void join(crowd& all, int count) {
    for (int i = 0; i < count; ++i) all.join();
}
void leave(crowd& all, int count) {
    for (int i = 0; i < count; ++i) all.leave();
}

#if defined(__GLIBC__)
long resident_kib() {
    long all = 0, resident = 0;
    std::ifstream{"/proc/self/statm"} >> all >> resident;
    return resident * 4;
}
#endif

}  // namespace

TEST_SUITE("crowd") {
    TEST_CASE("the heap is trimmed when three quarters have left, and when all have") {
        crowd all{64};
        join(all, 100);
        CHECK(all.size() == 100);
        keep_something();
        leave(all, 74);
        CHECK(!trimmed());
        leave(all, 1);
        CHECK(trimmed());
        keep_something();
        leave(all, 24);  // these were too few for another trim
        CHECK(!trimmed());
        leave(all, 1);
        CHECK(trimmed());
        CHECK(all.size() == 0);
    }

    TEST_CASE("a large crowd leaves in several steps") {
        crowd all{64};
        join(all, 1000);
        for (const int left : {250, 62, 0}) {
            keep_something();
            leave(all, all.size() - left - 1);
            CHECK(!trimmed());
            leave(all, 1);
            CHECK(trimmed());
        }
    }

    TEST_CASE("few are no crowd, however often they come and go") {
        crowd all{64};
        keep_something();
        for (int i = 0; i < 10; ++i) {
            join(all, 63);
            leave(all, 63);
        }
        CHECK(!trimmed());
        frame_recycler::drain();
    }

    TEST_CASE("large queues are a crowd, small ones are not") {
        for (const std::size_t size : {4096u, 100000u}) {
            std::vector<byte_queue> queues(64);
            const std::vector<std::byte> bytes(size);
            for (byte_queue& q : queues) REQUIRE(q.append(bytes));
            keep_something();
            for (byte_queue& q : queues) q.consume(size);
            CHECK(trimmed() == (size == 100000));
        }
    }

#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__)
    TEST_CASE("what was held goes back to the system, though something remains at the end of the heap") {
        crowd all{64};
        join(all, 64);
        std::vector<void*> held(20000);
        for (void*& memory : held) std::memset(memory = std::malloc(2000), 1, 2000);
        void* const last = held.back();
        held.pop_back();
        for (void* memory : held) std::free(memory);
        const long before = resident_kib();
        leave(all, 64);
        CHECK(resident_kib() < before - 30000);
        std::free(last);
    }
#endif
}

#endif
