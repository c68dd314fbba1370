#pragma once
// Descriptors, and the options that users set on them.

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>

#include <hawser/base/defaults.hpp>
#include <hawser/net/endpoint.hpp>

namespace hawser {

/// Options of a TCP socket. Zero leaves the kernel's own value.
struct socket_options {
    bool nodelay = true;          ///< TCP_NODELAY: hawser gathers writes itself
    bool keepalive = false;       ///< SO_KEEPALIVE
    duration keepalive_idle{};    ///< TCP_KEEPIDLE, whole seconds
    duration keepalive_interval{};  ///< TCP_KEEPINTVL, whole seconds
    int keepalive_probes = 0;     ///< TCP_KEEPCNT
    int send_buffer = 0;          ///< SO_SNDBUF in bytes, before connect or listen; the kernel doubles it
    int receive_buffer = 0;       ///< SO_RCVBUF in bytes
};
static_assert(std::is_trivially_destructible_v<socket_options>);

namespace detail {

/// Owns a descriptor.
class unique_fd {
public:
    unique_fd() noexcept = default;
    explicit unique_fd(int fd) noexcept : fd_{fd} {}
    unique_fd(unique_fd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    unique_fd& operator=(unique_fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~unique_fd() { reset(); }
    int get() const noexcept { return fd_; }
    int release() noexcept { return std::exchange(fd_, -1); }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    void reset() noexcept {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }

private:
    int fd_ = -1;
};

/// The first option that failed is named; the rest are not tried.
class option_setter {
public:
    explicit option_setter(int fd) noexcept : fd_{fd} {}
    void set(int level, int option, int value, const char* name) noexcept {
        if (failed_ || ::setsockopt(fd_, level, option, &value, sizeof value) == 0) return;
        failed_ = name;
        number_ = errno;
    }
    result<void> ended(phase doing, std::string_view peer) const {
        if (!failed_) return {};
        return error_info::from_errno(number_, doing, peer, failed_);
    }

private:
    int fd_;
    const char* failed_ = nullptr;
    int number_ = 0;
};

inline int whole_seconds(duration d) noexcept { return static_cast<int>((d.count() + 999'999'999) / 1'000'000'000); }

inline result<void> apply(const socket_options& o, int fd, phase doing, std::string_view peer) {
    option_setter to{fd};
    if (o.nodelay) to.set(IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
    if (o.keepalive) to.set(SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
    if (o.keepalive_idle > duration::zero()) to.set(IPPROTO_TCP, TCP_KEEPIDLE, whole_seconds(o.keepalive_idle), "TCP_KEEPIDLE");
    if (o.keepalive_interval > duration::zero()) to.set(IPPROTO_TCP, TCP_KEEPINTVL, whole_seconds(o.keepalive_interval), "TCP_KEEPINTVL");
    if (o.keepalive_probes > 0) to.set(IPPROTO_TCP, TCP_KEEPCNT, o.keepalive_probes, "TCP_KEEPCNT");
    if (o.send_buffer > 0) to.set(SOL_SOCKET, SO_SNDBUF, o.send_buffer, "SO_SNDBUF");
    if (o.receive_buffer > 0) to.set(SOL_SOCKET, SO_RCVBUF, o.receive_buffer, "SO_RCVBUF");
    return to.ended(doing, peer);
}

/// The address that getsockname(2) or getpeername(2) tells, or 0.0.0.0:0.
template <class Get> endpoint endpoint_of(int fd, Get get) noexcept {
    raw_address raw;
    raw.size = sizeof raw.local;
    if (get(fd, &raw.any, &raw.size) != 0) return {};
    auto found = endpoint::from_sockaddr(&raw.any, raw.size);
    return found ? *found : endpoint{};
}

}  // namespace detail
}  // namespace hawser
