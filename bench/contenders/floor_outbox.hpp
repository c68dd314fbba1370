#pragma once
// Bytes that wait to be sent, in memory that a connection holds only while there are any.

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace bare {

/// Memory for outboxes, kept for the next one that needs it: small pieces for messages, large ones for bulk.
class outbox_memory {
public:
    static constexpr std::size_t small = 4096;
    static constexpr std::size_t large = 288 * 1024;

    std::unique_ptr<std::byte[]> take(std::size_t size) {
        auto& spare = spare_of(size);
        if (spare.empty()) return std::make_unique_for_overwrite<std::byte[]>(size);
        auto memory = std::move(spare.back());
        spare.pop_back();
        return memory;
    }
    void give_back(std::unique_ptr<std::byte[]> memory, std::size_t size) {
        auto& spare = spare_of(size);
        if (spare.size() < most_spare / size) spare.push_back(std::move(memory));
    }

private:
    static constexpr std::size_t most_spare = 4 << 20;  // bytes of each size
    std::vector<std::unique_ptr<std::byte[]>>& spare_of(std::size_t size) { return size == small ? small_ : large_; }

    std::vector<std::unique_ptr<std::byte[]>> small_, large_;
};

class outbox {
public:
    /// From here on it takes no new records; the one that passed the mark still fits.
    static constexpr std::size_t mark = 256 * 1024;

    bool empty() const { return size_ == 0; }
    bool has_room() const { return size_ < mark; }
    std::span<const std::byte> bytes() const { return {data_.get(), size_}; }

    /// False if that is more than will ever fit.
    bool append(outbox_memory& from, std::span<const std::byte> bytes) {
        const std::size_t needed = size_ + bytes.size();
        if (needed > capacity_) {
            if (needed > outbox_memory::large) return false;
            const std::size_t wanted = needed > outbox_memory::small ? outbox_memory::large : outbox_memory::small;
            auto larger = from.take(wanted);
            if (size_ != 0) std::memcpy(larger.get(), data_.get(), size_);
            if (data_) from.give_back(std::move(data_), capacity_);
            data_ = std::move(larger);
            capacity_ = wanted;
        }
        std::memcpy(data_.get() + size_, bytes.data(), bytes.size());
        size_ = needed;
        return true;
    }

    void clear(outbox_memory& to) {
        if (data_) to.give_back(std::move(data_), capacity_);
        size_ = capacity_ = 0;
    }

    friend void swap(outbox& a, outbox& b) noexcept {
        std::swap(a.data_, b.data_);
        std::swap(a.size_, b.size_);
        std::swap(a.capacity_, b.capacity_);
    }

private:
    std::unique_ptr<std::byte[]> data_;
    std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace bare
