#pragma once
// A TLS connection behind its handle: the engine between a transport and the readers and writers of the stream.

#include <cstring>

#include <hawser/net/stream_core.hpp>
#include <hawser/tls/engine.hpp>
#include <hawser/tls/handshake_gate.hpp>

namespace hawser::tls::detail {

using hawser::detail::byte_queue;
using hawser::detail::environment;
using hawser::detail::pull_status;
using hawser::detail::ref;
using hawser::detail::stream_core;
using hawser::detail::transport;
using hawser::detail::waiter;

struct handshake_slot : hawser::detail::stream_slot {};

class core final : public stream_core, hawser::detail::transport_sink, handshake_stepper {
public:
    explicit core(hawser::detail::taken_transport below)
        : stream_core{below.carrier}, engine_{below.carrier->out()}, early_{std::move(below.unread)} {
        carrier().attach(this);
        if (below.ended) engine_.end_input(below.end_error);
        again_.self = this;
        again_.run = [](waiter& w) noexcept { static_cast<retry_node&>(w).self->retry(); };
    }

    result<void> connect(const config& settings, const std::string& name) {
        return engine_.connect(settings, name.empty() ? nullptr : name.c_str());
    }
    result<void> accept(ref<server_context> server) { return engine_.accept(std::move(server)); }
    engine& machine() noexcept { return engine_; }

    /// True when the handshake has ended, well or badly; else the slot is parked.
    bool handshake(handshake_slot& slot, waiter& w) noexcept {
        slot.parked = &w;
        handshaker_ = &slot;
        starting_ = true;
        if (!early_.empty()) {
            engine_.feed(early_.view());
            engine_.release_input();
            early_.clear();
        }
        loop()->service<handshake_gate>().admit(*this);
        starting_ = false;
        return handshaker_ == nullptr;
    }
    void give_up(handshake_slot& slot) noexcept {
        handshaker_ = nullptr;
        handshake_gate::withdraw(*this);
        loop()->make_ready(*slot.parked);
    }
    bool handshaking() const noexcept { return handshaker_ != nullptr; }
    /// Lets the transport go: an alert that was queued is still sent.
    void abandon() noexcept {
        handshake_gate::withdraw(*this);
        begin_close();
        carrier().release();
    }

    pull_status pull(hawser::detail::slice<std::byte> into, std::size_t& n) noexcept override {
        const engine::status s = engine_.read(into, n);
        flush();
        switch (s) {
            case engine::status::ok: return pull_status::data;
            case engine::status::ended: return pull_status::ended;
            case engine::status::again: try_again_later(); [[fallthrough]];
            case engine::status::starved: return pull_status::starved;
            case engine::status::truncated:
            case engine::status::failed: break;
        }
        return pull_status::failed;
    }

    bool push(hawser::detail::slice<const_buffer>& pieces, std::size_t& n) noexcept override {
        byte_queue& out = carrier().out();
        bool works = !failed_sending();
        while (works && !pieces.empty() && out.size() < hawser::detail::send_mark) {
            std::byte gathered[engine::record_size];
            const const_buffer record = gather(pieces, gathered);
            if (record.empty()) return pieces = {}, true;
            std::size_t accepted = 0;
            const engine::status s = engine_.write(record, accepted, hawser::detail::send_mark);
            n += accepted;
            drop(pieces, accepted);
            flush();  // a full buffer goes at once, and there is room again
            if (s == engine::status::again) try_again_later();
            if (s == engine::status::starved) carrier().receive();  // a TLS 1.2 server renegotiates
            works = s != engine::status::failed && s != engine::status::truncated;
            if (s != engine::status::ok) break;
        }
        return works;
    }

    error_info failure(phase doing, std::size_t transferred) const override {
        if (doing == phase::write && failed_sending()) {
            return error_info::from_errno(send_error_number_, doing, carrier().peer(), {}, transferred);
        }
        return engine_.error(doing, carrier().peer()).with_transferred(transferred);
    }

    void end_output() noexcept override {
        engine_.close();
        flush();
        carrier().shutdown_send();
    }

private:
    struct retry_node : waiter {
        core* self = nullptr;
    };
    ~core() override { handshake_gate::withdraw(*this); }

    /// Small pieces share a record; a large one is sealed from where it is.
    static const_buffer gather(hawser::detail::slice<const const_buffer> pieces, hawser::detail::slice<std::byte> into) noexcept {
        while (!pieces.empty() && pieces.front().empty()) pieces = pieces.subspan(1);
        if (pieces.empty()) return {};
        if (pieces.size() == 1 || pieces.front().size() >= into.size()) return pieces.front();
        std::size_t n = 0;
        for (const const_buffer& piece : pieces) {
            const std::size_t part = piece.size() < into.size() - n ? piece.size() : into.size() - n;
            if (part) std::memcpy(into.data() + n, piece.data(), part);
            n += part;
        }
        return {into.data(), n};
    }

    /// Any call of the engine may have produced ciphertext.
    void flush() noexcept {
        if (!carrier().out().empty()) carrier().commit();
    }

    void on_bytes(hawser::detail::slice<const std::byte> bytes) noexcept override {
        engine_.feed(bytes);
        if (engine_.handshake_complete()) {
            serve_reader();
            if (writing()) serve_writer();
        } else if (handshaker_) {
            loop()->service<handshake_gate>().admit(*this);
        }
        engine_.release_input();
        if (engine_.buffered_input() >= hawser::detail::receive_mark) carrier().pause();
    }
    void on_end(int error) noexcept override {
        engine_.end_input(error);
        if (engine_.handshake_complete()) {
            serve_reader();
            if (writing()) serve_writer();
        } else if (handshaker_) {
            loop()->service<handshake_gate>().admit(*this);
        }
    }
    void on_room() noexcept override { sent_some(); }
    void on_send_error(int error) noexcept override {
        send_error_number_ = error;
        send_failed();
        // The peer may have said why before it went away; else this is the reason.
        if (!engine_.handshake_complete()) carrier().receive();
    }
    void on_gone() noexcept override {
        handshaker_ = nullptr;
        fail_all(errc::no_reactor);
    }

    void step() noexcept override {
        if (!handshaker_) return;
        const engine::status s = engine_.handshake();
        flush();
        if (s == engine::status::starved) return carrier().receive();
        if (s == engine::status::again) return try_again_later();
        handshake_slot& slot = *std::exchange(handshaker_, nullptr);
        if (s != engine::status::ok) slot.failure = engine_.error(phase::handshake, carrier().peer());
        slot.unlink();
        if (!starting_) loop()->make_ready(*slot.parked);
    }

    void try_again_later() noexcept {
        if (retrying_) return;
        retrying_ = true;
        add_ref();
        loop()->make_ready(again_);
    }
    void retry() noexcept {
        retrying_ = false;
        if (handshaker_) loop()->service<handshake_gate>().admit(*this);
        else if (!closed() || engine_.handshake_complete()) serve_reader(), serve_writer();
        drop_ref();
    }

    engine engine_;
    byte_queue early_;
    handshake_slot* handshaker_ = nullptr;
    retry_node again_;
    int send_error_number_ = 0;
    bool starting_ = false, retrying_ = false;
};

/// Waits for the end of the handshake.
class handshake_operation {
public:
    using value_type = void;

    explicit handshake_operation(ref<core> of) noexcept : core_{std::move(of)} {}
    bool start(const environment& env, waiter& w) {
        if (auto why = core_->refusal(phase::handshake, core_->handshaking())) {
            slot_.failure = std::move(why);
            return false;
        }
        if (env.stop.stop_requested()) {
            slot_.cancelled = true;
            return env.refuse(w);
        }
        if (core_->handshake(slot_, w)) return false;
        slot_.core = core_.get();
        slot_.invoke = [](hawser::detail::stop_callback& c) noexcept {
            handshake_slot& slot = static_cast<handshake_slot&>(c);
            slot.cancelled = true;
            static_cast<core*>(slot.core)->give_up(slot);
        };
        stop_source::attach(env.stop, slot_);
        return true;
    }
    result<void> take() {
        if (slot_.failure) return std::move(slot_.failure);
        if (slot_.cancelled) return errc::cancelled;
        return {};
    }
    void inspect(hawser::detail::inspector& to) const {
        to.say("TLS handshake with ");
        to.say(core_->carrier().peer());
    }

private:
    ref<core> core_;
    handshake_slot slot_;
};

}  // namespace hawser::tls::detail
