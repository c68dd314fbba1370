#pragma once
// Memory that is asked for and given back all the time: per-thread free lists by size class, capped in bytes.

#include <bit>
#include <cstddef>
#include <cstdlib>
#include <new>

// 0: everything comes from malloc(). Recycled memory would hide use after free from AddressSanitizer.
#if !defined(HAWSER_RECYCLES)
#if defined(__SANITIZE_ADDRESS__)
#define HAWSER_RECYCLES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define HAWSER_RECYCLES 0
#endif
#endif
#endif
#if !defined(HAWSER_RECYCLES)
#define HAWSER_RECYCLES 1
#endif

namespace hawser::detail {

/// Free lists for `Classes` sizes, each the last one times Factor, which is a power of two as Smallest is; or with a Factor
/// of 1 all multiples of Smallest. Keeps at most `Cap` bytes, gives the rest back.
template <std::size_t Smallest, std::size_t Factor, std::size_t Classes, std::size_t Cap> class recycler {
    static_assert(std::has_single_bit(Smallest) && std::has_single_bit(Factor));
    static constexpr std::size_t factor_bits = std::bit_width(Factor) - 1;

public:
    static constexpr std::size_t size_of(std::size_t cls) noexcept {
        return Factor == 1 ? Smallest * (cls + 1) : Smallest << cls * factor_bits;
    }
    static constexpr std::size_t class_of(std::size_t size) noexcept {
        if (size <= Smallest) return 0;
        std::size_t cls = (size - 1) / Smallest;
        if constexpr (Factor > 1) cls = (static_cast<std::size_t>(std::bit_width(cls)) + factor_bits - 1) / factor_bits;
        return cls < Classes ? cls : Classes;  // == Classes: too large to recycle
    }

    // Always inlined: where the size is known so is its class.

    /// At least `size` bytes, or nullptr.
    [[gnu::always_inline]] static void* take(std::size_t size) noexcept {
        const std::size_t cls = class_of(size);
        if (!HAWSER_RECYCLES || cls == Classes) return std::malloc(size);
        block* const b = mine_.free[cls];
        if (!b) [[unlikely]] return std::malloc(size_of(cls));
        mine_.free[cls] = b->next;
        mine_.room += size_of(cls);
        return b;
    }

    [[gnu::always_inline]] static void give(void* memory, std::size_t size) noexcept {
        const std::size_t cls = class_of(size);
        if (!HAWSER_RECYCLES || cls == Classes || (mine_.room < size_of(cls) && !make_room())) return std::free(memory);
        mine_.room -= size_of(cls);
        mine_.free[cls] = ::new (memory) block{mine_.free[cls]};
    }

    /// Gives everything that is kept back to the system.
    static void drain() noexcept {
        for (block*& head : mine_.free) {
            while (block* b = head) {
                head = b->next;
                std::free(b);
            }
        }
        mine_.room = mine_.limit;
    }
    static std::size_t kept() noexcept { return mine_.limit - mine_.room; }

private:
    struct block {
        block* next;
    };
    /// Without constructor and destructor, so that to use it is no more than to address it.
    struct lists {
        block* free[Classes];
        std::size_t room;   // bytes that may still be kept
        std::size_t limit;  // 0: before the first give(), and after the end of the thread's variables
        bool gone;          // frames may be freed by destructors of other thread_locals, after ours
    };
    struct at_thread_end {
        ~at_thread_end() {
            drain();
            mine_.room = mine_.limit = 0;
            mine_.gone = true;
        }
    };

    /// True if the lists were not in use before.
    [[gnu::noinline]] static bool make_room() noexcept {
        if (mine_.limit != 0 || mine_.gone) return false;
        static thread_local at_thread_end end;
        static_cast<void>(end);
        mine_.room = mine_.limit = Cap;
        return true;
    }

    static inline constinit thread_local lists mine_{};
};

/// Coroutine frames and the records of spawned tasks: up to 8 KiB. Powers of two would waste a quarter of what many
/// connections hold.
using frame_recycler = recycler<64, 1, 128, std::size_t{1} << 20>;

/// What lives in such memory derives from it.
struct recycled {
    [[gnu::always_inline]] static void* operator new(std::size_t size) {
        if (void* memory = frame_recycler::take(size)) [[likely]] return memory;
        throw_bad_alloc();
    }
    [[gnu::always_inline]] static void operator delete(void* memory, std::size_t size) noexcept { frame_recycler::give(memory, size); }

private:
    [[noreturn, gnu::cold, gnu::noinline]] static void throw_bad_alloc() { throw std::bad_alloc{}; }
};

/// Stream buffers: 4 KiB to 256 KiB.
using buffer_recycler = recycler<4096, 4, 4, std::size_t{4} << 20>;

}  // namespace hawser::detail
