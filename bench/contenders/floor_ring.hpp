#pragma once
// An io_uring with one ring of shared receive buffers, used bare: what the floor's server and client have in common.

#include <liburing.h>
#include <sys/mman.h>

#include <cstddef>
#include <span>

#include "sockets.hpp"

namespace bare {

class ring {
public:
    static constexpr unsigned buffer_count = 256;
    static constexpr unsigned buffer_size = 16384;

    ring() {
        io_uring_params params{};
        params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
        params.cq_entries = 16384;
        check(::io_uring_queue_init_params(4096, &ring_, &params), "io_uring_queue_init_params");
        check(::io_uring_register_ring_fd(&ring_), "io_uring_register_ring_fd");
        void* memory = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) sockets::die("mmap of the receive buffers", errno);
        io_uring_buf_reg shared{};
        shared.ring_addr = reinterpret_cast<__u64>(memory);
        shared.ring_entries = buffer_count;
        check(::io_uring_register_buf_ring(&ring_, &shared, 0), "io_uring_register_buf_ring");
        table_ = static_cast<io_uring_buf_ring*>(memory);
        buffers_ = static_cast<std::byte*>(memory) + table_size;
        ::io_uring_buf_ring_init(table_);
        for (unsigned id = 0; id < buffer_count; ++id) give_back(id);
        publish();
    }
    ring(const ring&) = delete;
    ring& operator=(const ring&) = delete;
    ~ring() {
        ::io_uring_queue_exit(&ring_);
        ::munmap(table_, mapped);
    }

    /// A free entry of the submission queue. The caller prepares it, and only then sets its user data.
    io_uring_sqe* entry() {
        io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
        if (sqe) return sqe;
        submit();
        sqe = ::io_uring_get_sqe(&ring_);
        if (!sqe) sockets::die("io_uring_get_sqe", EBUSY);
        return sqe;
    }

    void submit() { check(::io_uring_submit(&ring_), "io_uring_submit"); }

    /// Submits what was prepared, waits for a completion if told to, and hands all there are to `deliver(const io_uring_cqe&)`.
    template <class Deliver> void turn(bool wait, Deliver&& deliver) {
        const int submitted = wait ? ::io_uring_submit_and_wait(&ring_, 1) : ::io_uring_submit_and_get_events(&ring_);
        if (submitted != -EINTR && submitted != -EAGAIN && submitted != -EBUSY) check(submitted, "io_uring_submit_and_wait");
        unsigned head = 0, seen = 0;
        io_uring_cqe* cqe = nullptr;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            ++seen;
            deliver(static_cast<const io_uring_cqe&>(*cqe));
        }
        ::io_uring_cq_advance(&ring_, seen);
        publish();
    }

    /// The bytes that a receive brought; give_back() ends the loan.
    std::span<const std::byte> received(const io_uring_cqe& cqe) const {
        return {buffers_ + std::size_t{buffer_of(cqe)} * buffer_size, static_cast<std::size_t>(cqe.res)};
    }
    static unsigned buffer_of(const io_uring_cqe& cqe) { return cqe.flags >> IORING_CQE_BUFFER_SHIFT; }
    void give_back(unsigned id) {
        ::io_uring_buf_ring_add(table_, buffers_ + std::size_t{id} * buffer_size, buffer_size, static_cast<unsigned short>(id),
                                ::io_uring_buf_ring_mask(buffer_count), returned_++);
    }

private:
    static constexpr std::size_t table_size = 4096;
    static constexpr std::size_t mapped = table_size + std::size_t{buffer_count} * buffer_size;
    static_assert(buffer_count * sizeof(io_uring_buf) <= table_size);

    static void check(int result, const char* call) {
        if (result < 0) sockets::die(call, -result);
    }
    void publish() {
        ::io_uring_buf_ring_advance(table_, returned_);
        returned_ = 0;
    }

    io_uring ring_{};
    io_uring_buf_ring* table_ = nullptr;
    std::byte* buffers_ = nullptr;
    int returned_ = 0;
};

}  // namespace bare
