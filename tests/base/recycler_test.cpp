#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include <hawser/base/recycler.hpp>

namespace {

using small = hawser::detail::recycler<64, 2, 3, 512>;  // 64, 128, 256
using stepped = hawser::detail::recycler<64, 1, 3, 512>;  // 64, 128, 192

}  // namespace

TEST_SUITE("recycler") {
    TEST_CASE("size classes") {
        static_assert(small::size_of(0) == 64 && small::size_of(2) == 256);
        static_assert(small::class_of(1) == 0 && small::class_of(64) == 0 && small::class_of(65) == 1);
        static_assert(small::class_of(256) == 2 && small::class_of(257) == 3);
        static_assert(small::class_of(~std::size_t{0}) == 3);
        static_assert(small::class_of(0) == 0);
        static_assert(stepped::size_of(0) == 64 && stepped::size_of(2) == 192);
        static_assert(stepped::class_of(0) == 0 && stepped::class_of(64) == 0 && stepped::class_of(65) == 1);
        static_assert(stepped::class_of(129) == 2 && stepped::class_of(192) == 2 && stepped::class_of(193) == 3);
        static_assert(stepped::class_of(~std::size_t{0}) == 3);
    }

    TEST_CASE("memory is aligned, large enough and its own") {
        std::vector<std::pair<unsigned char*, std::size_t>> taken;
        for (std::size_t size : {1u, 64u, 65u, 128u, 200u, 256u, 257u, 5000u}) {
            for (int i = 0; i < 3; ++i) {
                auto* p = static_cast<unsigned char*>(small::take(size));
                REQUIRE(p);
                CHECK(reinterpret_cast<std::uintptr_t>(p) % alignof(std::max_align_t) == 0);
                std::memset(p, static_cast<int>(taken.size()), size);
                taken.emplace_back(p, size);
            }
        }
        for (std::size_t i = 0; i < taken.size(); ++i) {
            const auto [p, size] = taken[i];
            for (std::size_t n = 0; n < size; ++n) REQUIRE(p[n] == i);
            small::give(p, size);
        }
        small::drain();
        CHECK(small::kept() == 0);
    }

#if HAWSER_RECYCLES
    TEST_CASE("what was given comes back for any size of its class") {
        void* a = small::take(100);
        small::give(a, 100);
        CHECK(small::kept() == 128);
        void* b = small::take(65);
        CHECK(b == a);
        CHECK(small::kept() == 0);
        small::give(b, 65);
        small::drain();
    }

    TEST_CASE("no more than the cap is kept") {
        std::vector<void*> taken;
        for (int i = 0; i < 10; ++i) taken.push_back(small::take(256));
        for (void* p : taken) small::give(p, 256);
        CHECK(small::kept() == 512);
        small::give(small::take(10000), 10000);  // too large to keep
        CHECK(small::kept() == 512);
        small::drain();
        CHECK(small::kept() == 0);
    }

    TEST_CASE("each thread has its own") {
        small::give(small::take(64), 64);
        std::size_t there = 1;
        std::thread{[&] {
            there = small::kept();
            small::give(small::take(64), 64);  // freed when the thread ends; LeakSanitizer would tell
        }}.join();
        CHECK(there == 0);
        CHECK(small::kept() == 64);
        small::drain();
    }

    TEST_CASE("variables of a thread may give and take after its lists are gone") {
        struct late {
            explicit late(std::size_t& to) : kept{&to} {}
            ~late() {
                small::give(small::take(64), 64);
                *kept = small::kept();
            }
            std::size_t* kept;
        };
        std::size_t kept = 1;
        std::thread{[&] {
            thread_local late until_the_end{kept};  // made before the lists are first used, so destroyed after them
            static_cast<void>(until_the_end);
            small::give(small::take(64), 64);
            CHECK(small::kept() == 64);
        }}.join();
        CHECK(kept == 0);
    }
#endif
}
