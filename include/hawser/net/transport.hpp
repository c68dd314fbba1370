#pragma once
// What carries the bytes of a stream, as the layer above sees it: one virtual call per kernel operation.

#include <string>

#include <hawser/base/byte_queue.hpp>
#include <hawser/base/defaults.hpp>
#include <hawser/reactor/reactor.hpp>

namespace hawser::detail {

/// So many bytes are worth a send of their own at once. One TLS record more still fits a send buffer; larger ones would
/// not be recycled.
inline constexpr std::size_t send_mark = defaults::send_buffer_limit - (std::size_t{17} << 10);

/// So much that was received and not read is enough: with the next piece it still fits a buffer that is recycled.
inline constexpr std::size_t receive_mark = defaults::receive_buffer_limit - receive_piece;

/// The layer above a transport. Its functions are called from completions: they fill, mark and make ready.
class transport_sink {
public:
    /// Bytes have come; they are lent for the call and must all be taken.
    virtual void on_bytes(slice<const std::byte> bytes) noexcept = 0;
    /// No more will come: the peer's proper end (0), or an errno.
    virtual void on_end(int error) noexcept = 0;
    /// The kernel has taken some of what was being sent; there may be room for more.
    virtual void on_room() noexcept = 0;
    /// Sending failed with an errno and will not work again.
    virtual void on_send_error(int error) noexcept = 0;
    /// The reactor has ended.
    virtual void on_gone() noexcept = 0;

protected:
    ~transport_sink() = default;
};

/// A connected, reliable, ordered carrier of bytes on one reactor.
class transport : public ref_counted {
public:
    explicit transport(reactor& loop) noexcept : loop_{&loop} {}

    void attach(transport_sink* sink) noexcept { sink_ = sink; }
    /// The reactor it belongs to; nullptr when that has ended.
    reactor* loop() const noexcept { return loop_; }

    /// Bytes come to the sink from now on, until pause() or the end.
    virtual void receive() noexcept = 0;
    /// Bytes may stop coming; those on their way still do.
    virtual void pause() noexcept = 0;

    /// Bytes to send are appended here; commit() then sends them with the others of this turn.
    byte_queue& out() noexcept { return filling_; }
    virtual void commit() noexcept = 0;
    /// Bytes that were appended and not yet taken by the kernel.
    virtual std::size_t unsent() const noexcept = 0;

    /// Ends the sending direction once everything was sent.
    virtual void shutdown_send() noexcept = 0;

    /// The sink lets go: what was committed is still sent, within defaults::close_timeout; then it is closed.
    virtual void release() noexcept = 0;
    /// The sink lets go, and what was not sent is dropped.
    virtual void abort() noexcept = 0;

    /// "example.org (192.0.2.1:443)", for messages.
    virtual std::string peer() const = 0;
    virtual int native_handle() const noexcept { return -1; }

protected:
    ~transport() override = default;

    reactor* loop_;
    transport_sink* sink_ = nullptr;
    byte_queue filling_;
};

/// A transport that another layer has read from: what it received and did not read, and whether the end came after that.
struct taken_transport {
    ref<transport> carrier;
    byte_queue unread{};
    bool ended = false;
    int end_error = 0;  // with `ended`: 0 is the peer's proper end
};

}  // namespace hawser::detail
