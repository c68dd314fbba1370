#pragma once
// The awaitables of a stream: they live in the awaiting coroutine and allocate nothing.

#include <array>

#include <hawser/coro/task.hpp>
#include <hawser/net/stream_core.hpp>
#include <hawser/reactor/with_timeout.hpp>

namespace hawser::detail {

/// What reading, writing and flushing have in common: refusal, parking, and giving up when the task is stopped.
template <class Slot> class stream_operation {
protected:
    explicit stream_operation(stream_core* core) noexcept : core_{core} {}

    /// `attempt(waiter*)` does the work: true when it has ended, else it has parked the slot.
    template <class Attempt> bool begin(const environment& env, waiter& w, phase doing, bool taken, Attempt attempt) {
        if (!core_) return fail(errc::closed);
        if (auto why = core_->refusal(doing, taken)) return fail(std::move(why));
        if (env.stop.stop_requested()) {
            slot_.cancelled = true;
            if constexpr (std::is_same_v<Slot, read_slot>) core_->gave_up(slot_);
            return env.refuse(w);
        }
        if (attempt(&w)) return false;
        slot_.core = core_.get();
        slot_.invoke = [](stop_callback& c) noexcept {
            Slot& slot = static_cast<Slot&>(c);
            slot.cancelled = true;
            slot.core->unpark(slot);
        };
        stop_source::attach(env.stop, slot_);
        core_->check_idle();
        return true;
    }
    bool fail(error_info why) noexcept {
        slot_.failure = std::move(why);
        return false;
    }
    void say(inspector& to, std::string_view what) const {
        to.say(what);
        if (core_) to.say(core_->carrier().peer());
    }

    ref<stream_core> core_;  // the stream's handle may be destroyed while the operation waits
    Slot slot_;
};

class read_operation : stream_operation<read_slot> {
public:
    using value_type = std::size_t;

    read_operation(stream_core* core, mutable_buffer into) noexcept : stream_operation{core} { slot_.into = into; }
    bool start(const environment& env, waiter& w) {
        if (slot_.into.empty()) {
            return fail(error_info{make_error_code(errc::invalid_argument), phase::read, {},
                                   "the buffer is empty: 0 bytes read would look like the end of the stream"});
        }
        return begin(env, w, phase::read, core_ && core_->reading(), [this](waiter* p) { return core_->read(slot_, p); });
    }
    result<std::size_t> take() {
        // What arrived before the stop took effect is the caller's.
        if (slot_.cancelled && !core_->read_late(slot_)) return errc::cancelled;
        if (slot_.failure) return std::move(slot_.failure);
        return slot_.moved;
    }
    void inspect(inspector& to) const { say(to, "read from "); }
};

/// Lends the stream's own buffer; an empty optional is the end.
class lend_operation : stream_operation<read_slot> {
public:
    using value_type = std::optional<std::span<const std::byte>>;

    explicit lend_operation(stream_core* core) noexcept : stream_operation{core} { slot_.lends = true; }
    bool start(const environment& env, waiter& w) {
        return begin(env, w, phase::read, core_ && core_->reading(), [this](waiter* p) { return core_->read(slot_, p); });
    }
    template <class Lent = value_type>  // a template, because making a std::span is costly to compile
    result<Lent> take() {
        if (slot_.cancelled && !core_->read_late(slot_)) return errc::cancelled;
        if (slot_.failure) return std::move(slot_.failure);
        if (slot_.moved == 0) return Lent{};
        core_->took_lent();
        if (core_->closed()) return errc::closed;  // and the buffer is gone
        return Lent{core_->lent()};
    }
    void inspect(inspector& to) const { say(to, "read from "); }
};

template <std::size_t N> class write_operation : stream_operation<write_slot> {
public:
    using value_type = std::size_t;

    write_operation(stream_core* core, const std::array<const_buffer, N>& pieces) noexcept : stream_operation{core}, pieces_{pieces} {}
    bool start(const environment& env, waiter& w) {
        slot_.pieces = pieces_;  // not before: the operation may have been moved
        return begin(env, w, phase::write, core_ && core_->writing(), [this](waiter* p) {
            if (core_->output_ended()) return slot_.failure = error_info{make_error_code(errc::closed), phase::write, core_->carrier().peer(),
                                                                         "after shutdown_send()"}, true;
            return core_->write(slot_, p);
        });
    }
    result<std::size_t> take() {
        if (slot_.failure) return std::move(slot_.failure);
        if (slot_.cancelled) return error_info{errc::cancelled}.with_transferred(slot_.moved);
        return slot_.moved;
    }
    void inspect(inspector& to) const { say(to, "write to "); }

private:
    std::array<const_buffer, N> pieces_;
};

class flush_operation : stream_operation<flush_slot> {
public:
    using value_type = void;

    explicit flush_operation(stream_core* core) noexcept : stream_operation{core} {}
    bool start(const environment& env, waiter& w) {
        return begin(env, w, phase::write, core_ && core_->flushing(), [this](waiter* p) { return core_->flush(slot_, p); });
    }
    result<void> take() {
        if (slot_.cancelled && !core_->flush(slot_, nullptr)) return errc::cancelled;
        if (slot_.failure) return std::move(slot_.failure);
        return {};
    }
    void inspect(inspector& to) const { say(to, "flush to "); }
};

/// The parts of close(), which waits on a stream that is closed for everybody else.
class closing_operation {
public:
    using value_type = void;
    enum class step : unsigned char { flush, drain };

    closing_operation(ref<stream_core> core, step what) noexcept : core_{std::move(core)}, step_{what} {}
    bool start(const environment& env, waiter& w) {
        stream_slot& slot = slot_of();
        if (core_->loop() != env.loop) return false;
        slot.cancelled = env.stop.stop_requested();
        if (slot.cancelled || attempt(&w)) return false;
        slot.core = core_.get();
        slot.invoke = step_ == step::flush ? +[](stop_callback& c) noexcept { give_up(static_cast<flush_slot&>(c)); }
                                           : +[](stop_callback& c) noexcept { give_up(static_cast<read_slot&>(c)); };
        stop_source::attach(env.stop, slot);
        return true;
    }
    result<void> take() {
        stream_slot& slot = slot_of();
        if (slot.cancelled && !attempt(nullptr)) return errc::cancelled;
        if (slot.failure) return std::move(slot.failure);
        return {};
    }
    void inspect(inspector& to) const {
        to.say(step_ == step::flush ? "the rest to be sent to " : "the end of ");
        to.say(core_->carrier().peer());
    }

private:
    bool attempt(waiter* w) noexcept { return step_ == step::flush ? core_->flush(flush_, w) : core_->drain(drain_, w); }
    stream_slot& slot_of() noexcept { return step_ == step::flush ? static_cast<stream_slot&>(flush_) : drain_; }
    static void give_up(flush_slot& slot) noexcept {
        slot.cancelled = true;
        slot.core->unpark(slot);
    }
    static void give_up(read_slot& slot) noexcept {
        slot.cancelled = true;
        slot.core->undrain(slot);
    }
    ref<stream_core> core_;
    step step_;
    flush_slot flush_;
    read_slot drain_;
};

/// D10: flush, say that it was all, and wait a while for the peer to say the same.
template <class = void> operation<void> close_stream(ref<stream_core> core, duration limit) {
    if (!core || core->closed()) co_return result<void>{};
    if (auto why = core->foreign_reactor(phase::close)) co_return why;
    core->begin_close();
    if (!core->loop()) co_return result<void>{};
    const time_point deadline = deadline_after(core->loop()->now(), limit);
    core->end_output_once();
    result<void> flushed = co_await as_result(with_deadline(deadline, closing_operation{core, closing_operation::step::flush}));
    if (flushed) {
        result<void> drained = co_await as_result(with_deadline(deadline, closing_operation{core, closing_operation::step::drain}));
        // A peer that does not answer in time, or resets, has lost nothing that was ours to send.
        if (!drained && drained.error() == errc::cancelled) flushed = errc::cancelled;
    }
    const bool gave_up = !flushed && flushed.error() == errc::timed_out;
    if (gave_up) core->carrier().abort();
    else core->carrier().release();
    if (!flushed) co_return flushed.error().with_context(phase::close, core->carrier().peer());
    co_return result<void>{};
}

template <class = void> operation<void> shutdown_stream(ref<stream_core> core) {
    if (!core || core->closed()) co_return errc::closed;
    if (auto why = core->foreign_reactor(phase::close)) co_return why;
    if (!core->output_ended() && core->writing()) co_return error_info{make_error_code(errc::busy), phase::close, core->carrier().peer()};
    core->end_output_once();
    co_return co_await as_result(flush_operation{core.get()});
}

}  // namespace hawser::detail
