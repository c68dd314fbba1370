#pragma once
// any_stream: what every stream of the library is, and what code that does not care which one takes by reference.

#include <initializer_list>

#include <hawser/net/stream_operations.hpp>

namespace hawser {

/// A move-only handle to a stream: TCP, TLS, memory, or a user's own. tcp::stream, tls::stream and the others derive
/// from it and add no state, so each of them converts to an any_stream by reference or by move.
///
/// It belongs to the reactor (and thread) on which it was made. One task may read while another writes; a second
/// operation in the same direction gets errc::busy and leaves the first undisturbed. It may be moved, and even
/// destroyed, while operations wait on it: destroyed without close(), what write() had accepted is still sent, within
/// defaults::close_timeout, without a TLS close_notify, so that the peer sees a cut message as cut.
class any_stream {
public:
    any_stream() noexcept = default;
    any_stream(any_stream&&) noexcept = default;
    any_stream& operator=(any_stream&& other) noexcept {
        if (this != &other) {
            release();
            core_ = std::move(other.core_);
        }
        return *this;
    }
    ~any_stream() { release(); }

    /// False for a default-constructed, moved-from or closed stream.
    bool is_open() const noexcept { return core_ && !core_->closed(); }
    explicit operator bool() const noexcept { return is_open(); }

    /// Reads what is there, at least one byte, into `into`, which must live until the await ends. Gives the number of
    /// bytes; 0 is the peer's proper end (FIN on TCP, close_notify on TLS) and nothing else. Throws errc::truncated
    /// where a TLS stream ends without it, std::system_category() errors, errc::busy, closed, and invalid_argument for
    /// an empty buffer. Cancellation loses nothing: bytes that came are given, or stay for the next read. Costs no
    /// allocation and no system call of its own.
    [[nodiscard]] auto read_some(mutable_buffer into) noexcept { return detail::read_operation{core_.get(), into}; }

    /// Lends the next bytes, at most defaults::lent_buffer_size: `while (auto chunk = co_await s.read()) use(*chunk);`.
    /// The bytes are valid until the next read() or close of this stream. An empty optional is the proper end. A reader
    /// that waits holds no buffer. Otherwise as read_some.
    [[nodiscard]] auto read() noexcept { return detail::lend_operation{core_.get()}; }

    /// Writes all pieces (strings, literals, contiguous bytes), which must live until the await ends; gathered, small
    /// ones share a TLS record. Ends when they are accepted, which is at once below defaults::send_buffer_limit; one
    /// send per turn of the loop carries what all writes of the turn have left. Gives the number of bytes. An error's
    /// transferred() says how many were accepted; they are sent whole. A send that fails later is reported by the
    /// next write, flush or close. Throws errc::timed_out when the peer takes nothing for set_write_timeout().
    template <class... Pieces>
        requires(sizeof...(Pieces) > 0 && (std::is_convertible_v<const Pieces&, const_buffer> && ...))
    [[nodiscard]] auto write(const Pieces&... pieces) noexcept {
        return detail::write_operation<sizeof...(Pieces)>{core_.get(), {const_buffer{pieces}...}};
    }
    template <class T = void> auto write(std::initializer_list<const_buffer>) noexcept {
        static_assert(!std::is_void_v<T>, "write takes its pieces one by one: write(a, b, c), without the braces");
    }

    /// Ends when the kernel has taken everything that was written. Throws errc::timed_out when the peer takes nothing for
    /// set_write_timeout().
    [[nodiscard]] auto flush() noexcept { return detail::flush_operation{core_.get()}; }

    /// Half-close: flushes and says to the peer that nothing more comes (close_notify, FIN). Reading goes on. Later writes
    /// get errc::closed. Ends when the kernel has taken everything.
    template <class = void> [[nodiscard]] operation<void> shutdown_send() { return detail::shutdown_stream(core_); }

    /// Flushes, says the end (close_notify, FIN), waits for the peer's end for at most `limit`, and closes. Idempotent.
    /// Operations that wait get errc::closed at once. Throws errc::timed_out when the peer did not take what was
    /// written; a peer that merely does not say its own end in time is no error. If the task is stopped meanwhile,
    /// what was written is still sent in the background, within defaults::close_timeout.
    template <class = void> [[nodiscard]] operation<void> close(duration limit = defaults::close_timeout) { return detail::close_stream(core_, limit); }

    /// How long a write, or a flush, may wait without any progress before it fails with errc::timed_out; zero or less: for ever.
    void set_write_timeout(duration limit) noexcept {
        if (core_) core_->write_timeout = limit;
    }
    /// Bytes accepted by write() and not yet taken by the kernel.
    std::size_t unsent() const noexcept { return core_ ? core_->carrier().unsent() : 0; }
    /// The peer for messages: "example.org (192.0.2.1:443)".
    std::string peer_name() const { return core_ ? core_->carrier().peer() : std::string{}; }
    /// The descriptor below, or -1. For getsockopt(2) and the like; do not read, write or close it.
    int native_handle() const noexcept { return core_ ? core_->carrier().native_handle() : -1; }

    /// For the layers above and for streams of one's own.
    explicit any_stream(detail::ref<detail::stream_core> core) noexcept : core_{std::move(core)} {}
    const detail::ref<detail::stream_core>& core() const noexcept { return core_; }

private:
    void release() noexcept {
        if (core_ && !core_->closed()) {
            if (core_->loop() && core_->loop() != reactor::current()) {
                detail::misuse("a stream was destroyed on another thread than its reactor's: let the task that uses it own it, or "
                               "destroy it by reactor_handle::post()");
            }
            core_->begin_close();
            core_->carrier().release();
        }
        core_ = {};
    }
    detail::ref<detail::stream_core> core_;
};

}  // namespace hawser
