#pragma once
// The io_uring backend: one ring, one io_uring_enter(2) per turn of the loop.

#include <liburing.h>
#include <poll.h>

#include <new>
#include <cstring>

#include <hawser/reactor/backend.hpp>
#include <hawser/reactor/buffer_ring.hpp>
#include <hawser/reactor/probe.hpp>

namespace hawser {

/// How run() sets up its reactor.
struct reactor_options {
    unsigned entries = 512;            ///< submission queue entries; more are submitted in between, none is refused
    unsigned receive_buffers = 256;    ///< shared receive buffers: a power of two, at most 32768
    unsigned receive_buffer_size = 16384;  ///< bytes of each
    bool multishot_receive = true;     ///< false: poll and recv(2) instead, as on kernels before 6.0
};

namespace detail {

class uring_backend final : public backend {
public:
    /// Throws errc::invalid_argument if the options make no sense, or what the kernel refuses.
    explicit uring_backend(const reactor_options& options) {
        check(options);
        set_up_ring(options.entries);
        ::io_uring_register_ring_fd(&ring_);
        multishot_ = options.multishot_receive && buffers_.set_up(ring_, options.receive_buffers, options.receive_buffer_size);
        scratch_ = new std::byte[receive_piece];
    }
    ~uring_backend() override {
        ::io_uring_queue_exit(&ring_);
        delete[] scratch_;
    }

    void start(op& o) noexcept override {
        o.active = true;
        o.cancelling = false;
        ++in_flight_;
        submit(o);
    }

    void cancel(op& o) noexcept override {
        if (!o.active || o.cancelling) return;
        o.cancelling = true;
        if (o.linked()) {  // it waits here, not in the kernel
            o.unlink();
            cancelled_.push_back(o);
            return;
        }
        if (io_uring_sqe* sqe = next_sqe()) {
            ::io_uring_prep_cancel64(sqe, reinterpret_cast<__u64>(&o), 0);
            if (skips_) sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
            ::io_uring_sqe_set_data64(sqe, 0);
        } else {
            late_.push_back(o);
        }
    }

    void wait(time_point until) noexcept override {
        if (until != time_point::min() || !nothing_to_do()) exchange(until);
    }

    std::size_t in_flight() const noexcept override { return in_flight_; }
    time_point now() const noexcept override { return clock::now(); }
    const char* name() const noexcept override { return "io_uring"; }

private:
    static constexpr duration::rep wait_grain = 250'000;  // ns

    static void check(const reactor_options& options) {
        const unsigned buffers = options.receive_buffers;
        const char* wrong = options.entries == 0 ? "entries is 0: the submission queue needs at least one" : nullptr;
        if (options.multishot_receive && (buffers == 0 || buffers > 32768 || (buffers & (buffers - 1)) != 0))
            wrong = "receive_buffers is no power of two from 1 to 32768; to do without them, set multishot_receive to false";
        else if (options.multishot_receive && options.receive_buffer_size == 0)
            wrong = "receive_buffer_size is 0: nothing could be received";
        if (wrong) throw error{error_info{make_error_code(errc::invalid_argument), phase::setup, "reactor_options", wrong}};
    }

    void set_up_ring(unsigned entries) {
        // Newest first; a kernel that does not know a flag answers EINVAL and gets the next set.
        static constexpr unsigned ladder[] = {
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
            IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
            IORING_SETUP_SUBMIT_ALL,
            0,
        };
        int failure = -EINVAL;
        for (unsigned flags : ladder) {
            io_uring_params params{};
            params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
            params.cq_entries = entries * 8;
            failure = ::io_uring_queue_init_params(entries, &ring_, &params);
            if (failure == 0) {
                skips_ = (params.features & IORING_FEAT_CQE_SKIP) != 0;
                deferred_taskrun_ = (flags & IORING_SETUP_TASKRUN_FLAG) != 0;
                return;
            }
            if (failure != -EINVAL) break;
        }
        throw error{io_uring_refusal(-failure)};
    }

    io_uring_sqe* next_sqe() noexcept {
        io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
        if (!sqe) {
            ::io_uring_submit(&ring_);  // without GETEVENTS: runs no completion
            sqe = ::io_uring_get_sqe(&ring_);
        }
        return sqe;
    }

    void submit(op& o) noexcept {
        io_uring_sqe* sqe = next_sqe();
        if (!sqe) {
            parked_.push_back(o);
            return;
        }
        switch (o.kind) {
            case op_kind::receive:
                if (takes_shared_buffers(o)) {
                    ::io_uring_prep_recv_multishot(sqe, o.fd, nullptr, 0, 0);
                    sqe->flags |= IOSQE_BUFFER_SELECT;
                    sqe->buf_group = buffer_ring::group;
                } else {
                    ::io_uring_prep_poll_add(sqe, o.fd, POLLIN | POLLRDHUP);
                }
                break;
            case op_kind::send: {
                const auto data = static_cast<send_op&>(o).data;
                ::io_uring_prep_send(sqe, o.fd, data.data(), data.size(), MSG_NOSIGNAL | MSG_WAITALL);
                break;
            }
            case op_kind::accept: {
                raw_address& peer = static_cast<accept_op&>(o).peer;
                peer.size = sizeof peer.local;
                ::io_uring_prep_accept(sqe, o.fd, &peer.any, &peer.size, SOCK_CLOEXEC);
                break;
            }
            case op_kind::connect: {
                raw_address& peer = static_cast<connect_op&>(o).peer;
                ::io_uring_prep_connect(sqe, o.fd, &peer.any, peer.size);
                break;
            }
            case op_kind::poll: ::io_uring_prep_poll_add(sqe, o.fd, static_cast<unsigned>(static_cast<poll_op&>(o).events)); break;
        }
        ::io_uring_sqe_set_data(sqe, &o);
    }

    void restart_parked() noexcept {
        while (!parked_.empty() && (::io_uring_sq_space_left(&ring_) != 0 || ::io_uring_submit(&ring_) > 0)) submit(parked_.pop_front());
        while (!late_.empty() && ::io_uring_sq_space_left(&ring_) != 0) {
            op& o = late_.pop_front();
            o.cancelling = false;
            cancel(o);
        }
    }

    /// Re-arming all of them at once would only fight for the same buffers again.
    void rearm_starved() noexcept {
        for (unsigned i = 0; i < buffers_.count() / 2 + 1 && !starved_.empty(); ++i) submit(starved_.pop_front());
    }

    /// One round with the kernel.
    [[gnu::noinline]] void exchange(time_point until) noexcept {
        restart_parked();
        rearm_starved();
        const bool idle = cancelled_.empty() && starved_.empty() && parked_.empty() && late_.empty() && ::io_uring_cq_ready(&ring_) == 0;
        enter(idle ? until : time_point::min());
        reap();
        buffers_.publish();
        while (!cancelled_.empty()) finish(cancelled_.pop_front(), {-ECANCELED, {}, false});
    }
    /// Completions of ours that it delivers when it is entered.
    bool kernel_has_work() const noexcept {
        const unsigned flags = __atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED);
        return !deferred_taskrun_ || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
    }
    /// For a turn of tasks that only yield: nothing to hand to the kernel and nothing from it.
    bool nothing_to_do() const noexcept {
        return ::io_uring_sq_ready(&ring_) == 0 && ::io_uring_cq_ready(&ring_) == 0 && !kernel_has_work() && starved_.empty() &&
               cancelled_.empty() && parked_.empty() && late_.empty();
    }

    void enter(time_point until) noexcept {
        if (until == time_point::max()) {
            io_uring_cqe* first = nullptr;
            ::io_uring_submit_and_wait_timeout(&ring_, &first, 1, nullptr, nullptr);
            return;
        }
        const time_point before = until == time_point::min() ? until : now();
        if (until <= before) {
            if (::io_uring_sq_ready(&ring_) != 0 || kernel_has_work()) ::io_uring_submit_and_get_events(&ring_);
            return;
        }
        // Waits that end together are one wake-up instead of many.
        const auto end = until.time_since_epoch().count() + wait_grain;
        const auto left = end - end % wait_grain - before.time_since_epoch().count();
        __kernel_timespec ts{};
        ts.tv_sec = left / 1'000'000'000;
        ts.tv_nsec = left % 1'000'000'000;
        io_uring_cqe* first = nullptr;
        ::io_uring_submit_and_wait_timeout(&ring_, &first, 1, &ts, nullptr);
    }

    void reap() noexcept {
        unsigned head, seen = 0;
        io_uring_cqe* cqe;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            ++seen;
            if (cqe->user_data != 0) deliver(*reinterpret_cast<op*>(cqe->user_data), cqe->res, cqe->flags);
        }
        ::io_uring_cq_advance(&ring_, seen);
    }

    void deliver(op& o, int result, unsigned flags) noexcept {
        if (o.kind != op_kind::receive) return finish(o, {result, {}, false});
        if (!takes_shared_buffers(o)) return receive_once(static_cast<receive_op&>(o), result);
        const bool more = (flags & IORING_CQE_F_MORE) != 0;
        if (result == -ENOBUFS && !o.cancelling) {
            starved_.push_back(o);
            return;
        }
        if (flags & IORING_CQE_F_BUFFER) {
            const unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;
            const completion c{result, buffers_.view(id, result > 0 ? static_cast<std::size_t>(result) : 0), true};
            if (result > 0 && !more && !o.cancelling) {  // the kernel ended the multishot; it is armed again unseen
                o.on_complete(o, c);
                if (o.cancelling) cancelled_.push_back(o);
                else submit(o);
            } else if (more) {
                o.on_complete(o, c);
            } else {
                finish(o, {result, c.data, false});
            }
            buffers_.give_back(id);
            return;
        }
        if (result == -EINVAL && !o.cancelling) {  // Linux 5.19 has buffer rings and no multishot receive
            multishot_ = false;
            return submit(o);
        }
        finish(o, {result, {}, false});
    }

    bool takes_shared_buffers(const op& o) const noexcept { return multishot_ && !static_cast<const receive_op&>(o).piecewise; }

    void receive_once(receive_op& o, int result) noexcept {
        if (result < 0 || o.cancelling) return finish(o, {result < 0 ? result : -ECANCELED, {}, false});
        const ssize_t n = ::recv(o.fd, scratch_, receive_piece, MSG_DONTWAIT);
        if (n > 0) {
            if (n < static_cast<ssize_t>(receive_piece)) o.piecewise = false;
            o.on_complete(o, {static_cast<int>(n), {scratch_, static_cast<std::size_t>(n)}, true});
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            return finish(o, {n == 0 ? 0 : -errno, {}, false});
        }
        if (o.cancelling) cancelled_.push_back(o);
        else submit(o);
    }

    void finish(op& o, const completion& c) noexcept {
        o.unlink();
        o.active = false;
        --in_flight_;
        o.on_complete(o, c);
    }

    io_uring ring_{};
    buffer_ring buffers_;
    std::byte* scratch_ = nullptr;
    list<op> parked_;     // the submission queue was full
    list<op> starved_;    // there was no buffer
    list<op> cancelled_;  // to be reported in the next wait
    list<op> late_;       // to be cancelled when the queue has room
    std::size_t in_flight_ = 0;
    bool skips_ = false, deferred_taskrun_ = false, multishot_ = false;
};

}  // namespace detail
}  // namespace hawser
