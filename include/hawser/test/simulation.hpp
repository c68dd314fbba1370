#pragma once
// A backend without a system: connections in memory, a clock that jumps, and every choice drawn from one seed.

#include <poll.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <hawser/reactor/dump_tasks.hpp>
#include <hawser/test/event_log.hpp>
#include <hawser/test/reactor_options.hpp>
#include <hawser/test/simulated_socket.hpp>

namespace hawser::detail {

/// Behaves as the io_uring backend does, as far as its users can tell.
class simulation final : public backend {
public:
    explicit simulation(const test::reactor_options& options) : options_{options}, random_{options.seed}, log_{options.trace} {}
    ~simulation() override {
        for (auto& s : sockets_) s->detach();
    }

    /// Connects two sockets and gives the first; the second is its descriptor + 1.
    std::size_t make_pair() {
        const std::size_t first = sockets_.size();
        const std::string number = std::to_string(first / 2 + 1);
        for (const char* name : {"near end ", "far end "}) {
            sockets_.push_back(std::make_shared<simulated_socket>(now_, random_, descriptor(sockets_.size()), name + number));
        }
        sockets_[first]->connect_to(*sockets_[first + 1]);
        sockets_[first + 1]->connect_to(*sockets_[first]);
        return first;
    }
    const std::shared_ptr<simulated_socket>& socket(std::size_t index) const noexcept { return sockets_[index]; }

    /// From now on a deadlock or an exceeded limit requests a stop here and is kept for failure().
    void begin_run(stop_source& stop) noexcept {
        stop_ = &stop;
        failure_ = error_info::none();
        began_ = now_;
        turns_ = 0;
    }
    void end_run() noexcept {
        stop_ = nullptr;
        turns_ = 0;
    }
    const error_info& failure() const noexcept { return failure_; }

    duration elapsed() const noexcept { return now_ - epoch; }
    const event_log& log() const noexcept { return log_; }
    const test::reactor_options& options() const noexcept { return options_; }

    void start(op& o) noexcept override {
        o.active = true;
        o.cancelling = false;
        ++in_flight_;
        started_.push_back(o);
        if (o.kind != op_kind::receive && o.kind != op_kind::send) return;
        flow* f = flow_of(o.fd);
        if (!f) return;
        op*& mine = o.kind == op_kind::receive ? f->receiver : f->sender;
        if (mine) misuse("two operations of one direction at once on", o.fd);
        mine = &o;
        if (o.kind != op_kind::send) return;
        const std::size_t all = static_cast<send_op&>(o).data.size();
        f->sent = 0;
        f->goal = options_.vary && all > 1 && random_.one_in(4) ? static_cast<std::size_t>(random_.between(1, all)) : all;
    }
    void cancel(op& o) noexcept override {
        if (!o.active || o.cancelling) return;
        o.cancelling = true;
        // What a send has not done when the cancel comes it does not do, or still does.
        flow* f = o.kind == op_kind::send ? flow_of(o.fd) : nullptr;
        if (f && options_.vary && random_.one_in(2)) f->goal = f->sent;
    }
    void wait(time_point until) noexcept override {
        if (++turns_ > options_.turn_limit || (failure_ && turns_ > unwinding_turns)) {
            give_up(errc::limit_exceeded, "it took more than " + std::to_string(turns_ - 1) +
                                              " turns of the loop (reactor_options::turn_limit): does a task spin?");
        }
        for (;;) {
            carry();
            if (deliver(until > now_) || until <= now_) return;
            time_point next = until;
            for (auto& s : sockets_) if (s->next_event() < next) next = s->next_event();
            if (next == time_point::max()) {
                if (await_descriptors()) continue;
                return give_up(std::error_code{EDEADLK, std::system_category()},
                               "every task waits, nothing is on its way, and no timer is set");
            }
            if (stop_ && next - began_ > options_.time_limit) {
                return give_up(errc::limit_exceeded, "more virtual time would pass than reactor_options::time_limit allows");
            }
            now_ = next;
            log_.time_passed(elapsed());
        }
    }
    void shutdown_send(int fd) noexcept override {
        if (simulated_socket* s = socket_of(fd)) s->shut_down();
        else backend::shutdown_send(fd);
    }
    void close(int fd, bool cut) noexcept override {
        flow* f = flow_of(fd);
        if (!f) return backend::close(fd, cut);
        if (f->receiver || f->sender) misuse("a descriptor is closed while an operation is in flight:", fd);
        simulated_socket& s = *socket_of(fd);
        if (!s.closed()) s.close(options_.vary && random_.one_in(2), cut);
    }
    std::size_t in_flight() const noexcept override { return in_flight_; }
    time_point now() const noexcept override { return now_; }
    const char* name() const noexcept override { return "simulation"; }

private:
    /// The operations on one socket.
    struct flow {
        op* receiver = nullptr;
        op* sender = nullptr;
        std::size_t sent = 0, goal = 0;  // of the send: it completes at the goal
    };
    static constexpr int first_descriptor = 1 << 30;  // above all that a kernel gives, so that closing it harms nobody
    static constexpr time_point epoch{duration{3'600'000'000'000}};
    static constexpr std::size_t buffer_size = 16384;  // as the io_uring backend's by default
    static constexpr std::uint64_t unwinding_turns = 1'000'000;

    static int descriptor(std::size_t index) noexcept { return first_descriptor + static_cast<int>(index); }
    simulated_socket* socket_of(int fd) noexcept {
        const auto index = static_cast<std::size_t>(fd - first_descriptor);
        return fd >= first_descriptor && index < sockets_.size() ? sockets_[index].get() : nullptr;
    }
    flow* flow_of(int fd) {
        if (!socket_of(fd)) return nullptr;
        if (flows_.size() < sockets_.size()) flows_.resize(sockets_.size());
        return &flows_[static_cast<std::size_t>(fd - first_descriptor)];
    }

    /// What the network does at this time: takes what is sent, and lets arrive what is due.
    void carry() {
        started_.for_each([&](op& o) {
            if (o.kind != op_kind::send) return;
            flow* f = flow_of(o.fd);
            if (!f) return;
            simulated_socket& s = *socket_of(o.fd);
            if (s.refuses_to_send()) return;
            std::uint64_t n = f->goal - f->sent;
            if (n > s.room()) n = s.room();
            if (n) f->sent += s.send(static_cast<send_op&>(o).data.subspan(f->sent).first(static_cast<std::size_t>(n)));
        });
        for (auto& s : sockets_) s->advance();
    }

    bool has_result(op& o) {
        if (o.cancelling) return true;
        simulated_socket* s = socket_of(o.fd);
        switch (o.kind) {
            case op_kind::receive: return !s || s->received() || s->receiving_ended();
            case op_kind::send: {
                const flow* f = flow_of(o.fd);
                return !s || f->sent == f->goal || s->refuses_to_send();
            }
            case op_kind::poll: return polled(static_cast<poll_op&>(o), 0) != 0;
            case op_kind::accept:
            case op_kind::connect: break;
        }
        return true;
    }

    /// Completes some of what has a result, at least one if `must`. True if anything completed.
    bool deliver(bool must) {
        std::vector<op*> due;
        started_.for_each([&](op& o) {
            if (has_result(o)) due.push_back(&o);
        });
        if (options_.reorder) for (std::size_t i = due.size(); i > 1; --i) std::swap(due[i - 1], due[random_.below(i)]);
        bool any = false;
        for (std::size_t i = 0; i < due.size(); ++i) {
            const bool last_chance = must && !any && i + 1 == due.size();
            if (options_.reorder && !last_chance && random_.one_in(4)) continue;
            if (!has_result(*due[i])) continue;  // one before it has taken it, such as the news of a post
            complete(*due[i]);
            any = true;
        }
        return any;
    }

    void complete(op& o) {
        switch (o.kind) {
            case op_kind::receive: return complete_receive(o);
            case op_kind::send: return complete_send(o);
            case op_kind::accept: return finish(o, o.cancelling ? -ECANCELED : -EOPNOTSUPP);
            case op_kind::connect: return finish(o, o.cancelling ? -ECANCELED : -ENETUNREACH);
            case op_kind::poll: {
                const int events = polled(static_cast<poll_op&>(o), 0);
                return finish(o, events && !(o.cancelling && options_.vary && random_.one_in(2)) ? events : -ECANCELED);
            }
        }
    }
    void complete_receive(op& o) {
        simulated_socket* s = socket_of(o.fd);
        if (!s) return finish(o, o.cancelling ? -ECANCELED : -EOPNOTSUPP);
        // What the io_uring backend reports of a cancelled receive: nothing, or that no buffer was free, or the data or
        // end that had come before the cancel.
        const std::uint64_t ending = !o.cancelling ? 0 : options_.vary ? random_.below(4) : 3;
        const bool nothing = ending == 3 || (ending == 2 && !s->received());
        if (nothing) return finish(o, options_.vary && random_.one_in(4) ? -ENOBUFS : -ECANCELED);
        if (!s->received()) return finish(o, s->receiving_ended() ? -s->take_receive_error() : -ECANCELED);
        const bool more = ending != 2;
        const bool in_pieces = s->receives_at_most() != test::unlimited;  // one in each turn
        do {
            receive_some(o, *s, more);
        } while (more && s->received() && !o.cancelling && !in_pieces && !(options_.vary && random_.one_in(2)));
    }
    void receive_some(op& o, simulated_socket& s, bool more) {
        std::uint64_t n = s.received() < buffer_size ? s.received() : buffer_size;
        if (s.receives_at_most() < n) n = s.receives_at_most();
        if (s.receives_at_most() != test::unlimited || (options_.vary && random_.one_in(4))) n = random_.between(1, n);
        // Memory of its own, so that a use after the completion is one of freed memory.
        const std::vector<std::byte> lent{s.data(), s.data() + n};
        s.consume(lent.size());
        if (!more) return finish(o, static_cast<int>(n), lent);
        note(o.kind, o.fd, static_cast<int>(n));
        o.on_complete(o, {static_cast<int>(n), lent, true});
    }
    void complete_send(op& o) {
        flow* f = flow_of(o.fd);
        if (!f) return finish(o, o.cancelling ? -ECANCELED : -EOPNOTSUPP);
        simulated_socket& s = *socket_of(o.fd);
        if (f->sent) return finish(o, static_cast<int>(f->sent));
        if (s.refuses_to_send() && !(o.cancelling && options_.vary && random_.one_in(2))) return finish(o, -s.take_send_error());
        finish(o, -ECANCELED);
    }
    void finish(op& o, int result, std::span<const std::byte> data = {}) {
        note(o.kind, o.fd, result);
        if (flow* f = flow_of(o.fd)) {
            if (f->receiver == &o) f->receiver = nullptr;
            if (f->sender == &o) f->sender = nullptr;
        }
        o.unlink();
        o.active = false;
        --in_flight_;
        o.on_complete(o, {result, data, false});
    }

    static int polled(poll_op& o, int milliseconds) noexcept {
        pollfd p{o.fd, o.events, 0};
        return ::poll(&p, 1, milliseconds) > 0 ? p.revents : 0;
    }
    /// Nothing happens here by itself; what other threads do happens in real time. False when nothing came.
    bool await_descriptors() {
        std::vector<pollfd> all;
        started_.for_each([&](op& o) {
            if (o.kind == op_kind::poll) all.push_back({o.fd, static_cast<poll_op&>(o).events, 0});
        });
        if (all.empty() || failure_) return false;
        return ::poll(all.data(), all.size(), static_cast<int>(options_.patience.count() / 1'000'000)) > 0;
    }

    void note(op_kind kind, int fd, int result) {
        const simulated_socket* s = socket_of(fd);  // the numbers of real descriptors differ from run to run
        const unsigned index = s ? static_cast<unsigned>(fd - first_descriptor) : event_log::elsewhere;
        log_.completed(elapsed(), kind, index, s ? s->name() : "a descriptor", result);
    }

    void give_up(std::error_code code, const std::string& why) {
        std::string text = why + " (seed " + std::to_string(options_.seed) + ", " + event_log::seconds(elapsed()) + ").";
        started_.for_each([&](op& o) {
            const simulated_socket* s = socket_of(o.fd);
            text.append("\n  in flight: ").append(event_log::name_of(o.kind)).append(" on ");
            text += s ? s->name() : "descriptor " + std::to_string(o.fd);
            if (o.cancelling) text += ", cancelled";
        });
        for (auto& s : sockets_) {
            const std::string state = s->closed() ? std::string{} : s->describe();
            if (!state.empty()) text += "\n  " + state;
        }
        text += "\nThe tasks:\n" + task_tree<>();
        if (!stop_ || failure_) {
            const char* again = failure_ ? "even stopped, the tasks do not end: " : "";
            std::fprintf(stderr, "hawser::test::reactor: %s%s\n", again, text.c_str());
            std::abort();
        }
        failure_ = error_info{code, phase::none, {}, text};
        turns_ = 0;
        began_ = now_;
        stop_->request_stop();
    }
    [[noreturn]] void misuse(const char* what, int fd) noexcept {
        std::fprintf(stderr, "hawser::test::reactor: %s %s\n", what, socket_of(fd)->name().c_str());
        std::abort();
    }

    test::reactor_options options_;
    test::random random_;
    time_point now_ = epoch, began_ = epoch;
    std::vector<std::shared_ptr<simulated_socket>> sockets_;
    std::vector<flow> flows_;
    list<op> started_;
    std::size_t in_flight_ = 0;
    stop_source* stop_ = nullptr;
    error_info failure_ = error_info::none();
    std::uint64_t turns_ = 0;
    event_log log_;
};

}  // namespace hawser::detail
