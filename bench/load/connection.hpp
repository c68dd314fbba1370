#pragma once
// One connection to the server under test, TCP or TLS. It never waits: it is driven by what epoll says.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "tls_client.hpp"

namespace load {

/// Buffers that all connections share, because one is worked on at a time.
struct workshop {
    tls_client tls;
    std::vector<std::byte> received = std::vector<std::byte>(256 * 1024);
    std::vector<std::byte> plaintext = std::vector<std::byte>(16 * 1024);
};

class connection {
public:
    /// Starts to connect to 127.0.0.`host`, and puts itself into `epoll`, edge-triggered: an event says that there is something
    /// new, and then everything is taken, so that what is idle costs nothing.
    connection(workshop& in, int epoll, std::size_t index, unsigned host, std::uint16_t port, bool tls,
               ::SSL_SESSION* from_before = nullptr)
        : in_{in}, index_{index}, fd_{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)} {
        if (fd_ < 0) throw broken{because("socket", errno)};
        try {
            if (tls) tls_.emplace(in.tls, from_before);
            start(epoll, host, port);
        } catch (...) {
            ::close(fd_);
            throw;
        }
    }
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection() { ::close(fd_); }

    std::size_t index() const { return index_; }
    /// Connected, and the handshake done.
    bool ready() const { return step_ == step::ready; }
    /// The server has sent all it will send.
    bool ended() const { return ended_; }
    bool has_unsent() const { return !unsent_.empty(); }
    tls_session* tls() { return tls_ ? &*tls_ : nullptr; }

    /// From now on what comes is thrown away as it is, unread: TLS cannot be read any more after that, but still be written.
    void become_deaf() { deaf_ = true; }
    bool is_deaf() const { return deaf_; }

    /// Goes on after an event; calls received(span) with plaintext that came, and thrown_away(count) when deaf.
    /// Throws `broken`.
    template <class Received, class ThrownAway>
    void proceed(std::uint32_t events, Received&& received, ThrownAway&& thrown_away) {
        if (step_ == step::connecting) finish_connecting();
        if ((events & EPOLLOUT) != 0 && has_unsent()) send_unsent();
        if ((events & ~std::uint32_t{EPOLLOUT}) == 0) return;
        // The end, if it is there already, makes no further event.
        const bool to_the_end = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        std::size_t n = 0, asked = 0;
        do {
            asked = deaf_ ? std::size_t{1} << 30 : in_.received.size();
            n = receive(asked);
            if (n == 0) return;
            if (deaf_) thrown_away(n);
            else take(std::span{in_.received}.first(n), received);
        } while (to_the_end || n == asked);
    }
    template <class Received> void proceed(std::uint32_t events, Received&& received) {
        proceed(events, received, [](std::size_t) {});
    }

    /// Sends what it can and keeps the rest.
    void write(std::span<const std::byte> bytes) {
        if (!tls_) return send(bytes);
        in_.tls.output.clear();
        tls_->write(bytes);
        send(in_.tls.output);
    }

    /// Says that nothing will follow. The server will then end the connection.
    void say_goodbye() {
        if (step_ == step::ready && tls_) {
            in_.tls.output.clear();
            tls_->say_goodbye();
            send(in_.tls.output);
        }
        ::shutdown(fd_, SHUT_WR);
    }

private:
    enum class step { connecting, handshaking, ready };

    void start(int epoll, unsigned host, std::uint16_t port) {
        const int on = 1;
        if (::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) throw broken{because("TCP_NODELAY", errno)};
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl((INADDR_LOOPBACK & ~0xffu) + host);
        if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) {
            throw broken{because("cannot connect", errno)};
        }
        epoll_event wanted{};
        wanted.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
        wanted.data.ptr = this;
        if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd_, &wanted) != 0) throw broken{because("epoll_ctl", errno)};
    }

    void finish_connecting() {
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) throw broken{because("cannot connect", error)};
        step_ = tls_ ? step::handshaking : step::ready;
        if (tls_) take({}, [](std::span<const std::byte>) {});
    }

    template <class Received> void take(std::span<const std::byte> bytes, Received&& received) {
        if (!tls_) return received(bytes);
        in_.tls.input = bytes;
        in_.tls.output.clear();
        if (step_ == step::handshaking && tls_->handshake()) step_ = step::ready;
        if (step_ == step::ready) tls_->read(in_.plaintext, received);
        send(in_.tls.output);
    }

    /// 0: nothing there now.
    std::size_t receive(std::size_t size) {
        const ssize_t n = deaf_ ? ::recv(fd_, nullptr, size, MSG_TRUNC) : ::recv(fd_, in_.received.data(), size, 0);
        if (n > 0) return static_cast<std::size_t>(n);
        if (n == 0) ended_ = true;
        else if (errno != EAGAIN && errno != EINTR) throw broken{because("recv", errno)};
        return 0;
    }

    void send(std::span<const std::byte> bytes) {
        if (bytes.empty()) return;
        const std::size_t n = has_unsent() ? 0 : send_some(bytes);
        unsent_.insert(unsent_.end(), bytes.begin() + static_cast<std::ptrdiff_t>(n), bytes.end());
    }
    void send_unsent() {
        const std::size_t n = send_some(unsent_);
        unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(n));
    }
    /// How much the socket took. If that is less, there will be an event when there is room again.
    std::size_t send_some(std::span<const std::byte> bytes) {
        std::size_t done = 0;
        while (done < bytes.size()) {
            const ssize_t n = ::send(fd_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
            if (n < 0 && errno == EAGAIN) break;
            if (n < 0) throw broken{because("send", errno)};
            done += static_cast<std::size_t>(n);
        }
        return done;
    }

    workshop& in_;
    std::size_t index_;
    int fd_;
    step step_ = step::connecting;
    bool ended_ = false, deaf_ = false;
    std::optional<tls_session> tls_;
    std::vector<std::byte> unsent_;
};

}  // namespace load
