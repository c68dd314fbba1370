#pragma once
// An IP address and a port.

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include <hawser/net/address.hpp>
#include <hawser/reactor/op.hpp>

namespace hawser {

namespace detail {

/// True unless the kernel was built or started without IPv6. Asked once: one socket(2).
inline bool has_ipv6() noexcept {
    static const bool yes = [] {
        const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0) ::close(fd);
        return fd >= 0 || (errno != EAFNOSUPPORT && errno != EPROTONOSUPPORT);
    }();
    return yes;
}

}  // namespace detail

/// Where a socket is or connects to. A trivially copyable value, ordered by address, then port; default 0.0.0.0:0.
class endpoint {
public:
    constexpr endpoint() noexcept = default;
    constexpr endpoint(const ip_address& address, std::uint16_t port) noexcept : address_{address}, port_{port} {}

    /// What a server binds to for all interfaces: [::], on which hawser's listeners take IPv4 too (IPV6_V6ONLY off), or
    /// 0.0.0.0 where there is no IPv6. Port 0 lets the kernel choose.
    static endpoint any(std::uint16_t port) noexcept {
        return {detail::has_ipv6() ? ip_address::any_v6() : ip_address::any_v4(), port};
    }
    /// 127.0.0.1: reachable from this machine only.
    static constexpr endpoint loopback(std::uint16_t port) noexcept { return {ip_address::loopback_v4(), port}; }

    /// Reads "192.0.2.1:80" or "[2001:db8::1%eth0]:443": the address as ip_address::parse does, in brackets if it is
    /// IPv6 (RFC 3986 section 3.2.2), and a decimal port from 0 to 65535. Names are for resolve(). Fails with
    /// errc::invalid_argument and a detail() that says what is wrong.
    static result<endpoint> parse(std::string_view text) {
        endpoint made;
        if (const char* wrong = read(text, made)) {
            return error_info{make_error_code(errc::invalid_argument), phase::none, {},
                              detail::quoted(text) + " is not an address with a port: " + wrong};
        }
        return made;
    }

    /// From what the socket calls give. Fails with errc::invalid_argument for families other than AF_INET and AF_INET6
    /// and for a `size` that is too small; the flow label of IPv6 is not kept.
    static result<endpoint> from_sockaddr(const sockaddr* address, socklen_t size) noexcept;

    constexpr const ip_address& address() const noexcept { return address_; }
    constexpr std::uint16_t port() const noexcept { return port_; }
    /// The same with another port.
    constexpr endpoint with_port(std::uint16_t port) const noexcept { return {address_, port}; }

    /// "192.0.2.1:80" or "[2001:db8::1]:443"; parse() reads it again.
    std::string to_string() const {
        std::string out;
        if (address_.is_v6()) out.append(1, '[').append(address_.to_string()).append(1, ']');
        else out = address_.to_string();
        return out.append(1, ':').append(std::to_string(port_));
    }

    friend constexpr std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept {
        const auto by_address = a.address_ <=> b.address_;
        return by_address != 0 ? by_address : a.port_ <=> b.port_;
    }
    friend constexpr bool operator==(const endpoint& a, const endpoint& b) noexcept { return (a <=> b) == 0; }

private:
    static const char* read(std::string_view text, endpoint& into) noexcept {
        const bool bracketed = text.starts_with('[');
        const std::size_t colon = bracketed ? text.find("]:") + (text.find("]:") != text.npos ? 1 : 0) : text.rfind(':');
        if (colon == text.npos) return bracketed ? "write [address]:port" : "write address:port";
        const std::string_view host = bracketed ? text.substr(1, colon - 2) : text.substr(0, colon);
        if (!bracketed && host.find(':') != host.npos) return "an IPv6 address stands in brackets: [address]:port";
        if (bracketed && host.find(':') == host.npos) return "only an IPv6 address stands in brackets";
        if (const char* wrong = detail::parse_ip(host, into.address_)) return wrong;
        std::uint32_t port = 0;
        if (!detail::parse_decimal(text.substr(colon + 1), 65535, port)) return "a port is a number from 0 to 65535";
        into.port_ = static_cast<std::uint16_t>(port);
        return nullptr;
    }

    ip_address address_;
    std::uint16_t port_ = 0;
};

namespace detail {

inline endpoint to_endpoint(const sockaddr_in& a) noexcept {
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &a.sin_addr, bytes.size());
    return {ip_address::v4(bytes), ntohs(a.sin_port)};
}

inline endpoint to_endpoint(const sockaddr_in6& a) noexcept {
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &a.sin6_addr, bytes.size());
    return {ip_address::v6(bytes, a.sin6_scope_id), ntohs(a.sin6_port)};
}

/// The endpoint in a socket address of the kernel; 0.0.0.0:0 for another family, such as the unnamed AF_UNIX peer.
inline endpoint to_endpoint(const raw_address& a) noexcept {
    if (a.any.sa_family == AF_INET) return to_endpoint(a.v4);
    if (a.any.sa_family == AF_INET6) return to_endpoint(a.v6);
    return {};
}

/// The socket address that bind(2) and connect(2) take.
inline raw_address to_raw(const endpoint& e) noexcept {
    raw_address raw;
    const auto bytes = bytes_of(e.address());
    if (e.address().is_v4()) {
        raw.v4.sin_family = AF_INET;
        raw.v4.sin_port = htons(e.port());
        std::memcpy(&raw.v4.sin_addr, bytes.data(), bytes.size());
        raw.size = sizeof raw.v4;
    } else {
        raw.v6.sin6_family = AF_INET6;
        raw.v6.sin6_port = htons(e.port());
        raw.v6.sin6_scope_id = e.address().scope_id();
        std::memcpy(&raw.v6.sin6_addr, bytes.data(), bytes.size());
        raw.size = sizeof raw.v6;
    }
    return raw;
}

}  // namespace detail

inline result<endpoint> endpoint::from_sockaddr(const sockaddr* address, socklen_t size) noexcept {
    // Copied out: the caller's memory need not be aligned for, or declared as, the type of its family.
    detail::raw_address raw;
    if (address && size >= sizeof(sa_family_t)) {
        std::memcpy(&raw.local, address, size < sizeof raw.local ? size : sizeof raw.local);
        if (raw.any.sa_family == AF_INET && size >= sizeof raw.v4) return detail::to_endpoint(raw);
        if (raw.any.sa_family == AF_INET6 && size >= sizeof raw.v6) return detail::to_endpoint(raw);
    }
    return errc::invalid_argument;
}

}  // namespace hawser
