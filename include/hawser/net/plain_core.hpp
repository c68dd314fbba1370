#pragma once
// A stream whose bytes are the transport's bytes.

#include <cstring>

#include <hawser/net/stream_core.hpp>

namespace hawser::detail {

class plain_core final : public stream_core, transport_sink {
public:
    explicit plain_core(ref<transport> carrier) noexcept : stream_core{std::move(carrier)} { this->carrier().attach(this); }
    /// Takes over from a layer that has read from the transport before.
    explicit plain_core(taken_transport from) noexcept : plain_core{std::move(from.carrier)} {
        inbox_.swap(from.unread);
        ended_ = from.ended;
        end_error_ = from.end_error;
    }

    /// Gives the transport to a layer above. The core is closed by it.
    taken_transport surrender() noexcept {
        begin_close();
        return {ref<transport>{&carrier()}, std::move(inbox_), ended_, end_error_};
    }

    pull_status pull(slice<std::byte> into, std::size_t& n) noexcept override {
        n = take(into, inbox_.view());
        inbox_.consume(n);
        const std::size_t fresh = take(into.subspan(n), lent_bytes_);
        lent_bytes_ = lent_bytes_.subspan(fresh);
        n += fresh;
        if (n) return pull_status::data;
        if (!ended_) return pull_status::starved;
        return end_error_ ? pull_status::failed : pull_status::ended;
    }
    bool push(slice<const_buffer>& pieces, std::size_t& n) noexcept override {
        byte_queue& out = carrier().out();
        while (!failed_sending() && !pieces.empty() && out.size() < defaults::send_buffer_limit) {
            const std::size_t room = defaults::send_buffer_limit - out.size();
            const std::size_t part = pieces.front().size() < room ? pieces.front().size() : room;
            if (!out.append({pieces.front().data(), part})) return no_memory_ = true, false;
            n += part;
            drop(pieces, part);
        }
        if (n) carrier().commit();
        return !failed_sending();
    }
    error_info failure(phase doing, std::size_t transferred) const override {
        const int number = no_memory_ ? ENOMEM : doing == phase::read ? end_error_ : send_error_number_;
        return error_info::from_errno(number, doing, carrier().peer(), {}, transferred);
    }
    void end_output() noexcept override { carrier().shutdown_send(); }

private:
    void on_bytes(slice<const std::byte> bytes) noexcept override {
        lent_bytes_ = bytes;
        serve_reader();
        const bool kept = closed() || inbox_.append(lent_bytes_);
        lent_bytes_ = {};
        if (!kept) on_end(ENOMEM);
        if (inbox_.size() >= receive_mark) carrier().pause();
    }
    void on_end(int error) noexcept override {
        ended_ = true;
        end_error_ = error;
        serve_reader();
    }
    void on_room() noexcept override { sent_some(); }
    void on_send_error(int error) noexcept override {
        send_error_number_ = error;
        send_failed();
    }
    void on_gone() noexcept override { fail_all(errc::no_reactor); }

    static std::size_t take(slice<std::byte> into, slice<const std::byte> from) noexcept {
        const std::size_t n = into.size() < from.size() ? into.size() : from.size();
        if (n) std::memcpy(into.data(), from.data(), n);
        return n;
    }

    byte_queue inbox_;
    slice<const std::byte> lent_bytes_;
    int end_error_ = 0, send_error_number_ = 0;
    bool ended_ = false, no_memory_ = false;
};

}  // namespace hawser::detail
