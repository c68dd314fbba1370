#pragma once
// The resolver of every reactor: c-ares, its sockets polled by our backend and its timeouts in our timers.

#include <ares.h>
#include <poll.h>

#include <hawser/net/resolver.hpp>
#include <hawser/reactor/reactor.hpp>

namespace hawser::detail {

/// How a c-ares status becomes an error of hawser, with what to change.
inline error_info cares_failure(int status, std::string_view host) {
    const auto failure = [&](errc code, std::string_view detail) {
        return error_info{make_error_code(code), phase::resolve, host, detail};
    };
    const auto words = [&](std::string_view advice) { return std::string{::ares_strerror(status)}.append("; ").append(advice); };
    bool ascii = true;
    for (const char c : host) ascii = ascii && static_cast<unsigned char>(c) < 0x80;
    switch (status) {
        case ARES_ENOTFOUND:
            return failure(errc::host_not_found, ascii ? "neither the hosts file nor DNS knows this name: check its spelling"
                                                       : "write international names in their ASCII form (xn--...)");
        case ARES_ENODATA: return failure(errc::host_not_found, "the name exists but has no address of the wanted family");
        case ARES_EBADNAME:
            return failure(errc::invalid_argument, "not a host name: its labels have 1 to 63 characters each, with dots between them");
        case ARES_ETIMEOUT:
            return failure(errc::timed_out, "no name server answered: check the network and /etc/resolv.conf");
        case ARES_ENOMEM: return error_info::from_errno(ENOMEM, phase::resolve, host);
        case ARES_ECONNREFUSED:
        case ARES_ESERVFAIL:
        case ARES_EREFUSED: return failure(errc::resolve_failed, words("check the name servers in /etc/resolv.conf"));
        default: return failure(errc::resolve_failed, words("the name servers of /etc/resolv.conf gave no usable answer"));
    }
}

/// ares_getaddrinfo(3) on one reactor. The channel is made with the first lookup (reads /etc/resolv.conf and
/// /etc/nsswitch.conf then; a change of them is not seen later).
class cares_resolver final : public resolver, public io_object {
public:
    explicit cares_resolver(reactor& loop) : loop_{loop} {
        timer_.owner = this;
        timer_.fire = [](timer& t) noexcept { static_cast<timer_node&>(t).owner->process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); };
        loop_.attach(*this);
    }
    ~cares_resolver() override { on_reactor_gone(); }

    void start(resolve_query_ref query) override {
        open();
        ares_addrinfo_hints hints{};
        hints.ai_family = query->family() == address_family::v4 ? AF_INET : query->family() == address_family::v6 ? AF_INET6 : AF_UNSPEC;
        hints.ai_socktype = SOCK_STREAM;  // else there is an entry for each type
        resolve_query* kept = query.get();
        kept->add_ref();  // for `answered`, which c-ares calls exactly once
        ::ares_getaddrinfo(channel_, kept->host().c_str(), nullptr, &hints, &answered, kept);
        rearm_timer();
    }

    /// See set_name_servers().
    template <class = void> void set_servers(std::string_view list) {
        open();
        std::string servers;  // as c-ares reads it: with a port, and IPv6 in brackets
        for (bool more = true; more;) {
            const std::size_t comma = list.find(',');
            const std::string_view item = list.substr(0, comma);
            const result<endpoint> e = endpoint::parse(item);
            const result<ip_address> a = e ? e->address() : ip_address::parse(item);
            if (!a || a->scope_id() != 0 || (e && e->port() == 0)) {
                throw error{error_info{make_error_code(errc::invalid_argument), phase::setup, "the name servers",
                    quoted(item) + " is not an address such as 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53"}};
            }
            servers.append(servers.empty() ? "" : ",").append((e ? *e : endpoint{*a, 53}).to_string());
            more = comma != list.npos;
            if (more) list.remove_prefix(comma + 1);
        }
        const int status = ::ares_set_servers_ports_csv(channel_, servers.c_str());
        if (status == ARES_SUCCESS) return;
        if (status == ARES_ENOTIMP)
            throw error{error_info{make_error_code(errc::busy), phase::setup, "the name servers", "lookups are in progress: set them before"}};
        throw error{error_info{make_error_code(errc::resolve_failed), phase::setup, "the name servers", ::ares_strerror(status)}};
    }

    void on_reactor_stop() noexcept override {
        stopped_ = true;
        loop_.cancel_timer(timer_);
        watches_.for_each([this](watch& w) {
            if (w.poll.active) loop_.io().cancel(w.poll);
        });
    }
    void on_reactor_gone() noexcept override {
        stopped_ = true;
        loop_.cancel_timer(timer_);
        if (channel_) ::ares_destroy(channel_);  // answers what is open with ARES_EDESTRUCTION, and closes its sockets
        channel_ = nullptr;
    }

private:
    /// The poll of one socket of c-ares. It outlives the socket until the backend has let go of it.
    struct watch : list_node {
        struct node : poll_op {
            watch* self = nullptr;
        };
        cares_resolver* owner = nullptr;
        node poll;
        short wanted = 0;  // 0: c-ares has closed the socket
        bool in_use = false;
    };
    struct timer_node : timer {
        cares_resolver* owner = nullptr;
    };

    // One try of c-ares takes about so long, doubled for each further one: a lost packet must not cost the caller all
    // of his time, as the 5 s of resolv.conf would.
    static constexpr int first_try_ms = 1000;
    static constexpr int tries = 3;

    void open() {
        if (stopped_) throw_error(errc::no_reactor);
        if (channel_) return;
        static const int library = ::ares_library_init(ARES_LIB_INIT_ALL);
        ares_options options{};
        options.timeout = first_try_ms;
        options.tries = tries;
        options.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
            static_cast<cares_resolver*>(self)->watch_socket(fd, readable != 0, writable != 0);
        };
        options.sock_state_cb_data = this;
        const int status = library != ARES_SUCCESS
            ? library : ::ares_init_options(&channel_, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
        if (status == ARES_SUCCESS) return;
        channel_ = nullptr;
        throw error{error_info{make_error_code(errc::resolve_failed), phase::setup, "the resolver",
            std::string{"c-ares: "} + ::ares_strerror(status)}};
    }

    static void answered(void* kept, int status, int, ares_addrinfo* found) {
        const resolve_query_ref query{static_cast<resolve_query*>(kept)};
        query->drop_ref();
        try {
            std::vector<endpoint> endpoints;
            for (const ares_addrinfo_node* n = found ? found->nodes : nullptr; n; n = n->ai_next) {
                const result<endpoint> e = endpoint::from_sockaddr(n->ai_addr, n->ai_addrlen);
                if (!e) continue;
                bool known = false;  // the hosts file may say it twice
                for (const endpoint& k : endpoints) known = known || k.address() == e->address();
                if (!known) endpoints.push_back(e->with_port(query->port()));
            }
            if (status == ARES_SUCCESS && endpoints.empty()) status = ARES_ENODATA;
            if (status == ARES_SUCCESS) query->finish(std::move(endpoints));
            else query->finish(cares_failure(status, query->host()));
        } catch (...) {  // out of memory, and c-ares knows no exceptions
            query->finish(errc::resolve_failed);
        }
        if (found) ::ares_freeaddrinfo(found);
    }

    void process(ares_socket_t readable, ares_socket_t writable) noexcept {
        ::ares_process_fd(channel_, readable, writable);
        rearm_timer();
    }

    void rearm_timer() noexcept {
        loop_.cancel_timer(timer_);
        timeval left{};
        if (!::ares_timeout(channel_, nullptr, &left)) return;
        // c-ares counts in its own clock: a millisecond more, so that its time has come when ours has.
        const duration wait{left.tv_sec * 1'000'000'000 + left.tv_usec * 1000 + 1'000'000};
        loop_.set_timer(timer_, deadline_after(loop_.now(), wait));
    }

    watch* find(ares_socket_t fd) noexcept {
        watch* found = nullptr;
        watches_.for_each([&](watch& w) {
            if (w.poll.fd == fd && w.wanted != 0) found = &w;
        });
        return found;
    }

    /// c-ares tells what it waits for on a socket: nothing, just before it closes it.
    void watch_socket(ares_socket_t fd, bool readable, bool writable) noexcept {
        const short wanted = static_cast<short>((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
        watch* w = find(fd);
        if (!w) {
            if (wanted == 0 || !(w = new (std::nothrow) watch)) return;  // unwatched, the query runs into its timeout
            w->owner = this;
            w->poll.self = w;
            w->poll.fd = fd;
            w->poll.on_complete = [](op& o, const completion& c) noexcept {
                watch& self = *static_cast<watch::node&>(o).self;
                self.owner->polled(self, c.result);
            };
            watches_.push_back(*w);
        }
        if (w->wanted == wanted) return;
        w->wanted = wanted;
        if (w->poll.active) loop_.io().cancel(w->poll);  // polled() goes on from there
        else if (!w->in_use) go_on(*w);
    }

    void polled(watch& w, int events) noexcept {
        if (events < 0 && events != -ECANCELED && w.wanted != 0) return;  // cannot be polled: no spin, the query times out
        if (!stopped_ && w.wanted != 0 && events > 0) {
            const short failed = POLLERR | POLLHUP | POLLNVAL;  // reading tells c-ares which
            w.in_use = true;
            process((events & (POLLIN | failed)) != 0 ? w.poll.fd : ARES_SOCKET_BAD,
                    (events & POLLOUT) != 0 ? w.poll.fd : ARES_SOCKET_BAD);
            w.in_use = false;
        }
        go_on(w);
    }

    void go_on(watch& w) noexcept {
        if (w.wanted == 0) {
            w.unlink();
            delete &w;
        } else if (!stopped_) {
            w.poll.events = w.wanted;
            loop_.io().start(w.poll);
        }
    }

    reactor& loop_;
    ares_channel channel_ = nullptr;
    list<watch> watches_;
    timer_node timer_;
    bool stopped_ = false;
};

/// Which resolver the tasks of a reactor use.
struct chosen_resolver {
    explicit chosen_resolver(reactor&) noexcept {}
    resolver* chosen = nullptr;  // nullptr: c-ares
};

}  // namespace hawser::detail
