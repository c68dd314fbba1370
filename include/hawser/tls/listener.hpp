#pragma once
// tls::listener: accepts TLS connections, by hand or with serve().

#include <hawser/coro/mapped.hpp>
#include <hawser/net/tcp_transport.hpp>
#include <hawser/tls/serve.hpp>
#include <hawser/tls/stream.hpp>

namespace hawser::tls {

/// An accepted connection of which no byte has been exchanged: hand it to a task of its own and call handshake() there,
/// so that a slow client delays nobody. Move-only; dropped, it closes the connection.
class pending {
public:
    pending() noexcept = default;
    pending(pending&&) noexcept = default;
    pending& operator=(pending&& other) noexcept {
        drop();
        core_ = std::move(other.core_);
        peer_ = other.peer_;
        timeout_ = other.timeout_;
        return *this;
    }
    ~pending() { drop(); }

    const endpoint& remote_endpoint() const noexcept { return peer_; }

    /// Runs the server's handshake, at most for the listener's handshake_timeout. Throws errc::tls_failure with
    /// libtls's words, errc::timed_out, and what the transport reports; the connection is then closed.
    template <class = void> [[nodiscard]] operation<stream> handshake() {
        return detail::accepted_handshake(std::exchange(core_, {}), timeout_);
    }

    /// For the layers above.
    pending(hawser::detail::ref<detail::core> c, const endpoint& peer, duration timeout) noexcept
        : core_{std::move(c)}, peer_{peer}, timeout_{timeout} {}

private:
    void drop() noexcept {
        if (core_) core_->abandon();
        core_ = {};
    }
    hawser::detail::ref<detail::core> core_;
    endpoint peer_;
    duration timeout_ = defaults::handshake_timeout;
};

/// A listening TLS socket on the reactor of the thread that made it.
class listener {
public:
    /// Binds, listens, and prepares the certificates. Throws std::system_category() errors that name the endpoint,
    /// errc::tls_failure, and errc::no_reactor outside run(). Under run_on_threads each thread makes one on the same
    /// port. Port 0: the kernel chooses, see local_endpoint().
    listener(const server_config& certificates, const endpoint& on, const listener_options& options = {}) : options_{options} {
        reactor* loop = reactor::current();
        if (!loop) throw error{error_info{make_error_code(errc::no_reactor), phase::listen, on.to_string()}};
        context_ = detail::server_context::make(certificates).value();
        door_ = hawser::detail::ref<hawser::detail::acceptor>{new hawser::detail::acceptor{*loop, on, options.tcp}};
    }
    listener(listener&&) noexcept = default;
    listener& operator=(listener&& other) noexcept {
        close();
        options_ = other.options_;
        context_ = std::move(other.context_);
        door_ = std::move(other.door_);
        return *this;
    }
    ~listener() { close(); }

    endpoint local_endpoint() const noexcept { return door_ ? door_->local() : endpoint{}; }
    int native_handle() const noexcept { return door_ ? door_->native_handle() : -1; }

    /// Waits for the next connection; gives it before its handshake. As tcp::listener::accept.
    [[nodiscard]] auto accept() noexcept { return hawser::detail::mapped{hawser::detail::accept_operation{door_}, to_pending{this}}; }

    /// Accepts until the task is stopped, and runs `handler(tls::stream&)`, which returns a task, for each finished
    /// handshake. It isolates: a failed handshake, or an exception from a handler, ends that connection only (without
    /// close_notify) and goes to options.on_error. When a handler returns, the stream is closed for it: close_notify,
    /// bounded by defaults::close_timeout. A stop has two steps: the listener is closed, so that new clients are refused,
    /// and so are idle connections (whose handler waits for input); what is busy may go on for options.grace, then it is
    /// cancelled, and what it has not sent by then is dropped. Always ends by throwing: `cancelled` after a stop,
    /// errc::closed after close(). The handler is copied and must be callable many times at once.
    template <class F> [[nodiscard]] operation<void> serve(F&& handler) {
        static_assert(hawser::detail::closure_is_safe<F>,
                      "g++ before 13 destroys this closure twice: name the handler first, auto f = [...]{...}; door.serve(f)");
        static_assert(std::is_invocable_v<std::decay_t<F>&, stream&>, "serve(handler): the handler takes a tls::stream& and returns a task");
        return detail::serve_all<std::decay_t<F>>(*this, std::forward<F>(handler));
    }

    /// Connections accepted from now on get these certificates; those in flight keep theirs. Throws errc::tls_failure.
    void reload(const server_config& certificates) { context_ = detail::server_context::make(certificates).value(); }

    /// Stops listening: a waiting accept() or serve() gets errc::closed. Accepted streams go on.
    void close() noexcept {
        if (door_) door_->close();
    }

    const listener_options& options() const noexcept { return options_; }
    /// For the layers above.
    const hawser::detail::ref<hawser::detail::acceptor>& door() const noexcept { return door_; }
    result<hawser::detail::ref<detail::core>> core_of(hawser::detail::accept_operation::accepted got) {
        using namespace hawser::detail;
        ref<transport> carrier{new tcp_transport{*door_->loop(), std::move(got.fd), got.peer, {}}};
        ref<detail::core> made{new detail::core{taken_transport{std::move(carrier)}}};
        if (auto ready = made->accept(context_); !ready) {
            made->abandon();
            return ready.error();
        }
        return made;
    }

private:
    struct to_pending {
        listener* from;
        pending operator()(hawser::detail::accept_operation::accepted got) const {
            const endpoint peer = got.peer;
            return pending{from->core_of(std::move(got)).value(), peer, from->options_.handshake_timeout};
        }
    };
    listener_options options_;
    hawser::detail::ref<detail::server_context> context_;
    hawser::detail::ref<hawser::detail::acceptor> door_;
};

}  // namespace hawser::tls
