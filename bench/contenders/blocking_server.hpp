#pragma once
// A thread for each connection: what the blocking servers have in common, whatever their TLS.

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <span>
#include <system_error>
#include <thread>
#include <vector>

#include "../support/server_options.hpp"
#include "blocking_threads.hpp"
#include "empty_lines.hpp"
#include "sockets.hpp"

namespace blocking {

/// A TCP connection. A line over TLS has the same members.
class tcp_line {
public:
    explicit tcp_line(int fd) : fd_{fd} {}
    tcp_line(const tcp_line&) = delete;
    tcp_line& operator=(const tcp_line&) = delete;
    ~tcp_line() { ::close(fd_); }

    /// 0 at the end, or if the connection broke.
    std::size_t read(std::span<std::byte> into) {
        const ssize_t n = ::read(fd_, into.data(), into.size());
        return n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    /// All of it; false if the connection broke.
    bool write(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
            if (n <= 0) return false;
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        }
        return true;
    }

private:
    int fd_;
};

void echo(auto& line) {
    std::byte buffer[16384];
    while (const std::size_t n = line.read(buffer)) {
        if (!line.write(std::span{buffer}.first(n))) return;
    }
}

void hello(auto& line) {
    std::byte buffer[4096];
    empty_lines requests;
    std::string answers;
    while (const std::size_t n = line.read(buffer)) {
        answers.clear();
        for (std::size_t left = requests.in(std::span{buffer}.first(n)); left != 0; --left) answers += hello_response;
        if (!line.write(std::as_bytes(std::span{answers}))) return;
    }
}

/// False at the end of the line.
bool read_all(auto& line, std::span<std::byte> into) {
    while (!into.empty()) {
        const std::size_t n = line.read(into);
        if (n == 0) return false;
        into = into.subspan(n);
    }
    return true;
}

void bulk(auto& line) {
    bulk_request asked;
    std::vector<std::byte> block;
    while (read_all(line, std::as_writable_bytes(std::span{&asked, 1}))) {
        if (asked.block == 0) return;
        block.resize(asked.block);
        if (asked.both_ways != 0) {
            for (std::uint64_t i = 0; i < asked.total / asked.block; ++i) {
                if (!read_all(line, block) || !line.write(block)) return;
            }
        } else {
            for (std::uint64_t left = asked.total; left != 0;) {
                const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, block.size()));
                if (!line.write(std::span{block}.first(n))) return;
                left -= n;
            }
        }
    }
}

/// One of the modes over TLS.
void talk(const std::string& mode, auto& line) {
    if (mode == "tls-echo") echo(line);
    else if (mode == "tls-bulk") bulk(line);
    else hello(line);
}

/// Runs `talk(fd)` in a thread of its own for each connection, for ever.
template <class Talk> [[noreturn]] void serve(std::uint16_t port, Talk talk) {
    std::signal(SIGPIPE, SIG_IGN);
    use_small_stacks();
    const int door = sockets::listen_on(port);
    announce(sockets::port_of(door));
    for (;;) {
        const int fd = ::accept4(door, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR)) continue;
        if (fd < 0) sockets::die("accept");
        try {
            std::thread{talk, fd}.detach();
        } catch (const std::system_error& e) {
            std::fprintf(stderr, "cannot start a thread for a connection: %s\n", e.what());
            ::close(fd);
        }
    }
}

/// The mode without TLS.
[[noreturn]] inline void serve_tcp(std::uint16_t port) {
    serve(port, [](int fd) {
        tcp_line line{fd};
        echo(line);
    });
}

}  // namespace blocking
