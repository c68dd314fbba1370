#pragma once
// tcp::connect: a name or an endpoint to a stream; several addresses race as RFC 8305 says.

#include <hawser/coro/event.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/net/connect_options.hpp>
#include <hawser/net/resolve.hpp>
#include <hawser/net/tcp.hpp>

namespace hawser::detail {

/// One connect(2).
class connect_operation {
public:
    using value_type = unique_fd;

    connect_operation(const endpoint& to, const connect_options& options) noexcept : to_{to}, options_{options} {}
    connect_operation(connect_operation&& other) noexcept : to_{other.to_}, options_{other.options_} {}

    bool start(const environment& env, waiter& w) {
        if (env.stop.stop_requested()) {
            failure_ = errc::cancelled;
            return env.refuse(w);
        }
        if (!open()) return false;
        loop_ = &reactor::of(env);
        waiter_ = &w;
        connect_.self = stop_.self = this;
        connect_.fd = fd_.get();
        connect_.peer = to_raw(to_);
        connect_.on_complete = [](op& o, const completion& c) noexcept {
            connect_operation& self = *static_cast<node<connect_op>&>(o).self;
            self.stop_.unlink();
            self.result_ = c.result;
            self.loop_->make_ready(*self.waiter_);
        };
        stop_.invoke = [](stop_callback& c) noexcept {
            connect_operation& self = *static_cast<node<stop_callback>&>(c).self;
            self.loop_->io().cancel(self.connect_);
        };
        loop_->io().start(connect_);
        stop_source::attach(env.stop, stop_);
        return true;
    }
    result<unique_fd> take() {
        if (failure_) return std::move(failure_);
        if (result_ == 0) return std::move(fd_);
        if (result_ == -ECANCELED) return errc::cancelled;
        return fail(-result_, {});
    }
    void inspect(inspector& to) const {
        to.say("connect to ");
        to.say(to_.to_string());
    }

private:
    template <class Base> struct node : Base {
        connect_operation* self = nullptr;
    };
    error_info fail(int number, std::string_view what) const {
        return error_info::from_errno(number, phase::connect, to_.to_string(), what);
    }
    bool open() {
        fd_ = unique_fd{::socket(to_.address().is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP)};
        if (!fd_) return failure_ = fail(errno, errno == EMFILE ? "socket (raise RLIMIT_NOFILE: ulimit -n)" : "socket"), false;
        if (auto set = apply(options_.socket, fd_.get(), phase::connect, to_.to_string()); !set) return failure_ = set.error(), false;
        if (!options_.local_endpoint) return true;
        const raw_address local = to_raw(*options_.local_endpoint);
        option_setter{fd_.get()}.set(IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, 1, "IP_BIND_ADDRESS_NO_PORT");
        if (::bind(fd_.get(), &local.any, local.size) == 0) return true;
        return failure_ = fail(errno, "bind to " + options_.local_endpoint->to_string()), false;
    }

    endpoint to_;
    connect_options options_;
    unique_fd fd_;
    reactor* loop_ = nullptr;
    waiter* waiter_ = nullptr;
    int result_ = 0;
    error_info failure_ = error_info::none();
    node<connect_op> connect_;
    node<stop_callback> stop_;
};

/// Addresses of the two families in turn, the first family first (RFC 8305, 4).
inline std::vector<endpoint> interleave(const std::vector<endpoint>& sorted) {
    std::vector<endpoint> mixed;
    mixed.reserve(sorted.size());
    const bool first_is_v6 = !sorted.empty() && sorted[0].address().is_v6();
    std::size_t same = 0, other = 0;
    const auto next = [&](std::size_t& from, bool v6) {
        while (from < sorted.size() && sorted[from].address().is_v6() != v6) ++from;
        if (from < sorted.size()) mixed.push_back(sorted[from++]);
    };
    while (mixed.size() < sorted.size()) {
        next(same, first_is_v6);
        next(other, !first_is_v6);
    }
    return mixed;
}

/// What the attempts of one connect share.
struct connect_race {
    const connect_options& options;
    unique_fd winner{};
    endpoint winner_address{};
    error_info first_error = error_info::none();
    std::size_t failed = 0;
    event progress{};
};

template <class = void> operation<void> connect_attempt(connect_race* of, endpoint to, scope* attempts) {
    connect_race& race = *of;
    auto fd = co_await as_result(connect_operation{to, race.options});
    if (fd) {
        if (!race.winner) {
            race.winner = *std::move(fd);
            race.winner_address = to;
        }
        attempts->request_stop();
    } else if (fd.error() == errc::cancelled) {
        co_return errc::cancelled;
    } else {
        ++race.failed;
        if (!race.first_error) race.first_error = fd.error();
    }
    race.progress.set();
    co_return result<void>{};
}

template <class = void> operation<void> connect_to_all(connect_race& race, const std::vector<endpoint>& addresses, scope& attempts) {
    for (std::size_t i = 0; i < addresses.size() && !race.winner; ++i) {
        race.progress.reset();
        attempts.spawn(connect_attempt<>, &race, addresses[i], &attempts);
        if (i + 1 == addresses.size()) break;
        // The next one starts when this one is late, or at once when it has failed.
        auto waited = co_await as_result(with_timeout(race.options.attempt_delay, race.progress.wait()));
        if (!waited && waited.error() == errc::cancelled) co_return errc::cancelled;
    }
    co_return result<void>{};
}

template <class = void> operation<tcp::stream> connect_first(std::string_view name, std::vector<endpoint> addresses, const connect_options& options) {
    connect_race race{options};
    auto body = [&race, &addresses](scope& attempts) { return connect_to_all(race, addresses, attempts); };
    auto ended = co_await as_result(with_timeout(options.connect_timeout, with_scope(body)));
    if (race.winner) {
        reactor& loop = *reactor::current();
        co_return tcp::stream::make(loop, std::move(race.winner), race.winner_address, name);
    }
    const std::string peer = name.empty() ? addresses[0].to_string() : std::string{name} + " (" + addresses[0].to_string() + ")";
    const auto with_others = [&addresses](std::string what) {
        if (addresses.size() > 1) {
            if (!what.empty()) what += ", ";
            what.append("and ").append(std::to_string(addresses.size() - 1)).append(" more address(es) of it");
        }
        return what;
    };
    if (!ended) {
        const error_info& e = ended.error();
        if (e == errc::cancelled) co_return errc::cancelled;
        co_return error_info{e.code(), phase::connect, peer, e == errc::timed_out ? with_others("no answer") : e.detail()};
    }
    if (!race.first_error) co_return errc::cancelled;
    const error_info& e = race.first_error;
    std::string detail = e.detail();
    if (e.code() == std::error_code{ECONNREFUSED, std::system_category()}) detail = "nothing listens there";
    co_return error_info{e.code(), phase::connect, peer, with_others(std::move(detail))};
}

}  // namespace hawser::detail

namespace hawser::tcp {

/// Resolves `host`, connects to the first of its addresses that answers, and gives the stream. `service` is a port
/// number or a name such as "https". Literal addresses, the hosts file and `localhost` need no name server. Throws
/// resolve's errors, errc::timed_out after options.connect_timeout, and the first address's error when all have failed.
/// Cancellation closes what was begun. RFC 8305 with the default delay of 250 ms.
template <class = void> operation<stream> connect(std::string host, std::string service, connect_options options = {}) {
    std::vector<endpoint> addresses;
    if (options.address) {
        addresses.push_back(*options.address);
    } else {
        const resolve_options lookup{.timeout = options.resolve_timeout};
        auto found = co_await as_result(resolve(host, service, lookup));
        if (!found) co_return found.error();
        addresses = hawser::detail::interleave(*found);
    }
    co_return co_await as_result(hawser::detail::connect_first(host, std::move(addresses), options));
}

/// Connects to one endpoint.
template <class = void> operation<stream> connect(endpoint to, connect_options options = {}) {
    std::vector<endpoint> addresses(1, to);
    co_return co_await as_result(hawser::detail::connect_first({}, std::move(addresses), options));
}

}  // namespace hawser::tcp
