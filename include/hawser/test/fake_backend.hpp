#pragma once
// A backend without a system: the test scripts every completion, and time moves only when every task waits.

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <hawser/base/buffer.hpp>
#include <hawser/reactor/run.hpp>

namespace hawser::test {

/// Stands in for io_uring: `fake_backend io; run_on(io, task)`. Operations that are started wait in a list until the
/// script completes them. When every task waits, the next step of the script runs; when the script is over, time
/// jumps to the next timer; when there is none either, the test has a deadlock, which ends the process with a list of
/// what was waited for. Nothing here sleeps. Descriptors are only names; take them from descriptor().
class fake_backend final : public detail::backend {
public:
    /// A number that is no open descriptor, so that closing it harms nobody.
    static constexpr int descriptor(int n) noexcept { return 1'000'000 + n; }

    /// Adds a step: called, once, when every task waits.
    void when_idle(std::function<void()> step) { script_.push_back(std::move(step)); }

    /// The oldest operation of a kind (on `fd`, if it is given) that waits for its completion; nullptr if there is none.
    detail::op* find(detail::op_kind kind, int fd = -1) noexcept {
        detail::op* found = nullptr;
        started_.for_each([&](detail::op& o) {
            if (!found && o.kind == kind && (fd < 0 || o.fd == fd)) found = &o;
        });
        return found;
    }

    /// Completes `o` in the next wait, in the order of these calls. With `more` the operation goes on.
    void complete(detail::op& o, int result, const_buffer data = {}, bool more = false) {
        due_.push_back({&o, result, std::string{as_text(data)}, more});
        if (!more) o.unlink();
    }
    /// Bytes arrive on `fd`, at once or as soon as somebody receives there.
    void deliver(int fd, const_buffer data) {
        if (detail::op* o = find(detail::op_kind::receive, fd)) complete(*o, static_cast<int>(data.size()), data, true);
        else early_.push_back({fd, static_cast<int>(data.size()), std::string{as_text(data)}});
    }
    /// The peer of `fd` ends: FIN (0) or an errno.
    void end(int fd, int error_number = 0) {
        if (detail::op* o = find(detail::op_kind::receive, fd)) complete(*o, -error_number);
        else early_.push_back({fd, -error_number, {}});
    }

    /// Whether sends complete by themselves, at most so many bytes each; else the script completes them.
    bool sends_complete = true;
    std::size_t send_at_most = ~std::size_t{0};
    /// Whether cancel() is answered with -ECANCELED; else the script completes what was cancelled, as it likes.
    bool cancels_complete = true;
    /// Everything that was sent on `fd`.
    const std::string& sent(int fd) { return sent_of(fd).bytes; }
    /// Sends that were started on `fd`.
    std::size_t sends(int fd) { return sent_of(fd).count; }
    /// Turns that came here.
    std::size_t waits() const noexcept { return waits_; }
    void advance(duration d) noexcept { now_ += d; }

    void start(detail::op& o) noexcept override {
        o.active = true;
        o.cancelling = false;
        ++in_flight_;
        started_.push_back(o);
        if (o.kind == detail::op_kind::send) begin_send(static_cast<detail::send_op&>(o));
        if (o.kind == detail::op_kind::receive) deliver_early(o);
    }
    void cancel(detail::op& o) noexcept override {
        if (!o.active || o.cancelling) return;
        o.cancelling = true;
        if (cancels_complete && o.linked()) complete(o, -ECANCELED);
    }
    void wait(time_point until) noexcept override {
        ++waits_;
        while (due_.empty() && until != time_point::min()) {
            if (next_step_ < script_.size()) {
                script_[next_step_++]();
                if (hawser::reactor::current()->has_ready()) break;  // the step woke somebody by itself
            } else if (until != time_point::max()) {
                if (until > now_) now_ = until;
                break;
            } else {
                give_up();
            }
            if (until <= now_) break;
        }
        std::vector<entry> now_due;
        now_due.swap(due_);
        for (entry& e : now_due) hand_over(e);
    }
    std::size_t in_flight() const noexcept override { return in_flight_; }
    time_point now() const noexcept override { return now_; }
    const char* name() const noexcept override { return "fake"; }

private:
    struct entry {
        detail::op* o;
        int result;
        std::string data;
        bool more;
    };
    struct arrival {
        int fd;
        int result;
        std::string data;
    };
    struct sent_bytes {
        int fd;
        std::string bytes;
        std::size_t count = 0;
    };

    sent_bytes& sent_of(int fd) {
        for (sent_bytes& s : sent_) if (s.fd == fd) return s;
        return sent_.emplace_back(sent_bytes{fd, {}, 0});
    }
    void begin_send(detail::send_op& o) {
        ++sent_of(o.fd).count;
        if (!sends_complete) return;
        const std::size_t n = o.data.size() < send_at_most ? o.data.size() : send_at_most;
        complete(o, static_cast<int>(n));
    }
    void deliver_early(detail::op& o) {
        std::vector<arrival> kept;
        bool ended = false;
        for (arrival& a : early_) {
            if (a.fd != o.fd || ended) {
                kept.push_back(std::move(a));
                continue;
            }
            ended = a.result <= 0;
            complete(o, a.result, a.data, !ended);
        }
        early_.swap(kept);
    }
    void hand_over(entry& e) noexcept {
        detail::op& o = *e.o;
        if (o.kind == detail::op_kind::send && e.result > 0) {
            sent_of(o.fd).bytes += as_text(static_cast<detail::send_op&>(o).data.first(static_cast<std::size_t>(e.result)));
        }
        if (!e.more) {
            o.active = false;
            --in_flight_;
        }
        o.on_complete(o, {e.result, as_bytes(e.data), e.more});
    }
    static std::span<const std::byte> as_bytes(const std::string& s) noexcept {
        return {reinterpret_cast<const std::byte*>(s.data()), s.size()};
    }
    [[noreturn]] void give_up() noexcept {
        static constexpr const char* names[] = {"receive", "send", "accept", "connect", "poll"};
        std::fputs("hawser::test::fake_backend: every task waits, the script is over and no timer is set\n", stderr);
        started_.for_each([](detail::op& o) {
            std::fprintf(stderr, "  %s on descriptor %d%s\n", names[static_cast<int>(o.kind)], o.fd, o.cancelling ? ", cancelled" : "");
        });
        std::abort();
    }

    detail::list<detail::op> started_;
    std::vector<entry> due_;
    std::vector<arrival> early_;
    std::vector<sent_bytes> sent_;
    std::vector<std::function<void()>> script_;
    std::size_t next_step_ = 0, in_flight_ = 0, waits_ = 0;
    time_point now_{duration{1'000'000'000}};
};

/// Runs an awaitable to its end on `io`, as run() does on io_uring, and gives its value or throws what it threw.
template <awaitable Op>
    requires(!std::is_lvalue_reference_v<Op>)
await_result_t<Op> run_on(fake_backend& io, Op&& op) {
    detail::root<Op> root{std::move(op)};
    hawser::reactor loop{io};  // not test::reactor
    return root.run_on(loop).get();
}

}  // namespace hawser::test
