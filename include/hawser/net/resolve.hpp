#pragma once
// resolve: a host and a service become endpoints.

#include <netdb.h>


#include <hawser/base/defaults.hpp>
#include <hawser/coro/operation.hpp>
#include <hawser/net/cares.hpp>

namespace hawser {

/// How resolve() looks up. Trivially destructible, so that it may stand in a co_await expression of g++ 12.
struct resolve_options {
    duration timeout = defaults::resolve_timeout;  ///< for the whole lookup; then errc::timed_out
    address_family family = address_family::any;   ///< which addresses are wanted
};
static_assert(std::is_trivially_destructible_v<resolve_options> && std::is_aggregate_v<resolve_options>);

namespace detail {

/// The port of a service: a number, "http", "https", or a TCP service of services(5). False if there is none.
inline bool parse_service(std::string_view service, std::uint16_t& port) noexcept {
    std::uint32_t number = 0;
    if (parse_decimal(service, 65535, number)) return port = static_cast<std::uint16_t>(number), true;
    // These two work where /etc/services is missing, as in small containers.
    if (service == "http") return port = 80, true;
    if (service == "https") return port = 443, true;
    char name[64];
    if (service.empty() || service.size() >= sizeof name || service.find('\0') != service.npos) return false;
    std::memcpy(name, service.data(), service.size());
    name[service.size()] = '\0';
    servent entry{};
    servent* found = nullptr;
    char buffer[2048];
    if (::getservbyname_r(name, "tcp", &entry, buffer, sizeof buffer, &found) != 0 || !found) return false;
    return port = ntohs(static_cast<std::uint16_t>(found->s_port)), true;
}

/// "localhost" and the names below it (RFC 6761 section 6.3).
inline bool is_localhost(std::string_view host) noexcept {
    constexpr std::string_view name = "localhost";
    if (host.ends_with('.')) host.remove_suffix(1);
    if (host.size() < name.size()) return false;
    const std::string_view tail = host.substr(host.size() - name.size());
    for (std::size_t i = 0; i < name.size(); ++i) if ((tail[i] | 0x20) != name[i]) return false;
    return host.size() == name.size() || (host[host.size() - name.size() - 1] == '.' && host.size() > name.size() + 1);
}

/// nullptr, or why DNS cannot be asked for `host`.
inline const char* check_host_name(std::string_view host) noexcept {
    if (host.empty()) return "the host is empty: give a name or an IP address";
    if (host.size() - (host.ends_with('.') ? 1 : 0) > 253) return "a host name has at most 253 characters (RFC 1035 section 2.3.4)";
    bool digits = true;
    for (const char c : host) {
        if (c == '\0') return "the host has a NUL character in it";
        if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return "the host has a blank or control character in it";
        if (std::string_view{"/\\@?#"}.find(c) != std::string_view::npos) return "this is not a host alone: take it out of the URL";
        digits = digits && (c == '.' || (c >= '0' && c <= '9'));
    }
    // Programs disagree on what 127.1 and 0177.0.0.1 mean.
    return digits ? "an IPv4 address is written as four decimal numbers without leading zeros" : nullptr;
}

/// The same for what is not an address, for the reason `no_address`.
inline const char* check_host(std::string_view host, bool bracketed, const char* no_address) noexcept {
    if (const char* wrong = check_host_name(host)) return wrong;
    const std::size_t colon = host.find(':');
    if (colon == host.npos) return bracketed ? "only an IPv6 address stands in brackets" : nullptr;
    return colon == host.rfind(':') && !bracketed ? "give the port as the service, apart from the host" : no_address;
}

/// Awaits the answer to one query, its timeout, or a stop.
class resolve_operation {
public:
    using value_type = std::vector<endpoint>;

    resolve_operation(std::string_view host, std::string_view service, const resolve_options& options)
        : query_{new resolve_query{host, options.family}}, timeout_{options.timeout} {
        has_service_ = parse_service(service, query_->port_);
        if (!has_service_) service_ = quoted(service);
    }
    resolve_operation(resolve_operation&&) = default;  // before the start
    ~resolve_operation() {
        if (query_) settle();
    }

    bool start(const environment& env, waiter& w) {
        if (env.stop.stop_requested()) {
            set(errc::cancelled);
            return env.refuse(w);
        }
        loop_ = &reactor::of(env);
        if (answer_without_asking()) return false;
        query_->asker_ = this;
        resolver* chosen = loop_->service<chosen_resolver>().chosen;
        try {
            if (!chosen) chosen = &loop_->service<cares_resolver>();
            chosen->start(query_);
        } catch (const error& e) {  // also where the caller asked for a result<T>
            answered(e.info());
        }
        if (has_answer_) return false;

        waiter_ = &w;
        timer_.owner = stop_.owner = this;
        timer_.fire = [](timer& t) noexcept { static_cast<timer_node&>(t).owner->give_up(errc::timed_out); };
        stop_.invoke = [](stop_callback& c) noexcept { static_cast<stop_node&>(c).owner->give_up(errc::cancelled); };
        loop_->set_timer(timer_, deadline_after(loop_->now(), timeout_));
        stop_source::attach(env.stop, stop_);
        return true;
    }
    result<value_type> take() {
        if (answer_ || answer_.error() == errc::cancelled) return std::move(answer_);
        if (answer_.error() == errc::timed_out && answer_.error().detail().empty()) {
            const auto ms = timeout_.count() / 1'000'000;
            return failure(errc::timed_out, "no answer within " + std::to_string(ms) + " ms: check the network and the name "
                           "servers in /etc/resolv.conf, or raise resolve_options.timeout");
        }
        return answer_.error().with_context(phase::resolve, query_->host());
    }
    void inspect(inspector& to) const {
        to.say("resolve ");
        to.say(query_->host());
    }

private:
    friend class hawser::resolve_query;
    struct timer_node : timer {
        resolve_operation* owner = nullptr;
    };
    struct stop_node : stop_callback {
        resolve_operation* owner = nullptr;
    };

    error_info failure(errc code, std::string_view detail) const {
        const std::string& host = query_->host();
        const bool plain = check_host_name(host) == nullptr;
        return error_info{make_error_code(code), phase::resolve, plain ? host : hawser::detail::quoted(host), detail};
    }

    /// Addresses, "localhost", and what can never work. False if a resolver must be asked.
    bool answer_without_asking() {
        std::string_view host = query_->host();
        const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
        if (bracketed) host = host.substr(1, host.size() - 2);
        ip_address address;
        const char* no_address = parse_ip(host, address);
        if (!has_service_) {
            set(failure(errc::invalid_argument,
                service_ + " is neither a port from 0 to 65535 nor a TCP service in /etc/services: give the number"));
        } else if (!no_address && (!bracketed || address.is_v6())) {
            if (wants(address)) set(value_type{endpoint{address, query_->port()}});
            else set(failure(errc::host_not_found, "the address is of the other family than resolve_options.family"));
        } else if (const char* wrong = check_host(host, bracketed, no_address)) {
            set(failure(errc::invalid_argument, wrong));
        } else if (is_localhost(host)) {
            value_type both;
            for (const ip_address& a : {ip_address::loopback_v6(), ip_address::loopback_v4()}) {
                if (a.is_v6() && query_->family() == address_family::any && !has_ipv6()) continue;
                if (wants(a)) both.emplace_back(a, query_->port());
            }
            set(std::move(both));
        }
        return has_answer_;
    }
    bool wants(const ip_address& a) const noexcept {
        return query_->family() == address_family::any || (query_->family() == address_family::v6) == a.is_v6();
    }

    /// Leaves the query, whose late answer goes nowhere then, the timer and the stop source.
    void settle() noexcept {
        if (query_->asker_ == this) query_->asker_ = nullptr;
        if (timer_heap::is_set(timer_)) loop_->cancel_timer(timer_);
        stop_.unlink();
        if (waiter_) loop_->make_ready(*std::exchange(waiter_, nullptr));
    }
    void set(result<value_type> answer) noexcept {
        answer_ = std::move(answer);
        has_answer_ = true;
    }
    void give_up(errc why) noexcept {
        set(why);
        settle();
    }
    void answered(result<value_type> answer) noexcept {
        set(std::move(answer));
        settle();
    }

    resolve_query_ref query_;
    duration timeout_;
    std::string service_;  // what was given, if it is unknown
    bool has_service_ = false;
    result<value_type> answer_{errc::cancelled};
    bool has_answer_ = false;
    reactor* loop_ = nullptr;
    waiter* waiter_ = nullptr;
    timer_node timer_;
    stop_node stop_;
};

}  // namespace detail

inline void resolve_query::finish(result<std::vector<endpoint>> answer) noexcept {
    if (!asker_) return;
    if (answer && answer->empty()) answer = result<std::vector<endpoint>>{errc::host_not_found};
    asker_->answered(std::move(answer));
}

/// Looks `host` up: `std::vector<endpoint> found = co_await resolve("example.org", "https")`. The list is not empty and
/// in the order of RFC 6724 in which it should be tried; all have the port of `service`. Both strings are copied.
///
/// `host` is an IP address (IPv6 also in brackets) or "localhost" or a name below it, which are answered without any
/// lookup, or a name: then the hosts file and DNS are asked (in the order of /etc/nsswitch.conf, with the search list of
/// /etc/resolv.conf). `service` is a port number or a TCP service such as "https".
///
/// Throws errc::host_not_found, errc::resolve_failed (c-ares gives its reason), errc::timed_out, or errc::invalid_argument
/// for an empty host, one that is no host name, and an unknown service; phase::resolve, and the peer is the host. On
/// `cancelled` and errc::timed_out the late answer is dropped. Allocates; reads /etc/hosts synchronously.
[[nodiscard]] inline auto resolve(std::string_view host, std::string_view service, resolve_options options = {}) {
    return detail::resolve_operation{host, service, options};
}

/// Makes the tasks of this thread's reactor look names up by `other` (nullptr: by c-ares again); addresses and
/// "localhost" never come to it. Returns what was in use, nullptr for c-ares. `other` must live until the reactor has
/// ended or another is set. Throws errc::no_reactor outside run().
inline resolver* set_resolver(resolver* other) {
    reactor* loop = reactor::current();
    if (!loop) throw_error(errc::no_reactor);
    return std::exchange(loop->service<detail::chosen_resolver>().chosen, other);
}

/// The resolver by c-ares of this thread's reactor, for a resolver that knows some names and passes the others on.
/// Throws errc::no_reactor outside run().
inline resolver& system_resolver() {
    reactor* loop = reactor::current();
    if (!loop) throw_error(errc::no_reactor);
    return loop->service<detail::cares_resolver>();
}

/// Asks other name servers than those of /etc/resolv.conf, from this reactor: "192.0.2.1,192.0.2.2:5353,[2001:db8::1]:53"
/// (port 53 if none is given). Throws errc::invalid_argument, errc::busy while lookups are in progress, and
/// errc::no_reactor outside run().
template <class = void> void set_name_servers(std::string_view servers) {
    reactor* loop = reactor::current();
    if (!loop) throw_error(errc::no_reactor);
    loop->service<detail::cares_resolver>().set_servers(servers);
}

}  // namespace hawser
