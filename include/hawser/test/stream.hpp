#pragma once
// Connected streams in memory, and what can go wrong with the line between them.

#include <hawser/net/plain_core.hpp>
#include <hawser/net/tcp_transport.hpp>
#include <hawser/stream/stream.hpp>
#include <hawser/test/reactor.hpp>

namespace hawser::test {

/// A number of bytes, of any integer type.
class byte_count {
public:
    template <std::integral N> byte_count(N n) noexcept : count_{static_cast<std::uint64_t>(n)} {
        if constexpr (std::is_signed_v<N>) negative_ = n < 0;
    }
    std::uint64_t count() const noexcept { return count_; }
    bool negative() const noexcept { return negative_; }

private:
    std::uint64_t count_;
    bool negative_ = false;
};

/// Faults of a line, set on one end: each acts on what THAT end sends, and so is seen by its peer. A copy controls the
/// same end, also after the stream was moved into a TLS handshake or destroyed: `test::faults line = far;`. Setters may
/// be called before and during run(), on the reactor's thread; what was sent before a call goes its way. They throw
/// errc::invalid_argument for what makes no sense, and do nothing when the test::reactor has ended. Byte counts are of the
/// bytes sent after the call: for a TLS stream, of ciphertext.
class faults {
public:
    faults() noexcept = default;

    /// Latency: what is sent arrives so much later.
    void delay(duration latency) { line("delay", latency).delay = latency; }
    /// Each piece takes up to so much longer, by the seed; the bytes stay in order.
    void jitter(duration most) { line("jitter", most).jitter = most; }
    /// The peer receives pieces of 1 to `max_piece` bytes, by the seed, one per turn of the loop.
    void cut(byte_count max_piece) { line("cut", max_piece, "a piece has at least one byte").max_piece = max_piece.count(); }
    /// The line carries so many bytes each second, at most 8,000,000,000 or `unlimited`, in packets of 1460.
    void bandwidth(byte_count bytes_per_second) {
        const std::uint64_t n = bytes_per_second.count();
        if (n > 8'000'000'000 && n != unlimited) refuse("bandwidth: more than 8,000,000,000 bytes per second; say test::unlimited");
        line("bandwidth", bytes_per_second, "at 0 bytes per second nothing arrives, that is stall()").set_bandwidth(n);
    }
    /// So many bytes may be on their way, or received by the system and not yet by the peer's program, before a send has
    /// to wait; 64 KiB unless it is set.
    void window(byte_count bytes) { line("window", bytes, "nothing could be sent through 0 bytes").window = bytes.count(); }

    /// After `bytes` more bytes the peer sees the end (FIN), and the rest vanishes: sending goes on to succeed.
    void truncate_after(byte_count bytes) { line("truncate_after", bytes).truncate_after(bytes.count()); }
    /// The same from a time on.
    void truncate_after(duration from_now) { line("truncate_after", from_now).truncate_at(after(from_now)); }
    /// After `bytes` more bytes the connection is reset: the peer receives those bytes and then ECONNRESET; sending and
    /// receiving at this end fail at once.
    void reset_after(byte_count bytes) { line("reset_after", bytes).reset_after(bytes.count()); }
    /// So long from now the connection is reset, at both ends at once. What had arrived can still be read; what was on its
    /// way, in either direction, is lost.
    void reset_after(duration from_now) { line("reset_after", from_now).reset_at(after(from_now)); }
    /// What is sent from now on does not arrive, until resume(); sending goes on until the window is full.
    void stall() { line("stall", duration::zero()).stall_after(0); }
    /// The same after `bytes` more bytes.
    void stall_after(byte_count bytes) { line("stall_after", bytes).stall_after(bytes.count()); }
    /// Sends on its way what a stall held back.
    void resume() { line("resume", duration::zero()).resume(); }

protected:
    explicit faults(std::shared_ptr<hawser::detail::simulated_socket> end) noexcept : socket_{std::move(end)} {}

private:
    hawser::detail::simulated_socket& line(const char* what, duration d) const {
        if (d < duration::zero()) refuse(std::string{what} + ": a negative time");
        if (!socket_) refuse(std::string{what} + ": this stream is not connected");
        return *socket_;
    }
    /// `zero` says what is wrong with 0, if anything.
    hawser::detail::simulated_socket& line(const char* what, byte_count n, const char* zero = nullptr) const {
        if (n.negative()) refuse(std::string{what} + ": a negative number of bytes");
        if (zero && n.count() == 0) refuse(std::string{what} + ": " + zero);
        return line(what, duration::zero());
    }
    time_point after(duration d) const noexcept { return deadline_after(socket_->now(), d); }
    [[noreturn]] static void refuse(const std::string& why) {
        throw error{error_info{make_error_code(errc::invalid_argument), phase::setup, {}, why}};
    }

    std::shared_ptr<hawser::detail::simulated_socket> socket_;
};

/// One end of a connection in memory, with the behaviour of TCP. What it does is any_stream's, done by the same code as
/// for sockets; get a pair from stream_pair().
class stream : public any_stream, public faults {
public:
    stream() noexcept = default;

private:
    friend std::pair<stream, stream> stream_pair(reactor& on);
    using end_of_line = std::shared_ptr<hawser::detail::simulated_socket>;
    stream(hawser::reactor& loop, end_of_line end, const endpoint& peer, const char* peer_name)
        : any_stream{make(loop, end->fd(), peer, peer_name)}, faults{std::move(end)} {}
    static any_stream make(hawser::reactor& loop, int fd, const endpoint& peer, const char* peer_name) {
        using namespace hawser::detail;
        ref<transport> carrier{new tcp_transport{loop, unique_fd{fd}, peer, peer_name}};
        return any_stream{ref<stream_core>{new plain_core{std::move(carrier)}}};
    }
};
static_assert(hawser::stream<stream>);

/// Two ends of a new connection: `auto [near, far] = test::stream_pair(r);`. They call each other "near" and "far" in
/// messages, at 192.0.2.1 and 192.0.2.2.
inline std::pair<stream, stream> stream_pair(reactor& on) {
    const std::size_t first = on.io().make_pair();
    const auto port = static_cast<std::uint16_t>(first / 2 + 1);
    const auto address = [&](std::uint8_t last) { return endpoint{ip_address::v4({192, 0, 2, last}), port}; };
    return {stream{on.loop(), on.io().socket(first), address(2), "far"},
            stream{on.loop(), on.io().socket(first + 1), address(1), "near"}};
}

}  // namespace hawser::test
