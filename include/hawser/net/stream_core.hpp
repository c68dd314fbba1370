#pragma once
// The part that all streams share: who reads, who writes, who waits for a flush, and how each of them ends.

#include <hawser/base/buffer.hpp>
#include <hawser/base/result.hpp>
#include <hawser/net/transport.hpp>

namespace hawser::detail {

class stream_core;

/// A parked operation of a stream: in the awaiter, linked from its stream while it waits.
struct stream_slot : stop_callback {
    waiter* parked = nullptr;
    stream_core* core = nullptr;
    error_info failure = error_info::none();
    bool cancelled = false;
};

struct read_slot : stream_slot {
    bool lends = false;
    slice<std::byte> into;  // empty: lend a buffer of the stream's
    std::size_t moved = 0;
};

/// What waits for the peer to take something, and not for ever: the timer is its own.
struct sending_slot : stream_slot, timer {
    std::size_t moved = 0;
};

struct write_slot : sending_slot {
    slice<const_buffer> pieces;  // what is left of them
};

struct flush_slot : sending_slot {};

enum class pull_status : unsigned char { data, starved, ended, failed };

/// A stream behind its handle. Derived classes say where bytes come from and go to; this one keeps the order.
class stream_core : public ref_counted {
public:
    // What a derived class does.

    /// Moves received bytes to `into`. `data`: n > 0; `starved`: more has to come first.
    virtual pull_status pull(slice<std::byte> into, std::size_t& n) noexcept = 0;
    /// Accepts bytes of the pieces up to the send buffer's limit, and drops them there; false when the stream has failed.
    virtual bool push(slice<const_buffer>& pieces, std::size_t& n) noexcept = 0;
    /// Why pull or push failed.
    virtual error_info failure(phase doing, std::size_t transferred) const = 0;
    /// Says to the peer that nothing more will be sent, after what was accepted.
    virtual void end_output() noexcept = 0;

    transport& carrier() const noexcept { return *carrier_; }
    reactor* loop() const noexcept { return carrier_->loop(); }
    bool closed() const noexcept { return closed_; }
    bool output_ended() const noexcept { return output_ended_; }
    duration write_timeout = defaults::write_timeout;

    // The operations.

    /// The error of a task that uses the stream on another thread than its reactor's.
    error_info foreign_reactor(phase doing) const {
        if (!loop() || loop() == reactor::current()) return error_info::none();
        return error_info{make_error_code(errc::no_reactor), doing, carrier_->peer(), "the stream belongs to the reactor of another thread"};
    }

    /// What forbids an operation from starting on the task's reactor, if anything.
    error_info refusal(phase doing, bool slot_taken) const {
        if (closed_) return errc::closed;
        if (!loop()) return errc::no_reactor;
        if (auto why = foreign_reactor(doing)) return why;
        if (slot_taken) return error_info{make_error_code(errc::busy), doing, carrier_->peer()};
        return error_info::none();
    }

    bool reading() const noexcept { return reader_ != nullptr || lent_to_reader_; }
    bool writing() const noexcept { return writer_ != nullptr; }

    /// True when the slot has its result; else it is parked if `w` is given.
    bool read(read_slot& slot, waiter* w) noexcept {
        if (w) gave_up_ = nullptr;
        if (slot.lends && !lend()) return slot.failure = out_of_memory(phase::read), true;
        const pull_status got = pull(slot.lends ? lent_room() : slot.into, slot.moved);
        if (slot.lends) lent_size_ = slot.moved;
        if (got == pull_status::starved) {
            if (slot.lends) unlend();
            if (!w) return false;
            reader_ = &slot;
            slot.parked = w;
            carrier_->receive();
            return false;
        }
        if (slot.moved == 0 && slot.lends) unlend();
        if (got == pull_status::failed) slot.failure = failure(phase::read, 0);
        return true;
    }

    /// A reader whose task was stopped; what comes until that is resumed is its own, unless another reads before.
    void gave_up(const read_slot& slot) noexcept { gave_up_ = &slot; }
    bool read_late(read_slot& slot) noexcept { return gave_up_ == &slot && !closed_ && read(slot, nullptr); }
    /// The reader that was woken with the lent buffer has seen it: another may read.
    void took_lent() noexcept { lent_to_reader_ = false; }

    bool write(write_slot& slot, waiter* w) noexcept {
        std::size_t n = 0;
        const bool works = push(slot.pieces, n);
        slot.moved += n;
        if (!works) return slot.failure = failure(phase::write, slot.moved), true;
        if (slot.pieces.empty()) return true;
        if (!w) return false;
        writer_ = &slot;
        slot.parked = w;
        watch_stall(slot);
        return false;
    }

    /// True when nothing is left to send; else the slot is parked if `w` is given.
    bool flush(flush_slot& slot, waiter* w) noexcept {
        if (send_error_ || carrier_->unsent() == 0) {
            if (send_error_) slot.failure = failure(phase::write, 0);
            return true;
        }
        if (!w) return false;
        flusher_ = &slot;
        slot.parked = w;
        watch_stall(slot);
        return false;
    }
    bool flushing() const noexcept { return flusher_ != nullptr; }

    /// Takes a parked slot out, because its task was stopped or its time is over.
    void unpark(stream_slot& slot) noexcept {
        if (reader_ == &slot) gave_up(*reader_), reader_ = nullptr;
        if (writer_ == &slot) stop_stall_watch(*writer_), writer_ = nullptr;
        if (flusher_ == &slot) stop_stall_watch(*flusher_), flusher_ = nullptr;
        wake(slot);
    }

    /// Requests a stop, now or later, when a reader waits and nothing is left to send; nullptr: no more.
    void stop_when_idle(stop_source* source) noexcept {
        idle_stop_ = source;
        check_idle();
    }
    void check_idle() noexcept {
        if (idle_stop_ && reader_ && carrier_->unsent() == 0) idle_stop_->request_stop();
    }

    slice<const std::byte> lent() const noexcept { return {lent_buffer_, lent_size_}; }

    /// Pending operations get errc::closed; later ones too.
    void begin_close() noexcept {
        closed_ = true;
        fail_all(errc::closed);
        unlend();
    }
    void end_output_once() noexcept {
        if (output_ended_) return;
        output_ended_ = true;
        if (!send_error_) end_output();
    }
    /// For close(): throws away what still comes. True when the peer has ended too.
    bool drain(read_slot& slot, waiter* w) noexcept {
        std::byte bin[4096];
        for (;;) {
            std::size_t n = 0;
            const pull_status got = pull(bin, n);
            if (got == pull_status::data) continue;
            if (got != pull_status::starved || !w) return got != pull_status::starved;
            drainer_ = &slot;
            slot.parked = w;
            carrier_->receive();
            return false;
        }
    }
    void undrain(read_slot& slot) noexcept {
        drainer_ = nullptr;
        wake(slot);
    }

protected:
    explicit stream_core(ref<transport> carrier) noexcept : carrier_{std::move(carrier)} {}
    ~stream_core() override { unlend(); }

    /// New bytes, or the end, are there for pull().
    void serve_reader() noexcept {
        if (read_slot* slot = reader_) {
            if (!read(*slot, nullptr)) return;
            reader_ = nullptr;
            lent_to_reader_ = slot->lends && slot->moved != 0;
            wake(*slot);
        } else if (read_slot* waiting = drainer_) {
            if (drain(*waiting, nullptr)) undrain(*waiting);
        }
    }
    /// The peer takes what is sent, however slowly.
    void sent_some() noexcept {
        for (sending_slot* slot : {static_cast<sending_slot*>(writer_), static_cast<sending_slot*>(flusher_)}) {
            if (!slot) continue;
            stop_stall_watch(*slot);
            watch_stall(*slot);
        }
        serve_writer();
    }
    /// There is room for push(), or it has failed.
    void serve_writer() noexcept {
        if (write_slot* slot = writer_) {
            if (write(*slot, nullptr)) {
                stop_stall_watch(*slot);
                writer_ = nullptr;
                wake(*slot);
            }
        }
        if (flush_slot* slot = flusher_; slot && flush(*slot, nullptr)) {
            stop_stall_watch(*slot);
            flusher_ = nullptr;
            wake(*slot);
        }
        check_idle();
    }
    void send_failed() noexcept {
        send_error_ = true;
        serve_writer();
    }
    void fail_all(const error_info& why) noexcept {
        for (stream_slot* slot : {static_cast<stream_slot*>(reader_), static_cast<stream_slot*>(writer_), static_cast<stream_slot*>(flusher_),
                                  static_cast<stream_slot*>(drainer_)}) {
            if (!slot) continue;
            slot->failure = why.with_transferred(slot == writer_ ? writer_->moved : 0);
            if (slot == writer_) stop_stall_watch(*writer_);
            if (slot == flusher_) stop_stall_watch(*flusher_);
            if (carrier_->loop()) wake(*slot);
        }
        reader_ = drainer_ = nullptr;
        writer_ = nullptr;
        flusher_ = nullptr;
    }
    error_info out_of_memory(phase doing) const {
        return error_info::from_errno(ENOMEM, doing, carrier_->peer());
    }
    bool failed_sending() const noexcept { return send_error_; }

    static void drop(slice<const_buffer>& pieces, std::size_t n) noexcept {
        while (!pieces.empty() && n >= pieces.front().size()) {
            n -= pieces.front().size();
            pieces = pieces.subspan(1);
        }
        if (n) pieces.front() = pieces.front().dropped(n);
    }

private:
    void wake(stream_slot& slot) noexcept {
        slot.unlink();
        carrier_->loop()->make_ready(*slot.parked);
    }

    bool lend() noexcept {
        if (!lent_buffer_) lent_buffer_ = static_cast<std::byte*>(buffer_recycler::take(defaults::lent_buffer_size));
        return lent_buffer_ != nullptr;
    }
    slice<std::byte> lent_room() const noexcept { return {lent_buffer_, defaults::lent_buffer_size}; }
    void unlend() noexcept {
        if (lent_buffer_) buffer_recycler::give(lent_buffer_, defaults::lent_buffer_size);
        lent_buffer_ = nullptr;
        lent_size_ = 0;
    }

    void watch_stall(sending_slot& slot) noexcept {
        if (write_timeout <= duration::zero() || write_timeout == duration::max()) return;
        slot.core = this;
        slot.fire = [](timer& t) noexcept {
            sending_slot& late = static_cast<sending_slot&>(t);
            late.failure = error_info{make_error_code(errc::timed_out), phase::write, late.core->carrier_->peer(),
                                      "the peer does not read", late.moved};
            late.core->unpark(late);
        };
        loop()->set_timer(slot, deadline_after(loop()->now(), write_timeout));
    }
    void stop_stall_watch(sending_slot& slot) noexcept {
        if (loop()) loop()->cancel_timer(slot);
    }

    ref<transport> carrier_;
    read_slot* reader_ = nullptr;
    read_slot* drainer_ = nullptr;
    const read_slot* gave_up_ = nullptr;  // only compared
    write_slot* writer_ = nullptr;
    flush_slot* flusher_ = nullptr;
    stop_source* idle_stop_ = nullptr;
    std::byte* lent_buffer_ = nullptr;
    std::size_t lent_size_ = 0;
    bool closed_ = false, output_ended_ = false, send_error_ = false, lent_to_reader_ = false;
};

}  // namespace hawser::detail
