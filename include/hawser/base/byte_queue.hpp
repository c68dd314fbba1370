#pragma once
// Bytes in order, contiguous, in recycled memory; an empty queue holds none.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include <hawser/base/crowd.hpp>
#include <hawser/base/recycler.hpp>
#include <hawser/base/slice.hpp>

namespace hawser::detail {

class byte_queue {
public:
    byte_queue() noexcept = default;
    byte_queue(byte_queue&& other) noexcept { swap(other); }
    byte_queue& operator=(byte_queue&& other) noexcept {
        swap(other);
        return *this;
    }
    ~byte_queue() { release(); }

    std::size_t size() const noexcept { return end_ - begin_; }
    bool empty() const noexcept { return begin_ == end_; }
    std::size_t capacity() const noexcept { return capacity_; }
    slice<const std::byte> view() const noexcept { return {memory_ + begin_, size()}; }

    /// Room for n more bytes behind the last one, or none when memory is short. Follow by commit().
    slice<std::byte> prepare(std::size_t n) noexcept {
        if (n > capacity_ - end_ && !grow(n)) return {};
        return {memory_ + end_, capacity_ - end_};
    }
    void commit(std::size_t n) noexcept { end_ += narrow(n); }

    /// False when memory is short; then nothing was appended.
    [[nodiscard]] bool append(slice<const std::byte> bytes) noexcept {
        if (bytes.empty()) return true;
        const slice<std::byte> room = prepare(bytes.size());
        if (room.empty()) return false;
        std::memcpy(room.data(), bytes.data(), bytes.size());
        commit(bytes.size());
        return true;
    }

    /// Drops the first n bytes; the memory goes back when none is left.
    void consume(std::size_t n) noexcept {
        begin_ += narrow(n);
        if (begin_ == end_) release();
    }
    void clear() noexcept { release(); }

    void swap(byte_queue& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(begin_, other.begin_);
        std::swap(end_, other.end_);
        std::swap(capacity_, other.capacity_);
        std::swap(usual_, other.usual_);
    }

private:
    // Each connection has several queues, most of them empty: 32 bits a size are enough.
    using count = std::uint32_t;
    static constexpr count largest = count{256} << 10;
    static constexpr count narrow(std::size_t n) noexcept { return static_cast<count>(n); }

    void release() noexcept {
        if (!memory_) return;
        // Start the next fill where this one ended, so that a bulk transfer does not grow its buffer each time.
        usual_ = end_ > capacity_ / 2 ? capacity_ : capacity_ / 4;
        if (usual_ > largest) usual_ = largest;
        give(memory_, capacity_);
        memory_ = nullptr;
        begin_ = end_ = capacity_ = 0;
    }
    bool grow(std::size_t n) noexcept {
        const std::size_t held = size();
        if (memory_ && held + n <= capacity_ && begin_ >= capacity_ / 2) {
            std::memmove(memory_, memory_ + begin_, held);
        } else {
            std::size_t wanted = held + n;
            if (wanted < usual_) wanted = usual_;
            const std::size_t cls = buffer_recycler::class_of(wanted);
            const std::size_t larger = cls == buffer_recycler::class_of(~std::size_t{0}) ? wanted + wanted / 2 : buffer_recycler::size_of(cls);
            if (larger > ~count{0}) return false;
            auto* fresh = static_cast<std::byte*>(buffer_recycler::take(larger));
            if (!fresh) return false;
            if (larger >= large) all_large_.join();
            if (held) std::memcpy(fresh, memory_ + begin_, held);
            if (memory_) give(memory_, capacity_);
            memory_ = fresh;
            capacity_ = narrow(larger);
        }
        begin_ = 0;
        end_ = narrow(held);
        return true;
    }

    static void give(std::byte* memory, std::size_t size) noexcept {
        buffer_recycler::give(memory, size);
        if (size >= large) all_large_.leave();
    }

    static constexpr std::size_t large = std::size_t{64} << 10;
    static inline constinit thread_local crowd all_large_{64};

    std::byte* memory_ = nullptr;
    count begin_ = 0, end_ = 0, capacity_ = 0, usual_ = 0;
};

}  // namespace hawser::detail
