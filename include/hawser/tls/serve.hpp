#pragma once
// The life of a server's connections: limits, handshakes, isolation of their handlers, and the two steps of a stop.

#include <cstdio>

#include <hawser/coro/event.hpp>
#include <hawser/coro/this_task.hpp>
#include <hawser/coro/under.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/net/acceptor.hpp>
#include <hawser/net/tcp_transport.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/tls/stream.hpp>

namespace hawser::tls {

/// Options of a tls::listener.
struct listener_options {
    duration handshake_timeout = defaults::handshake_timeout;  ///< then the connection is cut
    duration grace = defaults::stop_grace;                     ///< for busy connections after a stop
    std::size_t max_connections = defaults::max_connections;   ///< open at once in serve(); more wait in the backlog
    std::size_t max_handshakes = defaults::max_handshakes;     ///< unfinished at once in serve(); beyond it the oldest is cut
    /// Told of each connection that ended badly: `what` is what the handshake or the handler threw. nullptr: exceptions of
    /// handlers that are not hawser's are printed to stderr, the rest is dropped. Must not throw.
    void (*on_error)(const std::exception_ptr& what, const endpoint& peer) = nullptr;
    hawser::tcp::listen_options tcp{};
};
static_assert(std::is_trivially_destructible_v<listener_options>);

namespace detail {

struct server_state;

/// One connection of serve(), in the frame of its task; it uncounts itself at its end.
class served : public hawser::detail::list_node {
public:
    served(server_state& of, ref<core> connection) noexcept;
    served(const served&) = delete;
    served& operator=(const served&) = delete;
    ~served();

    void handshake_ended() noexcept;
    /// From now on it is an established connection.
    void serve() noexcept;
    void leave_when_idle() noexcept {
        if (closes_) return;
        leaves_ = true;
        core_->stop_when_idle(&*stop_);
    }
    /// Whether the stop came while its handler waited for input with nothing left to send.
    bool left_idle() const noexcept { return leaves_ && !cut_ && stop_->stop_requested(); }
    /// The handler has ended. What stopped it does not stop the closing; a cut does, so that a peer that does not read
    /// cannot stretch the grace.
    void close() noexcept {
        closes_ = true;
        core_->stop_when_idle(nullptr);
        stop_.emplace();
        if (cut_) stop_->request_stop();
    }

    void request_stop() noexcept { stop_->request_stop(); }
    void evict() noexcept {
        evicted_ = true;
        request_stop();
    }
    void cut() noexcept {
        cut_ = true;
        request_stop();
    }
    bool evicted() const noexcept { return evicted_; }
    stop_source& stop() noexcept { return *stop_; }
    const endpoint& peer() const noexcept { return static_cast<hawser::detail::tcp_transport&>(core_->carrier()).remote(); }

private:
    server_state& state_;
    const ref<core> core_;
    std::optional<stop_source> stop_{std::in_place};
    bool shakes_hands_ = true, evicted_ = false, leaves_ = false, closes_ = false, cut_ = false;
};

/// What the connections of one serve() share.
struct server_state {
    explicit server_state(const listener_options& o) noexcept : options{o} {}

    const listener_options& options;
    hawser::detail::list<served> handshaking;  // oldest first
    hawser::detail::list<served> established;
    std::size_t open = 0, unfinished = 0;
    bool stopping = false;
    event one_left;

    void report(const std::exception_ptr& what, const endpoint& peer) const noexcept {
        if (options.on_error) return options.on_error(what, peer);
        try {
            std::rethrow_exception(what);
        } catch (const error&) {
        } catch (const cancelled&) {
        } catch (const std::exception& e) {
            std::fprintf(stderr, "hawser: the handler of %s threw: %s\n", peer.to_string().c_str(), e.what());
        } catch (...) {
            std::fprintf(stderr, "hawser: the handler of %s threw\n", peer.to_string().c_str());
        }
    }
    void report_handshake(const served& who, const error_info& why) const noexcept {
        if (why == errc::cancelled && !who.evicted()) return;
        const error_info told = !who.evicted() ? why : error_info{make_error_code(errc::limit_exceeded), phase::handshake, who.peer().to_string(),
            "cut as the oldest of more than " + std::to_string(options.max_handshakes) + " unfinished handshakes (max_handshakes)"};
        report(hawser::detail::outcome<void>{result<void>{told}}.exception(), who.peer());
    }
    /// The first step of a stop: those that wait for input leave, now or when they come to that.
    void let_idle_leave() noexcept {
        stopping = true;
        handshaking.for_each([](served& s) { s.request_stop(); });
        established.for_each([](served& s) { s.leave_when_idle(); });
    }
    void cut_all() noexcept {
        established.for_each([](served& s) { s.cut(); });
    }
};

inline served::served(server_state& of, ref<core> connection) noexcept : state_{of}, core_{std::move(connection)} {
    of.handshaking.push_back(*this);
    if (++of.unfinished > of.options.max_handshakes) {
        of.handshaking.pop_front().evict();
    }
    if (of.stopping) request_stop();
}
inline served::~served() {
    handshake_ended();
    unlink();
    core_->stop_when_idle(nullptr);
    if (cut_ && core_->closed()) core_->carrier().abort();  // what is unsent now stays so
    --state_.open;
    state_.one_left.set();
}
inline void served::handshake_ended() noexcept {
    if (!std::exchange(shakes_hands_, false)) return;
    unlink();
    --state_.unfinished;
}
inline void served::serve() noexcept {
    state_.established.push_back(*this);
    if (state_.stopping) leave_when_idle();
}

template <class = void> operation<stream> accepted_handshake(ref<core> c, duration timeout) {
    if (!c) co_return error_info{make_error_code(errc::closed), phase::handshake, {}, "this connection was handed over already"};
    co_return co_await as_result(finish_handshake(std::move(c), timeout));
}

/// A connection of serve(): handshake, handler, close.
template <class F> task<void> serve_one(server_state* state, F* handler, ref<core> connection) {
    served self{*state, connection};
    result<stream> done = co_await as_result(hawser::detail::under{self.stop(), finish_handshake(std::move(connection), state->options.handshake_timeout)});
    self.handshake_ended();
    if (!done) {
        state->report_handshake(self, done.error());
        co_return;
    }
    stream line = *std::move(done);
    self.serve();
    std::exception_ptr thrown;
    try {
        co_await hawser::detail::under{self.stop(), (*handler)(line)};
    } catch (...) {
        thrown = std::current_exception();
    }
    if (thrown && !self.left_idle()) {
        if (!hawser::detail::is_cancelled(thrown)) state->report(thrown, self.peer());
        co_return;  // without close_notify: what the client has got may be half of it
    }
    self.close();
    auto closed = co_await as_result(hawser::detail::under{self.stop(), line.close()});
    if (!closed) state->report(hawser::detail::outcome<void>{closed}.exception(), self.peer());
}

template <class = void> operation<void> all_gone(server_state& state) {
    while (state.open != 0) {
        state.one_left.reset();
        auto left = co_await as_result(state.one_left.wait());
        if (!left) co_return left;
    }
    co_return result<void>{};
}

template <class F, class Listener> operation<void> serve_all(Listener& door, F handler) {
    server_state state{door.options()};
    stop_source accepting;  // the stop of this task ends accepting, and connections only after their grace
    stop_source serving;
    accepting.follow(co_await get_stop_token());
    error_info why{errc::cancelled};
    auto body = [&](scope& clients) -> operation<void> {
        for (;;) {
            state.one_left.reset();
            if (state.open >= state.options.max_connections) {
                auto left = co_await as_result(hawser::detail::under{accepting, state.one_left.wait()});
                if (!left) break;
                continue;
            }
            auto got = co_await as_result(hawser::detail::under{accepting, hawser::detail::accept_operation{door.door()}});
            if (!got) {
                why = got.error();
                break;
            }
            const endpoint peer = got->peer;
            auto connection = door.core_of(*std::move(got));
            if (connection) {
                clients.spawn(serve_one<F>, &state, &handler, *std::move(connection));
                ++state.open;  // it has not begun, but it counts for the next accept
            } else state.report(hawser::detail::outcome<void>{result<void>{connection.error()}}.exception(), peer);
        }
        // A listener that was closed lets its connections go on; a stop does not.
        auto ended = co_await as_result(hawser::detail::under{accepting, all_gone(state)});
        if (ended) co_return result<void>{};
        door.close();  // else the kernel would go on to take clients in, who wait for us until the grace is over
        state.let_idle_leave();
        auto in_time = co_await as_result(with_timeout(state.options.grace, all_gone(state)));
        if (!in_time) state.cut_all();
        co_return result<void>{};
    };
    auto joined = co_await as_result(hawser::detail::under{serving, with_scope(body)});
    if (!joined) co_return joined.error();
    co_return why;
}

}  // namespace detail
}  // namespace hawser::tls
