#pragma once
// tcp::stream and tcp::listener.

#include <hawser/coro/mapped.hpp>
#include <hawser/net/acceptor.hpp>
#include <hawser/net/any_stream.hpp>
#include <hawser/net/plain_core.hpp>
#include <hawser/net/tcp_transport.hpp>

namespace hawser::tcp {

/// A connected TCP socket. What it does is any_stream's; get one from tcp::connect or a tcp::listener.
class stream : public any_stream {
public:
    stream() noexcept = default;

    /// The addresses of both ends; 0.0.0.0:0 when it is not connected.
    endpoint remote_endpoint() const noexcept { return detail::endpoint_of(native_handle(), ::getpeername); }
    endpoint local_endpoint() const noexcept { return detail::endpoint_of(native_handle(), ::getsockname); }

    /// Takes over a connected, non-blocking or blocking, TCP descriptor, which hawser closes from now on. Throws
    /// errc::no_reactor outside run().
    static stream adopt(int fd) {
        hawser::detail::unique_fd owned{fd};
        reactor* loop = reactor::current();
        if (!loop) throw_error(errc::no_reactor);
        const endpoint remote = detail::endpoint_of(fd, ::getpeername);
        return make(*loop, std::move(owned), remote, {});
    }

    /// For the layers above.
    static stream make(reactor& loop, hawser::detail::unique_fd fd, const endpoint& remote, std::string_view host) {
        using namespace hawser::detail;
        ref<transport> carrier{new tcp_transport{loop, std::move(fd), remote, host}};
        return stream{ref<stream_core>{new plain_core{std::move(carrier)}}};
    }

private:
    using any_stream::any_stream;
};

/// A listening socket on the reactor of the thread that made it.
class listener {
public:
    /// Binds and listens. Throws std::system_category() errors that name the endpoint (EADDRINUSE, EACCES, ...), and
    /// errc::no_reactor outside run(). Port 0: the kernel chooses, see local_endpoint().
    explicit listener(const endpoint& on, const listen_options& options = {}) {
        reactor* loop = reactor::current();
        if (!loop) throw error{error_info{make_error_code(errc::no_reactor), phase::listen, on.to_string()}};
        core_ = hawser::detail::ref<hawser::detail::acceptor>{new hawser::detail::acceptor{*loop, on, options}};
    }
    listener(listener&&) noexcept = default;
    listener& operator=(listener&& other) noexcept {
        close();
        core_ = std::move(other.core_);
        return *this;
    }
    ~listener() { close(); }

    endpoint local_endpoint() const noexcept { return core_ ? core_->local() : endpoint{}; }
    int native_handle() const noexcept { return core_ ? core_->native_handle() : -1; }

    /// Waits for the next connection. Survives running out of descriptors: it tries again every
    /// defaults::accept_retry. A connection that came while the task was stopped is given to the next accept().
    [[nodiscard]] auto accept() noexcept {
        return hawser::detail::mapped{hawser::detail::accept_operation{core_}, to_stream{core_.get()}};
    }
    /// Stops listening; a waiting accept() gets errc::closed. Accepted streams go on.
    void close() noexcept {
        if (core_) core_->close();
    }

    const hawser::detail::ref<hawser::detail::acceptor>& core() const noexcept { return core_; }

private:
    struct to_stream {
        hawser::detail::acceptor* from;
        stream operator()(hawser::detail::accept_operation::accepted got) const {
            return stream::make(*from->loop(), std::move(got.fd), got.peer, {});
        }
    };
    hawser::detail::ref<hawser::detail::acceptor> core_;
};

}  // namespace hawser::tcp
