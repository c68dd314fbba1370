#pragma once
// Sockets for tests: a connected pair of hawser's, and raw ones of a peer that does as it is told.

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ostream>  // for doctest, which prints error codes
#include <string>
#include <utility>

#include <hawser/coro/when_all.hpp>
#include <hawser/net/connect.hpp>
#include <hawser/net/tcp.hpp>
#include <hawser/reactor/run.hpp>

namespace hawser_test {

inline std::error_code system(int number) { return {number, std::system_category()}; }

/// Text that does not repeat.
inline std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    std::uint32_t x = 1;
    for (char& c : text) {
        x = x * 1664525 + 1013904223;
        c = static_cast<char>(x >> 24);
    }
    return text;
}

/// Two ends of one TCP connection over loopback; the first has connected, the second was accepted.
inline hawser::task<std::pair<hawser::tcp::stream, hawser::tcp::stream>> tcp_pair(hawser::connect_options near = {}, hawser::tcp::listen_options far = {}) {
    hawser::tcp::listener door{hawser::endpoint::loopback(0), far};
    auto both = co_await hawser::when_all(hawser::tcp::connect(door.local_endpoint(), near), door.accept());
    co_return std::pair{std::move(std::get<0>(both)), std::move(std::get<1>(both))};
}

/// A blocking socket. What it waits for must happen in the kernel, or on another thread.
class raw_socket {
public:
    explicit raw_socket(int fd) noexcept : fd_{fd} {}
    raw_socket(raw_socket&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    raw_socket& operator=(raw_socket&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~raw_socket() { close(); }

    static raw_socket connect(const hawser::endpoint& to) {
        const hawser::detail::raw_address a = hawser::detail::to_raw(to);
        raw_socket made{::socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        if (::connect(made.fd_, &a.any, a.size) != 0) std::abort();
        return made;
    }

    int fd() const noexcept { return fd_; }
    void close() noexcept {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    /// Closes with a reset.
    void reset() noexcept {
        const linger at_once{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close();
    }
    void send(std::string_view text) const {
        if (::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) std::abort();
    }
    void shutdown_send() const { ::shutdown(fd_, SHUT_WR); }
    /// What came, and how it ended: 0 is a FIN, ETIME two seconds of silence.
    struct ending {
        std::string text;
        int error = 0;
    };
    ending receive_end() const {
        ending got;
        char buffer[65536];
        pollfd ready{fd_, POLLIN, 0};
        while (::poll(&ready, 1, 2000) > 0) {
            const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
            if (n <= 0) return got.error = n == 0 ? 0 : errno, got;
            got.text.append(buffer, static_cast<std::size_t>(n));
        }
        got.error = ETIME;
        return got;
    }
    std::string receive_all() const { return receive_end().text; }

private:
    int fd_;
};

/// A stream whose other end is a raw socket.
struct raw_pair {
    hawser::tcp::stream line;
    raw_socket peer;
};
inline hawser::task<raw_pair> with_raw_peer(hawser::tcp::listen_options options = {}) {
    hawser::tcp::listener door{hawser::endpoint::loopback(0), options};
    raw_socket peer = raw_socket::connect(door.local_endpoint());
    auto line = co_await door.accept();
    co_return raw_pair{std::move(line), std::move(peer)};
}

}  // namespace hawser_test
