#pragma once
// What these programs need of the system besides hawser.

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <hawser/hawser.hpp>

/// Owns a file descriptor. Files are read and written with plain, blocking calls: from the page cache that is quick, but
/// a slow disk stops every task of the thread. A server that minds gives them to threads of its own.
class descriptor {
public:
    descriptor() = default;
    explicit descriptor(int fd) noexcept : fd_{fd} {}
    descriptor(descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    descriptor& operator=(descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    int get() const noexcept { return fd_; }

private:
    int fd_ = -1;
};

[[noreturn]] inline void throw_errno(const std::string& what) { throw std::system_error{errno, std::system_category(), what}; }

/// Writes all of it.
inline void write_file(const descriptor& to, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(to.get(), bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno("write");
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

/// Reads up to `room` bytes; 0 is the end of the file.
inline std::size_t read_file(const descriptor& from, std::span<std::byte> room) {
    for (;;) {
        const ssize_t n = ::read(from.get(), room.data(), room.size());
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno != EINTR) throw_errno("read");
    }
}

/// Prints, each time that SIGQUIT comes (Ctrl-\ on a terminal), what every task of this thread waits for.
inline hawser::task<> dump_tasks_on_quit() {
    for (;;) {
        co_await hawser::next_signal(SIGQUIT);
        hawser::dump_tasks(stderr);
    }
}

/// Runs `program`; SIGQUIT shows its tasks meanwhile instead of ending the process.
template <class T> hawser::task<T> with_task_dumps(hawser::task<T> program) {
    auto both = [&program](hawser::scope& all) -> hawser::task<T> {
        all.spawn(dump_tasks_on_quit);
        if constexpr (std::is_void_v<T>) {
            co_await std::move(program);
            all.request_stop();
        } else {
            T value = co_await std::move(program);
            all.request_stop();
            co_return value;
        }
    };
    co_return co_await hawser::with_scope(both);
}

/// As many connections as the system lets this process have; the limit that shells give by default is often 1024.
inline void raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}
