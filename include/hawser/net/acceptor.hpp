#pragma once
// A listening socket, and waiting for what connects to it.

#include <hawser/coro/operation.hpp>
#include <hawser/net/socket.hpp>
#include <hawser/reactor/reactor.hpp>

namespace hawser::tcp {

/// Options of a listening socket.
struct listen_options {
    int backlog = defaults::backlog;  ///< connections that the kernel keeps until they are accepted
    bool reuse_address = true;        ///< SO_REUSEADDR: restart without waiting for old connections
    bool reuse_port = false;          ///< SO_REUSEPORT; run_on_threads sets it by itself
    bool v6_only = false;             ///< IPV6_V6ONLY on an IPv6 endpoint
    socket_options socket{};          ///< for the listener and what it accepts
};
static_assert(std::is_trivially_destructible_v<listen_options>);

}  // namespace hawser::tcp

namespace hawser::detail {

/// A listening socket: accepts one connection at a time, when somebody waits for it.
class acceptor final : public ref_counted, io_object {
public:
    acceptor(reactor& loop, const endpoint& on, const tcp::listen_options& options) : loop_{&loop}, options_{options} {
        open(on);
        accept_.self = retry_.self = this;
        accept_.fd = fd_.get();
        accept_.on_complete = [](op& o, const completion& c) noexcept { static_cast<node<accept_op>&>(o).self->came(c.result); };
        retry_.fire = [](timer& t) noexcept { static_cast<node<timer>&>(t).self->arm(); };
        loop.attach(*this);
    }
    endpoint local() const noexcept { return endpoint_of(fd_.get(), ::getsockname); }
    int native_handle() const noexcept { return fd_.get(); }
    reactor* loop() const noexcept { return loop_; }
    bool is_closed() const noexcept { return closed_; }

    struct slot : stop_callback {
        waiter* parked = nullptr;
        acceptor* owner = nullptr;
        bool cancelled = false;
        error_info failure = error_info::none();
        unique_fd accepted;
        endpoint peer;
    };

    /// True when a connection is there at once.
    bool accept(slot& s, waiter& w) noexcept {
        if (waiting_fd_) return hand_over(s), true;
        s.parked = &w;
        s.owner = this;
        waiter_ = &s;
        arm();
        return false;
    }
    bool accepting() const noexcept { return waiter_ != nullptr; }
    void cancel(slot& s) noexcept {
        s.cancelled = true;
        waiter_ = nullptr;
        wake(s);
        stop_accepting();
    }
    void close() noexcept {
        if (closed_) return;
        if (loop_ && loop_ != reactor::current()) misuse("a listener was closed or destroyed on another thread than its reactor's");
        closed_ = true;
        waiting_fd_.reset();
        if (slot* s = std::exchange(waiter_, nullptr)) {
            s->failure = errc::closed;
            wake(*s);
        }
        stop_accepting();
        if (!accept_.active) fd_.reset();
    }
    void hand_over(slot& s) noexcept {
        s.accepted = std::move(waiting_fd_);
        s.peer = waiting_peer_;
    }
    /// A connection that came while its task was being stopped waits for the next accept().
    bool has_waiting() const noexcept { return static_cast<bool>(waiting_fd_); }

private:
    template <class Base> struct node : Base {
        acceptor* self = nullptr;
    };
    ~acceptor() override {
        if (loop_) loop_->cancel_timer(retry_);
        io_object::unlink();
    }

    void open(const endpoint& on) {
        const std::string name = on.to_string();
        const auto failed = [&](const char* call) {
            const int number = errno;
            const char* advice = number == EADDRINUSE ? " (another program listens there)"
                                 : number == EACCES   ? " (ports below 1024 need CAP_NET_BIND_SERVICE)"
                                                      : "";
            throw error{error_info::from_errno(number, phase::listen, name, std::string{call} + advice)};
        };
        fd_ = unique_fd{::socket(on.address().is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP)};
        if (!fd_) failed("socket");
        option_setter to{fd_.get()};
        if (options_.reuse_address) to.set(SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
        if (options_.reuse_port || loop_->shares_ports()) to.set(SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
        if (on.address().is_v6()) to.set(IPPROTO_IPV6, IPV6_V6ONLY, options_.v6_only, "IPV6_V6ONLY");
        to.ended(phase::listen, name).value();
        apply(options_.socket, fd_.get(), phase::listen, name).value();  // accepted sockets inherit them
        const raw_address raw = to_raw(on);
        if (::bind(fd_.get(), &raw.any, raw.size) != 0) failed("bind");
        if (::listen(fd_.get(), options_.backlog) != 0) failed("listen");
    }
    void arm() noexcept {
        if (accept_.active || !waiter_ || closed_ || !loop_ || timer_heap::is_set(retry_)) return;
        add_ref();
        loop_->io().start(accept_);
    }
    void stop_accepting() noexcept {
        if (!loop_) return;
        loop_->cancel_timer(retry_);
        if (accept_.active) loop_->io().cancel(accept_);
    }
    void came(int result) noexcept {
        if (result >= 0) {
            waiting_fd_ = unique_fd{result};
            auto peer = endpoint::from_sockaddr(&accept_.peer.any, accept_.peer.size);
            waiting_peer_ = peer ? endpoint{peer->address().unmapped(), peer->port()} : endpoint{};
            if (closed_) waiting_fd_.reset();
        } else if (result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM) {
            // Retrying at once would spin: the connection stays in the backlog until a descriptor is free.
            if (!closed_ && loop_) loop_->set_timer(retry_, deadline_after(loop_->now(), defaults::accept_retry));
        } else if (result != -ECANCELED && result != -ECONNABORTED && result != -EINTR && waiter_) {
            if (is_fatal(-result)) waiter_->failure = error_info::from_errno(-result, phase::accept, local().to_string());
        }
        if (closed_) fd_.reset();
        if (waiter_ && (waiting_fd_ || waiter_->failure)) {
            slot& s = *std::exchange(waiter_, nullptr);
            if (waiting_fd_) hand_over(s);
            wake(s);
        } else {
            arm();
        }
        drop_ref();
    }
    /// accept(2) also reports errors that belong to one connection that failed before it was accepted.
    static bool is_fatal(int number) noexcept { return number == EBADF || number == EINVAL || number == ENOTSOCK || number == EOPNOTSUPP; }
    void wake(slot& s) noexcept {
        s.unlink();
        loop_->make_ready(*s.parked);
    }
    void on_reactor_stop() noexcept override { stop_accepting(); }
    void on_reactor_gone() noexcept override {
        loop_ = nullptr;
        closed_ = true;
        fd_.reset();
        waiting_fd_.reset();
    }

    reactor* loop_;
    tcp::listen_options options_;
    unique_fd fd_, waiting_fd_;
    endpoint waiting_peer_;
    node<accept_op> accept_;
    node<timer> retry_;
    slot* waiter_ = nullptr;
    bool closed_ = false;
};

/// Waits for a connection; gives its descriptor and address.
class accept_operation {
public:
    struct accepted {
        unique_fd fd;
        endpoint peer;
    };
    using value_type = accepted;

    explicit accept_operation(ref<acceptor> from) noexcept : from_{std::move(from)} {}
    bool start(const environment& env, waiter& w) {
        if (!from_ || from_->is_closed()) return fail(from_ && !from_->loop() ? errc::no_reactor : errc::closed);
        if (from_->loop() != env.loop) {
            return fail(error_info{make_error_code(errc::no_reactor), phase::accept, from_->local().to_string(),
                                   "the listener belongs to the reactor of another thread"});
        }
        if (from_->accepting()) return fail(error_info{make_error_code(errc::busy), phase::accept, from_->local().to_string()});
        if (env.stop.stop_requested()) {
            slot_.cancelled = true;
            return env.refuse(w);
        }
        if (from_->accept(slot_, w)) return false;
        slot_.invoke = [](stop_callback& c) noexcept {
            auto& s = static_cast<acceptor::slot&>(c);
            s.owner->cancel(s);
        };
        stop_source::attach(env.stop, slot_);
        return true;
    }
    result<accepted> take() {
        if (slot_.failure) return std::move(slot_.failure);
        if (!slot_.accepted && slot_.cancelled && from_->has_waiting() && !from_->accepting()) from_->hand_over(slot_);
        if (slot_.accepted) return accepted{std::move(slot_.accepted), slot_.peer};
        return errc::cancelled;
    }
    void inspect(inspector& to) const {
        to.say("accept on ");
        to.say(from_->local().to_string());
    }

private:
    bool fail(error_info why) noexcept {
        slot_.failure = std::move(why);
        return false;
    }
    ref<acceptor> from_;
    acceptor::slot slot_;
};

}  // namespace hawser::detail
