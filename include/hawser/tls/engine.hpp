#pragma once
// libtls without I/O: ciphertext goes in and comes out of memory, plaintext is read and written between them.

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include <tls.h>

#include <hawser/base/byte_queue.hpp>
#include <hawser/base/intrusive.hpp>
#include <hawser/base/result.hpp>
#include <hawser/tls/config.hpp>
#include <hawser/tls/footprint.hpp>
#include <hawser/tls/server_context.hpp>

namespace hawser::tls::detail {

/// One end of one TLS connection. Pinned: libtls keeps its address. Belongs to one thread at a time.
///
/// The caller looks at `out` after *every* call, also after read(), after a failure and before it waits for input, and
/// sends what is there: any call may have produced ciphertext (an alert, an answer to KeyUpdate, a handshake).
/// Nothing here blocks, throws (but error(), connect() and accept() may throw std::bad_alloc) or calls back.
class engine {
public:
    enum class status : unsigned char {
        ok,         ///< done, or at least one byte moved
        starved,    ///< all input was taken: send `out`, then feed() more and call again
        again,      ///< input is left, but the turn was long enough: let others run, then call again without waiting
        ended,      ///< the peer sent close_notify; read() says so from now on, write() still works
        truncated,  ///< the transport ended without close_notify
        failed,     ///< see error(); every later call says the same. Send `out` (an alert may be there), then destroy
    };
    using byte_queue = hawser::detail::byte_queue;

    /// The most plaintext that fits in a record.
    static constexpr std::size_t record_size = 16384;
    /// How many records without data (KeyUpdate, NewSessionTicket, empty ones) a call takes before it says `again`.
    static constexpr int budget_per_call = 32;

    /// `out` gets the ciphertext to send; it must live as long as the engine. The caller consumes it between calls.
    explicit engine(byte_queue& out) noexcept : out_{&out} {}
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    /// Makes this the client's end, once. `server_name` is the name or the IP address to verify, and the SNI; nullptr
    /// only if the configuration does not verify names. Nothing is kept of it or of `settings` but what libtls copies.
    /// Cost: 0.02 to 0.3 ms and 6 to 28 KiB; with a bundle of authorities 4 to 26 ms and 839 KiB. tls_connect_cbs(3).
    result<void> connect(const config& settings, const char* server_name) {
        ::tls* native = ::tls_client();
        if (!native) return error_info::from_errno(ENOMEM, phase::handshake);
        context_ = hawser::detail::ref<context>{new context{native}};
        shows_certificate_ = settings.has_certificate();
        if (::tls_configure(native, settings.native()) != 0 ||
            among_.connection([&] { return ::tls_connect_cbs(native, take_input, give_output, this, server_name); }) != 0) {
            latch(failure::refused);
            return error(phase::handshake);
        }
        return {};
    }

    /// Makes this a server's end, once, and keeps `server` alive as long as the engine. tls_accept_cbs(3).
    result<void> accept(hawser::detail::ref<server_context> server) {
        ::tls* native = nullptr;
        server_ = server;
        if (among_.connection([&] { return ::tls_accept_cbs(server->native(), &native, take_input, give_output, this); }) != 0) {
            return error_info{make_error_code(errc::tls_failure), phase::handshake, {}, server->take_error()};
        }
        context_ = hawser::detail::ref<context>{new context{native}};
        return {};
    }

    /// Lends ciphertext that was received: it must stay where it is until release_input().
    void feed(hawser::detail::slice<const std::byte> lent) noexcept {
        if (!release_input() || deaf()) return;
        lent_ = lent;
        idle_ = idle_ && lent.empty();
    }

    /// Copies what libtls has not asked for of the lent bytes. False: memory is short, and the engine has failed.
    bool release_input() noexcept {
        if (lent_.empty()) return true;
        const bool kept = inbox_.append(lent_);
        lent_ = {};
        if (!kept) latch(failure::memory);
        return kept;
    }

    /// Ciphertext that was fed and not taken yet; what the mark on received data counts.
    std::size_t buffered_input() const noexcept { return inbox_.size() + lent_.size(); }

    /// No more will be fed: 0 for the transport's end, else its errno. What was fed before is still read first.
    void end_input(int error_number) noexcept {
        if (input_ended_) return;
        input_ended_ = true;
        input_error_ = error_number;
        idle_ = false;
    }

    /// Goes on with the handshake: ok once it is complete (and then always), starved, again or failed.
    /// A client's `ok` does not say that a TLS 1.3 server has accepted its certificate; the first read tells.
    status handshake() noexcept {
        if (failure_ != failure::none) return failed();
        if (complete_) return status::ok;
        for (int budget = budget_per_call;;) {
            starved_ = false;
            const int r = ::tls_handshake(native());
            if (r == 0 && !lost_output_) {
                complete_ = true;
                return status::ok;
            }
            const status s = judge(r, budget);
            if (s != status::ok) return s;
        }
    }

    /// Fills `into` from as many records as it takes; n is the count. If n > 0 the result is ok, and what else there is
    /// to say (starved, ended, ...) is what the next call says. An empty `into` gives ok and 0. tls_read(3).
    status read(hawser::detail::slice<std::byte> into, std::size_t& n) noexcept {
        n = 0;
        if (failure_ != failure::none) return failed();
        if (ended_) return status::ended;
        if (idle_) return status::starved;
        if (!complete_) {
            if (const status s = handshake(); s != status::ok) return s;
        }
        for (int budget = budget_per_call; n < into.size();) {
            const std::size_t room = into.size() - n;
            starved_ = false;
            const ssize_t r = ::tls_read(native(), into.data() + n, room);
            if (r > 0) {
                n += static_cast<std::size_t>(r);
                heard_ = true;
                if (lost_output_) {  // an answer to what was read
                    (void)latch(failure::memory);
                    break;
                }
                // libtls hands out all of a record that fits: less than asked for means that it holds no more, and
                // without input it can make no more. This spares half of the calls of a conversation.
                if (static_cast<std::size_t>(r) < room && buffered_input() == 0 && !input_ended_) {
                    idle_ = true;
                    break;
                }
                continue;
            }
            status s = status::ended;
            if (r == 0 && !saw_end_ && !saw_error_ && !lost_output_) {
                ended_ = true;
                drop_input();
            } else {
                s = judge(r, budget);
                if (s == status::ok) continue;
                idle_ = s == status::starved;
            }
            return n > 0 ? status::ok : s;
        }
        return status::ok;
    }

    /// Seals bytes of `from` in records of up to 16 KiB until all are accepted or `out` holds `out_limit` bytes; it may
    /// pass the limit by one record. Says how many were accepted; they will be sent whole. ok with less than all: send
    /// `out` first, or call again. starved (only while a TLS 1.2 server renegotiates): feed input, then write the same
    /// bytes, or more, again. tls_write(3).
    status write(hawser::detail::slice<const std::byte> from, std::size_t& accepted, std::size_t out_limit) noexcept {
        accepted = 0;
        if (failure_ != failure::none || closed_) return failed();
        if (!complete_) {
            if (const status s = handshake(); s != status::ok) return s;
        }
        for (int budget = budget_per_call; accepted < from.size() && out_->size() < out_limit;) {
            const std::size_t left = from.size() - accepted;
            starved_ = false;
            const ssize_t r = ::tls_write(native(), from.data() + accepted, left < record_size ? left : record_size);
            if (r > 0 && !lost_output_) {
                accepted += static_cast<std::size_t>(r);
                continue;
            }
            const status s = judge(r, budget);
            if (s == status::ok) continue;
            return accepted > 0 ? status::ok : s;
        }
        return status::ok;
    }

    /// Appends close_notify, once; a call before the handshake is complete or after the first does nothing. After it
    /// write() fails with errc::closed, read() goes on. Does not wait for the peer. tls_close(3).
    status close() noexcept {
        if (failure_ != failure::none) return failed();
        if (closed_ || !complete_) return status::ok;
        closed_ = true;
        // Its result says nothing about us: both libraries have reasons of their own to refuse a late close.
        (void)::tls_close(native());
        return lost_output_ ? latch(failure::memory) : status::ok;
    }

    /// Why a call said failed or truncated. errc::tls_failure has libtls's words as detail; what the transport
    /// reported keeps its errno.
    error_info error(phase doing, std::string_view peer = {}) const {
        switch (failure_) {
            case failure::none: return error_info{make_error_code(closed_ ? errc::closed : errc::end_of_stream), doing, peer};
            case failure::refused: return error_info{make_error_code(errc::tls_failure), doing, peer, refusal_.detail()};
            case failure::hung_up:
                return error_info{make_error_code(errc::tls_failure), doing, peer, "the peer closed the connection during the TLS handshake"};
            case failure::truncated: return error_info{make_error_code(errc::truncated), doing, peer};
            case failure::transport: return error_info::from_errno(input_error_, doing, peer);
            case failure::memory: break;
        }
        return error_info::from_errno(ENOMEM, doing, peer);
    }

    bool handshake_complete() const noexcept { return complete_; }
    bool close_called() const noexcept { return closed_; }
    /// Whether this engine has failed (or was truncated): only `out` is of use now.
    bool has_failed() const noexcept { return failure_ != failure::none; }
    /// For peer.hpp; nullptr before connect() or accept().
    ::tls* native() const noexcept { return context_ ? context_->native() : nullptr; }
    const hawser::detail::ref<context>& connection() const noexcept { return context_; }

private:
    enum class failure : unsigned char { none, refused, hung_up, truncated, transport, memory };

    // libtls asks for exactly one record header, then for exactly its body; 0 means that the transport has ended.
    static ssize_t take_input(::tls*, void* to, std::size_t room, void* self) noexcept {
        engine& e = *static_cast<engine*>(self);
        // A short answer is fine: libtls asks for the rest in the same call.
        const hawser::detail::slice<const std::byte> held = e.inbox_.empty() ? e.lent_ : e.inbox_.view();
        const std::size_t n = room < held.size() ? room : held.size();
        if (n > 0) {
            if (!e.first_seen_) {
                e.first_seen_ = true;
                e.plain_ = held.front() < std::byte{20} || held.front() > std::byte{23};
            }
            std::memcpy(to, held.data(), n);
            if (e.inbox_.empty()) e.lent_ = e.lent_.subspan(n);
            else e.inbox_.consume(n);
            return static_cast<ssize_t>(n);
        }
        if (!e.input_ended_) {
            e.starved_ = true;
            return TLS_WANT_POLLIN;
        }
        if (e.input_error_ == 0) {
            e.saw_end_ = true;
            return 0;
        }
        e.saw_error_ = true;
        errno = e.input_error_;
        return -1;
    }

    // Takes everything always: how much may wait is decided before libtls is called. So libtls never holds a record
    // back, and none of its rules about repeating a call with the same bytes applies.
    static ssize_t give_output(::tls*, const void* from, std::size_t size, void* self) noexcept {
        engine& e = *static_cast<engine*>(self);
        if (e.lost_output_ || !e.out_->append({static_cast<const std::byte*>(from), size})) {
            e.lost_output_ = true;
            errno = ENOMEM;
            return -1;
        }
        return static_cast<ssize_t>(size);
    }

    // What a call means that moved nothing; ok: call again. Our own flags decide, not libtls's value or text: these differ
    // between its implementations.
    status judge(ssize_t r, int& budget) noexcept {
        if (lost_output_) return latch(failure::memory);
        if (saw_error_) return latch(failure::transport);
        if (saw_end_) return latch(complete_ ? failure::truncated : failure::hung_up);
        if (r == TLS_WANT_POLLIN) {
            if (starved_) return status::starved;
            return --budget > 0 ? status::ok : status::again;
        }
        return latch(failure::refused);
    }

    status latch(failure reason) noexcept {
        failure_ = reason;
        if (reason == failure::refused) copy_words();
        drop_input();
        return failed();
    }
    status failed() const noexcept { return failure_ == failure::truncated ? status::truncated : status::failed; }

    void copy_words() noexcept {
        try {
            std::string words = context_->text();
            if (server_) {
                // libtls leaves the reason why a client's certificate was refused in the server's context.
                if (const std::string why = server_->take_error(); !why.empty()) words.append(words.empty() ? "" : ": ").append(why);
            }
            if (words.empty()) words = "libtls failed without a reason";
            if (plain_) {
                words += server_ ? " (the client does not speak TLS)" : " (the server does not speak TLS on this port)";
            } else if (!server_ && complete_ && !heard_) {
                // A TLS 1.3 server judges the client's certificate after the client's handshake is complete.
                const char* version = ::tls_conn_version(native());
                if (version && std::strcmp(version, "TLSv1.3") == 0) {
                    words += shows_certificate_ ? " (the server may have refused the client certificate)"
                                                 : " (the server may require a client certificate)";
                }
            }
            refusal_ = error_info{make_error_code(errc::tls_failure), phase::none, {}, words};
        } catch (...) {
            // Without memory the error has fewer words.
        }
    }

    bool deaf() const noexcept { return ended_ || failure_ != failure::none; }
    void drop_input() noexcept {
        lent_ = {};
        inbox_.clear();
    }

    [[no_unique_address]] one_of_many among_;  // first: at its end the rest is gone
    byte_queue* out_;
    hawser::detail::slice<const std::byte> lent_;
    byte_queue inbox_;
    hawser::detail::ref<server_context> server_;  // outlives context_
    hawser::detail::ref<context> context_;
    error_info refusal_ = error_info::none();  // with failure::refused: libtls's words, of which most connections have none
    int input_error_ = 0;
    failure failure_ = failure::none;
    bool input_ended_ = false;        // the transport has ended; libtls may not know yet
    bool saw_end_ = false;            // libtls was told: 0
    bool saw_error_ = false;          // libtls was told: -1
    bool starved_ = false;            // in this call libtls was told that there is no input
    bool idle_ = false;               // read() has nothing to give until more is fed
    bool lost_output_ = false;        // out had no memory for a record
    bool complete_ = false;
    bool ended_ = false;
    bool closed_ = false;
    bool heard_ = false;              // plaintext was received
    bool shows_certificate_ = false;
    bool first_seen_ = false;
    bool plain_ = false;              // the first byte received starts no TLS record
};

}  // namespace hawser::tls::detail
