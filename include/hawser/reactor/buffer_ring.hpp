#pragma once
// The buffers that multishot receives share: a connection that is silent holds none.

#include <liburing.h>
#include <sys/mman.h>

#include <cstddef>

#include <hawser/base/slice.hpp>

namespace hawser::detail {

/// io_uring_register_buf_ring(3), Linux 5.19.
class buffer_ring {
public:
    static constexpr int group = 1;

    buffer_ring() = default;
    buffer_ring(const buffer_ring&) = delete;
    buffer_ring& operator=(const buffer_ring&) = delete;
    ~buffer_ring() {
        if (memory_) ::munmap(memory_, mapped_);
    }

    /// `count` is a power of two, at most 32768. False where the kernel or the limits do not allow it.
    bool set_up(io_uring& ring, unsigned count, unsigned size) noexcept {
        const std::size_t table = (count * sizeof(io_uring_buf) + 4095) & ~std::size_t{4095};
        mapped_ = table + std::size_t{count} * size;
        void* memory = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return false;
        io_uring_buf_reg reg{};
        reg.ring_addr = reinterpret_cast<__u64>(memory);
        reg.ring_entries = count;
        reg.bgid = group;
        if (::io_uring_register_buf_ring(&ring, &reg, 0) != 0) {
            ::munmap(memory, mapped_);
            return false;
        }
        memory_ = static_cast<std::byte*>(memory);
        buffers_ = memory_ + table;
        table_ = static_cast<io_uring_buf_ring*>(memory);
        count_ = count;
        size_ = size;
        ::io_uring_buf_ring_init(table_);
        for (unsigned i = 0; i < count; ++i) give_back(i);
        publish();
        return true;
    }

    explicit operator bool() const noexcept { return memory_ != nullptr; }
    unsigned count() const noexcept { return count_; }
    slice<const std::byte> view(unsigned id, std::size_t n) const noexcept {
        return {buffers_ + std::size_t{id} * size_, n};
    }
    void give_back(unsigned id) noexcept {
        ::io_uring_buf_ring_add(table_, buffers_ + std::size_t{id} * size_, size_, static_cast<unsigned short>(id),
                                ::io_uring_buf_ring_mask(count_), given_++);
    }
    /// Makes what was given back visible to the kernel.
    void publish() noexcept {
        if (given_ == 0) return;
        ::io_uring_buf_ring_advance(table_, given_);
        given_ = 0;
    }

private:
    std::byte* memory_ = nullptr;
    std::byte* buffers_ = nullptr;
    io_uring_buf_ring* table_ = nullptr;
    std::size_t mapped_ = 0;
    unsigned count_ = 0, size_ = 0;
    int given_ = 0;
};

}  // namespace hawser::detail
