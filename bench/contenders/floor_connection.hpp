#pragma once
// One TCP connection on the bare ring: a multishot receive, and at most one send in the kernel while the next gathers.

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "floor_outbox.hpp"
#include "floor_ring.hpp"

namespace bare {

/// What a completion belongs to. The lowest bits of the user data say which of its operations.
class subject {
public:
    enum class op : std::uint64_t { receive, send, connect, accept };

    virtual ~subject() = default;
    virtual void complete(op which, const io_uring_cqe& cqe) = 0;
    std::uint64_t tag(op which) { return reinterpret_cast<std::uint64_t>(this) | static_cast<std::uint64_t>(which); }
};

class connection;

/// What all connections share, and the loop's turn.
struct loop {
    ring io;
    outbox_memory memory;
    std::vector<connection*> unsent;   ///< have something to send at the end of this turn
    std::deque<connection*> starved;   ///< found no receive buffer
    std::array<std::byte, 16384> plaintext;

    inline void turn();
};

/// `drive` is the state machine: it takes from `inbox` and appends, as far as it can. Deletes itself when it has ended and
/// the kernel holds nothing of it any more.
class connection : public subject {
public:
    connection(loop& in, int fd) : in_{in}, fd_{fd} {}
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    void complete(op which, const io_uring_cqe& cqe) override {
        if (which == op::receive) on_received(cqe);
        else if (which == op::send) on_sent(cqe.res);
        settle();
    }

    /// At the end of a turn, for one of `unsent`.
    void flush() {
        queued_ = false;
        send();
        settle();
    }

    /// For one of `starved`, when there may be buffers again.
    void feed() {
        receiving_ = receiving::idle;
        settle();
    }

    /// Frees the connection, or starts or stops receiving. The last thing to be done with it after any event.
    void settle() {
        if (!finished_) {
            const bool wanted = !ended_ && kept_.size() < outbox::mark;
            if (wanted && receiving_ == receiving::idle) arm();
            if (!wanted && receiving_ == receiving::armed) cancel();
        } else if (!sending_ && filling_.empty()) {
            if (receiving_ == receiving::armed) cancel();
            if (receiving_ == receiving::idle && !queued_) delete this;
        }
    }

protected:
    virtual void drive() = 0;

    ~connection() override {
        filling_.clear(in_.memory);
        io_uring_sqe* sqe = in_.io.entry();
        ::io_uring_prep_close(sqe, fd_);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        ::io_uring_sqe_set_data64(sqe, 0);
    }

    bool has_room() const { return filling_.has_room(); }
    bool append(std::span<const std::byte> bytes) {
        if (!filling_.append(in_.memory, bytes)) return false;
        if (!filling_.has_room()) send();
        queue();
        return true;
    }
    /// Sends what was appended, then closes.
    void finish() { finished_ = true; }

    loop& in_;
    const int fd_;
    std::span<const std::byte> inbox_;  // received and not taken yet; valid during drive()
    bool ended_ = false;                // nothing more will be received

private:
    enum class receiving : unsigned char { idle, armed, cancelling, starved };

    void on_received(const io_uring_cqe& cqe) {
        if ((cqe.flags & IORING_CQE_F_MORE) == 0) receiving_ = receiving::idle;
        if (cqe.res > 0) {
            if (!finished_) take(in_.io.received(cqe));
        } else if (cqe.res == -ENOBUFS) {
            receiving_ = receiving::starved;
            in_.starved.push_back(this);
        } else if (cqe.res != -ECANCELED) {
            ended_ = true;
            if (!finished_) go_on();
        }
        if (cqe.flags & IORING_CQE_F_BUFFER) in_.io.give_back(ring::buffer_of(cqe));
    }

    void on_sent(int result) {
        const bool whole = result >= 0 && static_cast<std::size_t>(result) == flying_.bytes().size();
        sending_ = false;
        flying_.clear(in_.memory);
        if (!whole) {
            ended_ = true;
            if (!finished_) go_on();
            filling_.clear(in_.memory);
            finish();
        } else {
            if (!filling_.has_room()) send();
            if (!finished_) go_on();
            if (!filling_.empty()) queue();
        }
    }

    void take(std::span<const std::byte> received) {
        if (!kept_.empty()) {
            kept_.insert(kept_.end(), received.begin(), received.end());
            return go_on();
        }
        inbox_ = received;
        drive();
        kept_.assign(inbox_.begin(), inbox_.end());
        inbox_ = {};
    }

    void go_on() {
        inbox_ = kept_;
        drive();
        if (inbox_.empty()) kept_ = {};
        else kept_.erase(kept_.begin(), kept_.end() - static_cast<std::ptrdiff_t>(inbox_.size()));
        inbox_ = {};
    }

    void queue() {
        if (queued_) return;
        queued_ = true;
        in_.unsent.push_back(this);
    }

    void send() {
        if (sending_ || filling_.empty()) return;
        swap(filling_, flying_);
        sending_ = true;
        io_uring_sqe* sqe = in_.io.entry();
        ::io_uring_prep_send(sqe, fd_, flying_.bytes().data(), flying_.bytes().size(), MSG_NOSIGNAL | MSG_WAITALL);
        ::io_uring_sqe_set_data64(sqe, tag(op::send));
    }

    void arm() {
        io_uring_sqe* sqe = in_.io.entry();
        ::io_uring_prep_recv_multishot(sqe, fd_, nullptr, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = 0;
        ::io_uring_sqe_set_data64(sqe, tag(op::receive));
        receiving_ = receiving::armed;
    }

    void cancel() {
        io_uring_sqe* sqe = in_.io.entry();
        ::io_uring_prep_cancel64(sqe, tag(op::receive), 0);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        ::io_uring_sqe_set_data64(sqe, 0);
        receiving_ = receiving::cancelling;
    }

    outbox filling_, flying_;
    std::vector<std::byte> kept_;  // what drive() could not take, because there was no room for its answers
    receiving receiving_ = receiving::idle;
    bool sending_ = false;
    bool queued_ = false;
    bool finished_ = false;
};

void loop::turn() {
    for (std::size_t i = 0; i < unsent.size(); ++i) unsent[i]->flush();
    unsent.clear();
    // All of them at once would only fight for the same buffers again.
    for (unsigned i = 0; i < ring::buffer_count / 2 && !starved.empty(); ++i) {
        connection* const next = starved.front();
        starved.pop_front();
        next->feed();
    }
    io.turn(starved.empty(), [](const io_uring_cqe& cqe) {
        if (cqe.user_data == 0) return;
        reinterpret_cast<subject*>(cqe.user_data & ~std::uint64_t{7})->complete(static_cast<subject::op>(cqe.user_data & 7), cqe);
    });
}

}  // namespace bare
