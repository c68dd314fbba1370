#pragma once
// The connections that `open` makes and `close` ends, all to one server.

#include <sys/resource.h>

#include <iterator>
#include <memory>

#include "clocks.hpp"
#include "connection.hpp"

namespace load {

/// Raises the limit of descriptors as far as it goes, and says where it is.
inline std::size_t descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) throw failure{because("getrlimit", errno)};
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) throw failure{because("setrlimit", errno)};
    return limit.rlim_cur;
}

/// Ports of one pair of addresses are fewer than 30,000: connections go to eight addresses of this machine in turn.
inline unsigned host_for(std::size_t index) { return 1 + static_cast<unsigned>(index % 8); }

/// An epoll that hands out connections.
class poller {
public:
    struct event {
        connection& on;
        std::uint32_t events;
    };

    poller() : fd_{::epoll_create1(EPOLL_CLOEXEC)} {
        if (fd_ < 0) throw failure{because("epoll_create1", errno)};
    }
    poller(const poller&) = delete;
    poller& operator=(const poller&) = delete;
    ~poller() { ::close(fd_); }

    int fd() const { return fd_; }
    /// Calls each(event) for what there is. How many. While nothing is measured it may wait for some milliseconds.
    template <class Each> int poll(Each&& each, int milliseconds = 0) {
        const int n = ::epoll_wait(fd_, events_, static_cast<int>(std::size(events_)), milliseconds);
        for (int i = 0; i < n; ++i) each(event{*static_cast<connection*>(events_[i].data.ptr), events_[i].events});
        return n;
    }

private:
    int fd_;
    epoll_event events_[256];
};

class connection_set {
public:
    connection_set(workshop& in, std::uint16_t port, pid_t pid, bool tls) : in_{in}, port_{port}, tls_{tls}, server_{pid} {}

    struct opening {
        std::size_t opened = 0, failed = 0;
        std::string first_error;
    };

    /// Opens so many, few of them at a time. Returns when none is on its way any more.
    opening open(std::size_t count) {
        constexpr std::size_t at_once = 32;
        opening so_far;
        all_.resize(count);
        std::size_t next = 0, pending = 0;
        const auto fails = [&](std::size_t i, const std::string& why) {
            if (so_far.failed++ == 0) so_far.first_error = why;
            all_[i].reset();
        };
        std::uint64_t last = now();
        const auto proceed = [&](poller::event at) {
            connection& c = at.on;
            const bool was_ready = c.ready();
            try {
                c.proceed(at.events, [](auto) {});
                if (c.ended()) throw broken{"the server closed the connection"};
            } catch (const broken& e) {
                --(was_ready ? so_far.opened : pending);
                return fails(c.index(), e.what());
            }
            if (was_ready || !c.ready()) return;
            --pending;
            ++so_far.opened;
            last = now();
        };
        while (pending > 0 || next < count) {
            if (so_far.opened == 0 && so_far.failed >= at_once) break;
            for (; next < count && pending < at_once; ++next) {
                try {
                    all_[next] = std::make_unique<connection>(in_, events_.fd(), next, host_for(next), port_, tls_);
                    ++pending;
                } catch (const broken& e) {
                    fails(next, e.what());
                }
            }
            events_.poll(proceed, 10);
            if (now() - last > 10 * second) {
                for (auto& c : all_) {
                    if (c && !c->ready()) fails(c->index(), "no answer for 10 s");
                }
                break;
            }
        }
        server_.settle();
        // Tickets; and it may have closed some.
        while (events_.poll(proceed) > 0) {
        }
        return so_far;
    }

    /// Says goodbye to the server and gives it time to end its side, so that it need not do so while others are measured.
    void close() {
        for (auto& c : all_) {
            try {
                if (c) c->say_goodbye();
            } catch (const broken&) {
                c.reset();
            }
        }
        const std::uint64_t start = now();
        while (alive() > 0 && now() - start < 2 * second) {
            events_.poll([&](poller::event at) {
                const std::size_t i = at.on.index();
                try {
                    at.on.proceed(at.events, [](auto) {});
                    if (at.on.ended()) all_[i].reset();
                } catch (const broken&) {
                    all_[i].reset();
                }
            }, 10);
        }
        all_.clear();
        server_.settle();
    }

    /// Closes all and opens as many again: those that became deaf can be used again then.
    void renew() {
        const std::size_t count = all_.size();
        close();
        const opening again = open(count);
        if (again.failed > 0) throw failure{"cannot open the connections again: " + again.first_error};
    }

    /// What is there now; see poller.
    template <class Each> int poll(Each&& each) { return events_.poll(each); }

    std::size_t size() const { return all_.size(); }
    /// Null: it broke.
    connection* at(std::size_t i) { return all_[i].get(); }
    void drop(std::size_t i) { all_[i].reset(); }
    std::size_t alive() const {
        std::size_t n = 0;
        for (const auto& c : all_) n += c != nullptr;
        return n;
    }
    bool deaf() const {
        for (const auto& c : all_) {
            if (c && c->is_deaf()) return true;
        }
        return false;
    }
    bool tls() const { return tls_; }
    const server_process& server() const { return server_; }

private:
    workshop& in_;
    std::uint16_t port_;
    bool tls_;
    server_process server_;
    poller events_;
    std::vector<std::unique_ptr<connection>> all_;
};

}  // namespace load
