#pragma once
// tls::stream: TLS over any stream.

#include <hawser/net/socket.hpp>
#include <hawser/stream/stream_transport.hpp>
#include <hawser/tls/core.hpp>
#include <hawser/tls/peer.hpp>

namespace hawser::tls {

/// An established TLS connection over TCP, a Unix socket, memory, or another stream. Reading, writing and closing are
/// any_stream's; one task may read while another writes. Get one from tls::connect, tls::handshake, tls::accept or a
/// tls::listener: each gives finished handshakes only.
class stream : public any_stream {
public:
    stream() noexcept = default;

    /// What libtls knows of the peer's certificate; empty for a stream that is not connected.
    peer_info peer() const { return core() ? peer_of(machine().connection()) : peer_info{}; }
    /// Version, cipher, ALPN, SNI.
    session_info session() const { return core() ? session_of(machine().native()) : session_info{}; }
    /// The OCSP response that the server stapled, if any.
    ocsp_info ocsp() const { return core() ? ocsp_of(machine().native()) : ocsp_info{}; }

    /// The addresses of the socket below; 0.0.0.0:0 where there is none.
    endpoint remote_endpoint() const noexcept { return hawser::detail::endpoint_of(native_handle(), ::getpeername); }
    endpoint local_endpoint() const noexcept { return hawser::detail::endpoint_of(native_handle(), ::getsockname); }

    /// For the layers above.
    explicit stream(hawser::detail::ref<detail::core> c) noexcept : any_stream{hawser::detail::ref<hawser::detail::stream_core>{c.get()}} {}

private:
    detail::engine& machine() const noexcept { return static_cast<detail::core*>(core().get())->machine(); }
};

/// Options of tls::handshake and tls::accept.
struct handshake_options {
    duration timeout = defaults::handshake_timeout;  ///< then errc::timed_out
};

namespace detail {

/// Runs the handshake of a core that knows its side, and lets go of it if that fails.
template <class = void> operation<stream> finish_handshake(ref<core> c, duration timeout) {
    auto done = co_await as_result(with_timeout(timeout, handshake_operation{c}));
    if (done) co_return stream{c};
    c->abandon();
    const error_info& why = done.error();
    if (why == errc::cancelled) co_return why;
    if (why == errc::timed_out) {
        co_return error_info{why.code(), phase::handshake, c->carrier().peer(), "the peer did not complete it in time"};
    }
    co_return why.with_context(phase::handshake, c->carrier().peer());
}

template <class = void> operation<stream> client_handshake(result<ref<core>> over, std::string name, config settings, duration timeout) {
    if (!over) co_return over.error();
    const ref<core> c = *std::move(over);
    if (auto ready = c->connect(settings, name); !ready) {
        c->abandon();
        co_return ready.error().with_context(phase::handshake, c->carrier().peer());
    }
    co_return co_await as_result(finish_handshake(c, timeout));
}

/// The TLS end of a stream that was moved here.
template <hawser::stream S> result<ref<core>> core_over(S&& s) {
    reactor* loop = reactor::current();
    if (!loop) throw_error(errc::no_reactor);
    if constexpr (requires { s.is_open(); }) {
        if (!s.is_open()) return error_info{make_error_code(errc::closed), phase::handshake, {}, "the stream below is not open"};
    }
    return ref<core>{new core{hawser::detail::transport_of(*loop, std::move(s))}};
}

/// The server contexts of one reactor, so that connections accepted with one config share one.
class server_contexts {
public:
    explicit server_contexts(reactor&) noexcept {}
    result<ref<server_context>> of(const server_config& settings) {
        for (auto& [config, context] : known_) if (config.native() == settings.native()) return context;
        auto made = server_context::make(settings);
        if (made) known_.emplace_back(settings, *made);
        return made;
    }

private:
    std::vector<std::pair<server_config, ref<server_context>>> known_;
};

template <class = void> operation<stream> server_handshake(result<ref<core>> over, server_config settings, duration timeout) {
    if (!over) co_return over.error();
    const ref<core> c = *std::move(over);
    auto context = reactor::current()->service<server_contexts>().of(settings);
    result<void> ready = context ? c->accept(*context) : result<void>{context.error()};
    if (!ready) {
        c->abandon();
        co_return ready.error().with_context(phase::handshake, c->carrier().peer());
    }
    co_return co_await as_result(finish_handshake(c, timeout));
}

}  // namespace detail

/// Becomes the TLS client of `s`, which is moved in: a tcp::stream, any_stream, tls::stream, buffered, or a class of
/// one's own; bytes that were buffered go to TLS first. `name` is verified against the certificate and sent as SNI.
/// Throws errc::tls_failure with libtls's words, errc::timed_out, and what the transport reports; the stream is then
/// closed. Cancellation closes it too. Cost: 1 to 2 ms of CPU.
template <hawser::stream S>
    requires(!std::is_lvalue_reference_v<S>)
[[nodiscard]] operation<stream> handshake(S&& s, std::string name, config settings = {}, handshake_options options = {}) {
    static_assert(hawser::detail::temporary_is_safe<S>, "g++ before 13 destroys a temporary of this stream class twice: give it a constructor");
    return detail::client_handshake(detail::core_over(std::move(s)), std::move(name), std::move(settings), options.timeout);
}

/// Becomes the TLS server of `s`, which is moved in. Otherwise as handshake.
template <hawser::stream S>
    requires(!std::is_lvalue_reference_v<S>)
[[nodiscard]] operation<stream> accept(S&& s, server_config settings, handshake_options options = {}) {
    static_assert(hawser::detail::temporary_is_safe<S>, "g++ before 13 destroys a temporary of this stream class twice: give it a constructor");
    return detail::server_handshake(detail::core_over(std::move(s)), std::move(settings), options.timeout);
}

}  // namespace hawser::tls
