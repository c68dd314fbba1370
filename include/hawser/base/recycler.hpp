#pragma once
// Memory that is asked for and given back all the time: per-thread free lists by size class, capped in bytes.

#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define HAWSER_RECYCLES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define HAWSER_RECYCLES 0
#endif
#endif
#if !defined(HAWSER_RECYCLES)
#define HAWSER_RECYCLES 1  // recycled memory would hide use after free from AddressSanitizer
#endif

namespace hawser::detail {

/// Free lists for `Classes` sizes: Smallest, Smallest * Factor, ... Keeps at most `Cap` bytes, gives the rest back.
template <std::size_t Smallest, std::size_t Factor, std::size_t Classes, std::size_t Cap> class recycler {
public:
    recycler() = default;
    recycler(const recycler&) = delete;
    recycler& operator=(const recycler&) = delete;
    ~recycler() {
        clear();
        gone() = true;
    }

    static constexpr std::size_t size_of(std::size_t cls) noexcept {
        std::size_t size = Smallest;
        while (cls-- > 0) size *= Factor;
        return size;
    }
    static constexpr std::size_t class_of(std::size_t size) noexcept {
        std::size_t cls = 0;
        for (std::size_t fits = Smallest; fits < size && cls < Classes; fits *= Factor) ++cls;
        return cls;  // == Classes: too large to recycle
    }

    /// At least `size` bytes, or nullptr.
    static void* take(std::size_t size) noexcept {
        const std::size_t cls = class_of(size);
        if (cls == Classes) return std::malloc(size);
        if (HAWSER_RECYCLES && !gone()) {
            recycler& mine = instance();
            if (block* b = mine.free_[cls]) {
                mine.free_[cls] = b->next;
                mine.kept_ -= size_of(cls);
                return b;
            }
        }
        return std::malloc(size_of(cls));
    }

    static void give(void* memory, std::size_t size) noexcept {
        const std::size_t cls = class_of(size);
        if (HAWSER_RECYCLES && cls != Classes && !gone()) {
            recycler& mine = instance();
            if (mine.kept_ + size_of(cls) <= Cap) {
                mine.kept_ += size_of(cls);
                mine.free_[cls] = ::new (memory) block{mine.free_[cls]};
                return;
            }
        }
        std::free(memory);
    }

    /// Gives everything that is kept back to the system.
    static void drain() noexcept {
        if (!gone()) instance().clear();
    }
    static std::size_t kept() noexcept { return gone() ? 0 : instance().kept_; }

private:
    struct block {
        block* next;
    };
    static recycler& instance() noexcept {
        thread_local recycler mine;
        return mine;
    }
    static bool& gone() noexcept {  // frames may be freed by destructors of other thread_locals, after ours
        thread_local bool flag = false;
        return flag;
    }
    void clear() noexcept {
        for (block*& head : free_) {
            while (block* b = head) {
                head = b->next;
                std::free(b);
            }
        }
        kept_ = 0;
    }
    block* free_[Classes] = {};
    std::size_t kept_ = 0;
};

/// Coroutine frames and the records of spawned tasks: 64 B to 8 KiB.
using frame_recycler = recycler<64, 2, 8, std::size_t{1} << 20>;
/// Stream buffers: 4 KiB to 256 KiB.
using buffer_recycler = recycler<4096, 4, 4, std::size_t{4} << 20>;

}  // namespace hawser::detail
