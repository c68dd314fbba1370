#pragma once
// What a reactor asks of the system: operations, waiting, and the time. io_uring is one backend, a script another.

#include <unistd.h>

#include <hawser/base/clock.hpp>
#include <hawser/reactor/op.hpp>

namespace hawser::detail {

class backend {
public:
    backend() = default;
    backend(const backend&) = delete;
    backend& operator=(const backend&) = delete;
    virtual ~backend() = default;

    /// Takes `o` until its last completion. Never fails and never completes inside: whatever goes wrong is a completion.
    virtual void start(op& o) noexcept = 0;

    /// Asks for an early end. The operation still completes: with what it had done, or with -ECANCELED.
    virtual void cancel(op& o) noexcept = 0;

    /// Hands everything started to the system, waits until something completes or `until` has come (a time in the
    /// past: does not wait), and calls the completion functions of what has completed.
    virtual void wait(time_point until) noexcept = 0;

    /// Operations started and not finished.
    virtual std::size_t in_flight() const noexcept = 0;

    virtual time_point now() const noexcept = 0;

    /// Says to the peer of a connected descriptor that nothing more comes after what was sent.
    virtual void shutdown_send(int fd) noexcept { ::shutdown(fd, SHUT_WR); }
    /// Closes a connected descriptor on which no operation is in flight. `cut`: not all of what was to be sent was; the peer
    /// sees a reset then, and takes what it has for no whole.
    virtual void close(int fd, bool cut) noexcept {
        const linger reset{1, 0};
        if (cut) ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        ::close(fd);
    }

    /// "io_uring", or what takes its place.
    virtual const char* name() const noexcept = 0;
};

}  // namespace hawser::detail
