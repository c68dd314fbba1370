#pragma once
// What the contenders without a library share: a listening socket, and how to give up.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace sockets {

/// Without cleaning up: other threads may still be at work.
[[noreturn]] inline void die(const std::string& what, int error_number = errno) {
    std::fprintf(stderr, "%s: %s\n", what.c_str(), std::strerror(error_number));
    std::_Exit(1);
}

inline int listen_on(std::uint16_t port) {
    const int door = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (door < 0) die("socket");
    const int on = 1;
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(port);
    if (::setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) die("setsockopt SO_REUSEADDR");
    // What is accepted inherits it.
    if (::setsockopt(door, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) die("setsockopt TCP_NODELAY");
    if (::bind(door, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) die("bind to port " + std::to_string(port));
    if (::listen(door, 4096) != 0) die("listen");
    return door;
}

inline std::uint16_t port_of(int door) {
    sockaddr_in here{};
    socklen_t size = sizeof here;
    if (::getsockname(door, reinterpret_cast<sockaddr*>(&here), &size) != 0) die("getsockname");
    return ntohs(here.sin_port);
}

/// A socket that is still to be connected.
inline int open_socket() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    const int on = 1;
    if (::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) die("setsockopt TCP_NODELAY");
    return fd;
}

inline sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in there{};
    there.sin_family = AF_INET;
    there.sin_port = htons(port);
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return there;
}

}  // namespace sockets
