#pragma once
// A value shared by handles of any thread.

#include <atomic>
#include <utility>

namespace hawser::detail {

/// Counts its handles atomically; the value itself is not guarded, so it is only read once it is shared.
template <class T> class shared {
public:
    shared() : block_{new block} {}
    shared(const shared& other) noexcept : block_{other.block_} { block_->refs.fetch_add(1, std::memory_order_relaxed); }
    shared& operator=(shared other) noexcept {
        std::swap(block_, other.block_);
        return *this;
    }
    ~shared() {
        if (block_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete block_;
    }
    T* operator->() const noexcept { return &block_->value; }

private:
    struct block {
        std::atomic<unsigned> refs{1};
        T value{};
    };
    block* block_;
};

}  // namespace hawser::detail
