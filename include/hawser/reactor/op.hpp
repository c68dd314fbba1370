#pragma once
// The kernel operations that a backend performs, as plain records that live in whoever started them.

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>

#include <hawser/base/intrusive.hpp>
#include <hawser/base/slice.hpp>

namespace hawser::detail {

enum class op_kind : unsigned char { receive, send, accept, connect, poll };

/// What the backend reports of an operation.
struct completion {
    int result;                   ///< bytes, a descriptor or poll events; -errno on failure
    slice<const std::byte> data;  ///< receive: the bytes, lent until the completion function returns
    bool more;                    ///< the operation goes on and will report again
};

/// One operation. It belongs to the backend from start() to its last completion; then to its owner again, and the
/// backend does not touch it after that. `on_complete` must not resume coroutines; it may start operations.
struct op : list_node {
    explicit op(op_kind k) noexcept : kind{k} {}
    op(const op&) = delete;
    op& operator=(const op&) = delete;

    void (*on_complete)(op&, const completion&) noexcept = nullptr;
    int fd = -1;
    const op_kind kind;
    bool active = false;      ///< started and not finished; kept by the backend
    bool cancelling = false;  ///< cancel() was called; it will finish soon
};

/// What a receive asks for that does not use shared buffers.
inline constexpr std::size_t receive_piece = std::size_t{64} << 10;

/// Receives from a stream socket until cancelled, the end (result 0) or an error, into the backend's buffers.
struct receive_op : op {
    receive_op() noexcept : op{op_kind::receive} {}
    /// More comes than is read. A multishot receive may fill all shared buffers before it can be cancelled; this one asks
    /// the kernel once for each piece. The backend takes it back when it has received all there was.
    bool piecewise = false;
};

/// Sends `data`, all of it where the kernel can; the result says how much.
struct send_op : op {
    send_op() noexcept : op{op_kind::send} {}
    slice<const std::byte> data;
};

/// A socket address of any family that hawser uses.
struct raw_address {
    union {
        sockaddr any;
        sockaddr_in v4;
        sockaddr_in6 v6;
        sockaddr_un local;
    };
    socklen_t size = 0;

    raw_address() noexcept : local{} {}
};

/// Accepts one connection; the new descriptor is the result and `peer` its address.
struct accept_op : op {
    accept_op() noexcept : op{op_kind::accept} {}
    raw_address peer;
};

struct connect_op : op {
    connect_op() noexcept : op{op_kind::connect} {}
    raw_address peer;
};

/// Waits once until one of `events` (POLLIN, ...) holds.
struct poll_op : op {
    poll_op() noexcept : op{op_kind::poll} {}
    short events = 0;
};

}  // namespace hawser::detail
