#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <poll.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>

#include <hawser/coro/when_all.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/net/resolve.hpp>
#include <hawser/reactor/run_on_threads.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>

using namespace std::chrono_literals;
namespace hw = hawser;

namespace {

using endpoints = std::vector<hw::endpoint>;

/// A name server on loopback, UDP and TCP, that answers by the first label of the name.
class dns_server {
public:
    dns_server() {
        udp_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        tcp_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        wake_ = ::eventfd(0, EFD_CLOEXEC);
        const int room = 4 << 20;  // a dropped question costs a second
        ::setsockopt(udp_, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        for (int tries = 0; tries < 20; ++tries) {  // both protocols on one port
            a.sin_port = 0;
            socklen_t size = sizeof a;
            if (::bind(udp_, reinterpret_cast<sockaddr*>(&a), size) != 0) std::abort();
            ::getsockname(udp_, reinterpret_cast<sockaddr*>(&a), &size);
            if (::bind(tcp_, reinterpret_cast<sockaddr*>(&a), size) == 0) break;
            ::close(udp_);
            udp_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        }
        if (::listen(tcp_, 16) != 0) std::abort();
        name_ = "127.0.0.1:" + std::to_string(ntohs(a.sin_port));
        thread_ = std::thread{[this] { serve(); }};
    }
    ~dns_server() {
        const std::uint64_t one = 1;
        if (::write(wake_, &one, sizeof one) < 0) std::abort();
        thread_.join();
        for (int fd : {udp_, tcp_, wake_}) ::close(fd);
    }
    const std::string& name() const { return name_; }
    /// Questions received for a first label.
    int asked(const std::string& label) {
        std::lock_guard lock{mutex_};
        int n = 0;
        for (const std::string& q : questions_) n += q == label;
        return n;
    }
    /// Answers what was held back ("held", "later").
    void release() {
        std::lock_guard lock{mutex_};
        for (auto& [reply, to] : held_) ::sendto(udp_, reply.data(), reply.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
        held_.clear();
    }

private:
    using bytes = std::string;

    static void put16(bytes& out, unsigned v) {
        out += static_cast<char>(v >> 8 & 0xff);
        out += static_cast<char>(v & 0xff);
    }
    static void put_record(bytes& out, const bytes& name, unsigned type, const bytes& data) {
        out += name;
        put16(out, type);
        put16(out, 1);
        put16(out, 0);
        put16(out, 60);
        put16(out, static_cast<unsigned>(data.size()));
        out += data;
    }
    static bytes v6(const char* text) {
        bytes out(16, '\0');
        ::inet_pton(AF_INET6, text, out.data());
        return out;
    }
    static bytes v4(const char* text) {
        bytes out(4, '\0');
        ::inet_pton(AF_INET, text, out.data());
        return out;
    }

    struct question {
        std::string label;
        unsigned type = 0;
        std::size_t end = 0;  // of the question section
    };
    static bool read_question(const bytes& query, question& q) {
        if (query.size() < 17) return false;
        const auto at = [&](std::size_t i) { return static_cast<unsigned char>(query[i]); };
        q.label = query.substr(13, at(12));
        std::size_t i = 12;
        while (i < query.size() && at(i) != 0) i += at(i) + 1u;
        if (i + 5 > query.size()) return false;
        q.type = at(i + 1) * 256u + at(i + 2);
        q.end = i + 5;
        return true;
    }

    /// Empty: no reply.
    bytes answer(const bytes& query, bool over_tcp) {
        question q;
        if (!read_question(query, q)) return {};
        {
            std::lock_guard lock{mutex_};
            questions_.push_back(over_tcp ? q.label + "/tcp" : q.label);
        }
        constexpr unsigned a = 1, cname = 5, aaaa = 28;
        const bytes self("\xc0\x0c", 2);  // a pointer to the name in the question
        bytes records;
        unsigned count = 0, rcode = 0;
        bool truncated = false;
        const auto add = [&](const bytes& name, unsigned type, const bytes& data) {
            put_record(records, name, type, data);
            ++count;
        };
        const std::string& l = q.label;
        if (l == "silent") return {};
        if (l == "garbage") return "this is not DNS";
        if (l == "broken") return query.substr(0, 2) + bytes("\x81\x80\x00\x01\x00\x09\x00\x00\x00\x00", 10) + query.substr(12, q.end - 12) + "xx";
        if (l == "both" || l == "held" || l == "later") {
            if (q.type == a) add(self, a, v4("192.0.2.1"));
            if (q.type == aaaa) add(self, aaaa, v6("2001:db8::1"));
        } else if (l == "four") {
            if (q.type == a) add(self, a, v4("192.0.2.4"));
        } else if (l == "six") {
            if (q.type == aaaa) add(self, aaaa, v6("2001:db8::6"));
        } else if (l == "half") {  // AAAA fails, A does not
            if (q.type == a) add(self, a, v4("192.0.2.5"));
            else rcode = 2;
        } else if (l == "alias") {
            const bytes target("\x06target\x04test\x00", 13);
            add(self, cname, target);
            if (q.type == a) add(target, a, v4("192.0.2.7"));
        } else if (l == "twice") {
            if (q.type == a) for (int i = 0; i < 2; ++i) add(self, a, v4("192.0.2.8"));
        } else if (l == "large") {
            if (!over_tcp) truncated = true;
            else if (q.type == a) for (int i = 0; i < 200; ++i) add(self, a, v4(("10.1.2." + std::to_string(i)).c_str()));
        } else if (l == "refused") {
            rcode = 5;
        } else if (l == "servfail") {
            rcode = 2;
        } else if (l != "empty") {
            rcode = 3;
        }
        bytes reply = query.substr(0, 2);
        reply += static_cast<char>(truncated ? 0x87 : 0x85);
        reply += static_cast<char>(0x80u | rcode);
        put16(reply, 1);
        put16(reply, count);
        put16(reply, 0);
        put16(reply, 0);
        reply += query.substr(12, q.end - 12);
        reply += records;
        return reply;
    }

    void serve() {
        std::vector<pollfd> fds = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}, {wake_, POLLIN, 0}};
        for (;;) {
            ::poll(fds.data(), fds.size(), -1);
            if (fds[2].revents) break;
            if (fds[0].revents) {
                char buffer[2048];
                sockaddr_in from{};
                socklen_t size = sizeof from;
                const ssize_t n = ::recvfrom(udp_, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size);
                const bytes query(buffer, n > 0 ? static_cast<std::size_t>(n) : 0);
                const bytes reply = answer(query, false);
                question q;
                if (read_question(query, q) && (q.label == "held" || q.label == "later")) {
                    std::lock_guard lock{mutex_};
                    held_.emplace_back(reply, from);
                } else if (!reply.empty()) {
                    ::sendto(udp_, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
                }
            }
            for (std::size_t i = fds.size(); i-- > 3;) {
                if (!fds[i].revents || serve_tcp(fds[i].fd)) continue;
                ::close(fds[i].fd);
                fds.erase(fds.begin() + static_cast<std::ptrdiff_t>(i));
            }
            if (fds[1].revents) fds.push_back({::accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC), POLLIN, 0});
        }
        for (std::size_t i = 3; i < fds.size(); ++i) ::close(fds[i].fd);
    }
    /// One question; false at the end of the connection.
    bool serve_tcp(int fd) {
        unsigned char head[2];
        if (::recv(fd, head, 2, MSG_WAITALL) != 2) return false;
        bytes query(head[0] * 256u + head[1], '\0');
        if (::recv(fd, query.data(), query.size(), MSG_WAITALL) != static_cast<ssize_t>(query.size())) return false;
        bytes reply;
        const bytes body = answer(query, true);
        put16(reply, static_cast<unsigned>(body.size()));
        reply += body;
        return ::send(fd, reply.data(), reply.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(reply.size());
    }

    int udp_ = -1, tcp_ = -1, wake_ = -1;
    std::string name_;
    std::mutex mutex_;
    std::vector<std::string> questions_;
    std::vector<std::pair<bytes, sockaddr_in>> held_;
    std::thread thread_;
};

std::string text(const endpoints& list) {
    std::set<std::string> sorted;  // the order of RFC 6724 depends on this machine's routes
    for (const hw::endpoint& e : list) sorted.insert(e.to_string());
    std::string out;
    for (const std::string& s : sorted) out += (out.empty() ? "" : " ") + s;
    return out;
}

hw::task<hw::result<endpoints>> ask(std::string servers, std::string host, std::string service, hw::resolve_options options) {
    if (!servers.empty()) hw::set_name_servers(servers);
    co_return co_await hw::as_result(hw::resolve(host, service, options));
}

hw::result<endpoints> looked_up(const std::string& servers, const std::string& host, const std::string& service = "80", hw::resolve_options options = {}) {
    return hw::run(ask(servers, host, service, options));
}

/// What is said without any name server: a lookup that were made would fail to be refused in time.
hw::result<endpoints> without_servers(const std::string& host, const std::string& service = "80", hw::resolve_options options = {.timeout = 0ns}) {
    return looked_up({}, host, service, options);
}

/// A resolver that answers from a table of one, and counts.
struct table final : hw::resolver {
    void start(hw::resolve_query_ref query) override {
        ++asked;
        last = query->host();
        if (refuses) throw hw::error{hw::error_info{make_error_code(hw::errc::resolve_failed), hw::phase::setup, "the table", "is closed"}};
        if (later) return kept.push_back(std::move(query));
        answer(*query);
    }
    void answer(hw::resolve_query& q) const {
        if (gives_error) q.finish(hw::errc::host_not_found);
        else if (gives_nothing) q.finish(endpoints{});
        else q.finish(endpoints{{hw::ip_address::v4(192, 0, 2, 99), q.port()}});
    }
    int asked = 0;
    std::string last;
    bool later = false, gives_error = false, gives_nothing = false, refuses = false;
    std::vector<hw::resolve_query_ref> kept;
};

}  // namespace

TEST_SUITE("resolve") {
    TEST_CASE("addresses need no lookup") {
        CHECK(text(*without_servers("192.0.2.1", "80")) == "192.0.2.1:80");
        CHECK(text(*without_servers("2001:db8::1", "443")) == "[2001:db8::1]:443");
        CHECK(text(*without_servers("[2001:db8::1]", "443")) == "[2001:db8::1]:443");
        CHECK(text(*without_servers("fe80::1%2", "1")) == "[fe80::1%2]:1");
        CHECK(text(*without_servers("0.0.0.0", "0")) == "0.0.0.0:0");
    }

    TEST_CASE("localhost needs no lookup") {
        const std::string both = hw::detail::has_ipv6() ? "127.0.0.1:80 [::1]:80" : "127.0.0.1:80";
        for (const char* host : {"localhost", "LocalHost", "localhost.", "a.localhost", "a.b.LOCALHOST."}) {
            CAPTURE(host);
            CHECK(text(*without_servers(host)) == both);
            CHECK(text(*without_servers(host, "80", {.timeout = 0ns, .family = hw::address_family::v4})) == "127.0.0.1:80");
            CHECK(text(*without_servers(host, "80", {.timeout = 0ns, .family = hw::address_family::v6})) == "[::1]:80");
        }
        if (hw::detail::has_ipv6()) CHECK(without_servers("localhost")->front().address().is_v6());  // RFC 6724: ::1 before 127.0.0.1
        CHECK(!without_servers("notlocalhost.invalid"));
        CHECK(!without_servers("localhost.invalid"));
    }

    TEST_CASE("services") {
        CHECK(without_servers("::1", "http")->front().port() == 80);
        CHECK(without_servers("::1", "https")->front().port() == 443);
        CHECK(without_servers("::1", "65535")->front().port() == 65535);
        if (std::ifstream{"/etc/services"}) CHECK(without_servers("::1", "domain")->front().port() == 53);
        for (const char* bad : {"", "65536", "-1", "080", "80 ", "no-such-service", "99999999999999999999"}) {
            CAPTURE(bad);
            const auto r = without_servers("::1", bad);
            REQUIRE(!r);
            CHECK(r.error() == hw::errc::invalid_argument);
            CHECK(r.error().doing() == hw::phase::resolve);
            CHECK(r.error().message().find('"' + std::string{bad} + '"') != std::string::npos);
        }
        CHECK(!without_servers("::1", std::string(5000, 'x')));
        CHECK(!without_servers("::1", std::string("http\0", 5)));
    }

    TEST_CASE("hosts that can never work are refused, in words") {
        struct row {
            std::string host;
            const char* says;
        };
        for (const row& r : {row{"", "empty"}, row{std::string(254, 'a'), "253"}, row{std::string("a\0b", 3), "NUL"}, row{"a b", "blank"},
                             row{"http://example.org/", "URL"}, row{"user@example.org", "URL"}, row{"example.org:80", "service"},
                             row{"127.1", "four decimal"}, row{"0177.0.0.1", "leading zeros"}, row{"1", "four decimal"}, row{"[example.org]", "brackets"},
                             row{"[1.2.3.4]", "four decimal"}, row{"[::1", "hexadecimal"}, row{"1::2::3", "once"}, row{"fe80::1%no-such-if0", "interface"},
                             row{"[]", "empty"}}) {
            CAPTURE(r.host);
            const auto got = without_servers(r.host);
            REQUIRE(!got);
            CHECK(got.error() == hw::errc::invalid_argument);
            CHECK(got.error().doing() == hw::phase::resolve);
            CAPTURE(got.error().message());
            CHECK(got.error().detail().find(r.says) != std::string::npos);
        }
        CHECK(without_servers("ab c").error().peer() == "\"ab c\"");
        CHECK(without_servers("::1", "x").error().peer() == "::1");
    }

    TEST_CASE("an address of the family that is not wanted") {
        const auto r = without_servers("::1", "80", {.family = hw::address_family::v4});
        REQUIRE(!r);
        CHECK(r.error() == hw::errc::host_not_found);
        CHECK(r.error().peer() == "::1");
        CHECK(without_servers("::1", "80", {.family = hw::address_family::v6}));
    }

    TEST_CASE("DNS: addresses of both families, of one, behind an alias") {
        dns_server dns;
        CHECK(text(*looked_up(dns.name(), "both.test", "https")) == "192.0.2.1:443 [2001:db8::1]:443");
        CHECK(text(*looked_up(dns.name(), "both.test.")) == "192.0.2.1:80 [2001:db8::1]:80");
        CHECK(text(*looked_up(dns.name(), "four.test")) == "192.0.2.4:80");
        CHECK(text(*looked_up(dns.name(), "six.test")) == "[2001:db8::6]:80");
        CHECK(text(*looked_up(dns.name(), "alias.test")) == "192.0.2.7:80");
        CHECK(looked_up(dns.name(), "twice.test")->size() == 1);
        CHECK(text(*looked_up(dns.name(), "both.test", "80", {.family = hw::address_family::v4})) == "192.0.2.1:80");
        CHECK(text(*looked_up(dns.name(), "both.test", "80", {.family = hw::address_family::v6})) == "[2001:db8::1]:80");
    }

    TEST_CASE("DNS: an answer too large for UDP comes by TCP") {
        dns_server dns;
        const auto r = looked_up(dns.name(), "large.test", "80", {.family = hw::address_family::v4});
        REQUIRE(r);
        CHECK(r->size() == 200);
        CHECK(dns.asked("large/tcp") == 1);
    }

    TEST_CASE("DNS: one family fails, the other is enough") {
        dns_server dns;
        const auto r = looked_up(dns.name(), "half.test");
        REQUIRE(r);
        CHECK(text(*r) == "192.0.2.5:80");
    }

    TEST_CASE("DNS: no such name") {
        dns_server dns;
        for (const char* host : {"nx.test", "empty.test"}) {
            CAPTURE(host);
            const auto r = looked_up(dns.name(), host);
            REQUIRE(!r);
            CHECK(r.error() == hw::errc::host_not_found);
            CHECK(r.error().doing() == hw::phase::resolve);
            CHECK(r.error().peer() == host);
            CHECK(r.error().message().find(host) != std::string::npos);
            CHECK(!r.error().detail().empty());
        }
        const auto foreign = looked_up(dns.name(), "b\xc3\xbc" "cher.test");
        REQUIRE(!foreign);
        CHECK(foreign.error().detail().find("xn--") != std::string::npos);
        const auto empty_label = looked_up(dns.name(), "a..test");
        REQUIRE(!empty_label);
        CHECK(empty_label.error() == hw::errc::invalid_argument);
        const auto long_label = looked_up(dns.name(), std::string(64, 'a') + ".test");
        REQUIRE(!long_label);
        CHECK(long_label.error() == hw::errc::invalid_argument);
    }

    TEST_CASE("DNS: servers that refuse, fail, or are not there") {
        dns_server dns;
        const int unbound = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);  // holds a port on which nobody answers
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof a;
        REQUIRE(::bind(unbound, reinterpret_cast<sockaddr*>(&a), size) == 0);
        ::getsockname(unbound, reinterpret_cast<sockaddr*>(&a), &size);
        ::close(unbound);
        const std::string nobody = "127.0.0.1:" + std::to_string(ntohs(a.sin_port));
        for (const auto& [server, host] : {std::pair{dns.name(), "refused.test"}, {dns.name(), "servfail.test"}, {nobody, "both.test"}}) {
            CAPTURE(host);
            // One family: where two questions share a socket, c-ares 1.18 loses the refusal of one and waits for it.
            const auto r = looked_up(server, host, "80", {.family = hw::address_family::v4});
            REQUIRE(!r);
            CAPTURE(r.error().message());
            CHECK(r.error() == hw::errc::resolve_failed);
            CHECK(r.error().peer() == host);
            CHECK(r.error().detail().find("/etc/resolv.conf") != std::string::npos);
        }
        // The second server is asked where the first does not work.
        CHECK(text(*looked_up(nobody + "," + dns.name(), "four.test", "80", {.family = hw::address_family::v4})) == "192.0.2.4:80");
    }

    TEST_CASE("DNS: silence, garbage and broken answers end with the timeout or an error, not with a hang") {
        dns_server dns;
        for (const char* host : {"silent.test", "garbage.test", "broken.test"}) {
            CAPTURE(host);
            const auto r = looked_up(dns.name(), host, "80", {.timeout = 5ms});
            REQUIRE(!r);
            CAPTURE(r.error().message());
            const bool expected = r.error() == hw::errc::timed_out || r.error() == hw::errc::resolve_failed;
            CHECK(expected);
            CHECK(r.error().doing() == hw::phase::resolve);
            CHECK(r.error().peer() == host);
        }
        const auto silent = looked_up(dns.name(), "silent.test", "80", {.timeout = 5ms});
        CHECK(silent.error() == hw::errc::timed_out);
        CHECK(silent.error().detail().find("5 ms") != std::string::npos);
        CHECK(silent.error().detail().find("resolve_options.timeout") != std::string::npos);
    }

    TEST_CASE("DNS: many lookups at once on one channel") {
        dns_server dns;
        auto all = [&]() -> hw::task<int> {
            hw::set_name_servers(dns.name());
            int good = 0;
            auto children = [&](hw::scope& s) {
                for (int i = 0; i < 120; ++i) {
                    s.spawn([](int n, int& count) -> hw::task<> {
                        const char* const hosts[] = {"both.test", "four.test", "nx.test", "localhost", "192.0.2.3", "large.test"};
                        auto r = co_await hw::as_result(hw::resolve(hosts[n % 6], "80"));
                        if (n % 6 == 2) count += !r && r.error() == hw::errc::host_not_found;
                        else count += r.has_value();
                    }, i, std::ref(good));
                }
            };
            co_await hw::with_scope(children);
            co_return good;
        };
        CHECK(hw::run(all()) == 120);
    }

    TEST_CASE("DNS: a channel on each of several threads") {
        dns_server dns;
        std::atomic<int> good{0};
        auto body = [&]() -> hw::task<> {
            hw::set_name_servers(dns.name());
            for (int i = 0; i < 10; ++i) good += (co_await hw::resolve("both.test", "80")).size() == 2;
        };
        hw::run_on_threads(3, body);
        CHECK(good == 30);
    }

    TEST_CASE("a stop ends the wait at once, and the late answer is dropped") {
        dns_server dns;
        auto body = [&]() -> hw::task<std::string> {
            hw::set_name_servers(dns.name());
            std::string seen;
            auto scope = [&](hw::scope& s) -> hw::task<> {
                auto child = [&seen]() -> hw::task<> {
                    auto r = co_await hw::as_result(hw::resolve("held.test", "80"));
                    seen = r ? "answered" : r.error().code().message();
                };
                s.spawn(child);
                while (dns.asked("held") < 2) co_await hw::sleep_for(200us);
                s.request_stop();
            };
            co_await hw::with_scope(scope);
            dns.release();
            // The answer of the cancelled query comes before that of this one, and on the same channel.
            auto after = co_await hw::resolve("four.test", "80");
            co_return seen + ", then " + text(after);
        };
        CHECK(hw::run(body()) == "cancelled, then 192.0.2.4:80");
    }

    TEST_CASE("with_timeout is a stop; a stopped task does not ask") {
        dns_server dns;
        auto body = [&]() -> hw::task<std::string> {
            hw::set_name_servers(dns.name());
            auto r = co_await hw::as_result(hw::with_timeout(2ms, hw::resolve("silent.test", "80")));
            std::string seen = r ? "answered" : r.error().code().message();
            auto scope = [&](hw::scope& s) -> hw::task<> {
                s.request_stop();
                for (const char* host : {"four.test", "127.0.0.1"}) {
                    auto stopped = co_await hw::as_result(hw::resolve(host, "80"));
                    seen += stopped ? ", answered" : ", " + stopped.error().code().message();
                }
            };
            co_await hw::with_scope(scope);
            co_return seen;
        };
        CHECK(hw::run(body()) == "timed out, cancelled, cancelled");
        CHECK(dns.asked("four") == 0);
    }

    TEST_CASE("run() ends although the name server owes an answer") {
        dns_server dns;
        CHECK(looked_up(dns.name(), "later.test", "80", {.timeout = 1ms}).error() == hw::errc::timed_out);
        dns.release();  // to sockets that are gone
    }

    TEST_CASE("the hosts file") {
        std::ifstream hosts{"/etc/hosts"};
        std::string line;
        while (std::getline(hosts, line)) {
            std::istringstream words{line.substr(0, line.find('#'))};
            std::string address, name;
            if (!(words >> address >> name) || hw::detail::is_localhost(name) || !hw::ip_address::parse(address) || hw::ip_address::parse(name)) continue;
            CAPTURE(name);
            const auto r = looked_up("127.0.0.1:1", name);
            REQUIRE(r);
            bool found = false;
            for (const hw::endpoint& e : *r) found = found || e.address() == *hw::ip_address::parse(address);
            CHECK(found);
            return;
        }
        MESSAGE("no name in /etc/hosts to try");
    }

    TEST_CASE("name servers that are no addresses are refused") {
        auto body = []() -> hw::task<std::string> {
            std::string said;
            for (const char* bad : {"", ",", "example.org", "1.2.3.4:99999999", "1.2.3.4:0", "nonsense,127.0.0.1", "127.0.0.1,", " 127.0.0.1", "fe80::1%1"}) {
                try {
                    hw::set_name_servers(bad);
                    said += std::string{"took "} + bad + ";";
                } catch (const hw::error& e) {
                    if (e.code() != make_error_code(hw::errc::invalid_argument)) said += e.what();
                }
            }
            co_return said;
        };
        CHECK(hw::run(body()) == "");
    }

    TEST_CASE("name servers cannot be changed under a lookup") {
        dns_server dns;
        auto body = [&]() -> hw::task<bool> {
            hw::set_name_servers(dns.name());
            bool busy = false;
            auto scope = [&](hw::scope& s) -> hw::task<> {
                auto child = []() -> hw::task<> { co_await hw::resolve("silent.test", "80"); };
                s.spawn(child);
                while (dns.asked("silent") < 1) co_await hw::sleep_for(200us);
                try {
                    hw::set_name_servers("127.0.0.1");
                } catch (const hw::error& e) {
                    busy = e.code() == make_error_code(hw::errc::busy);
                }
                s.request_stop();
            };
            co_await hw::with_scope(scope);
            co_return busy;
        };
        CHECK(hw::run(body()));
    }

    TEST_CASE("another resolver") {
        table names;
        auto body = [&]() -> hw::task<> {
            CHECK(hw::set_resolver(&names) == nullptr);
            CHECK(text(co_await hw::resolve("anything.example", "https")) == "192.0.2.99:443");
            CHECK(names.last == "anything.example");
            co_await hw::resolve("localhost", "80");
            co_await hw::resolve("::1", "80");
            CHECK(names.asked == 1);

            names.gives_error = true;
            auto error = co_await hw::as_result(hw::resolve("a.example", "80"));
            CHECK(error.error() == hw::errc::host_not_found);
            CHECK(error.error().message() == "resolve a.example: no such host");
            names.gives_error = false;
            names.gives_nothing = true;
            auto nothing = co_await hw::as_result(hw::resolve("b.example", "80"));
            CHECK(nothing.error() == hw::errc::host_not_found);
            names.gives_nothing = false;
            names.refuses = true;
            auto refused = co_await hw::as_result(hw::resolve("c.example", "80"));
            CHECK(refused.error() == hw::errc::resolve_failed);
            CHECK(refused.error().peer() == "the table");
            names.refuses = false;

            CHECK(hw::set_resolver(nullptr) == &names);
        };
        hw::run(body());
        CHECK_THROWS_AS(hw::set_resolver(&names), hw::error);  // outside run()
        CHECK_THROWS_AS(hw::set_name_servers("127.0.0.1"), hw::error);
        CHECK_THROWS_AS(hw::system_resolver(), hw::error);
    }

    TEST_CASE("another resolver that answers later: in time, too late, never") {
        table names;
        names.later = true;
        auto body = [&]() -> hw::task<> {
            hw::set_resolver(&names);
            auto later = [&names]() -> hw::task<> {
                while (names.kept.empty()) co_await hw::yield();
                names.answer(*names.kept.back());
            };
            auto both = co_await hw::when_all(hw::resolve("a.example", "80"), later());
            CHECK(text(std::get<0>(both)) == "192.0.2.99:80");

            auto late = co_await hw::as_result(hw::resolve("b.example", "80", {.timeout = 0ns}));
            CHECK(late.error() == hw::errc::timed_out);
            names.answer(*names.kept.back());

            auto never = co_await hw::as_result(hw::resolve("c.example", "80", {.timeout = -1s}));
            CHECK(never.error() == hw::errc::timed_out);
        };
        hw::run(body());
        CHECK(names.kept.size() == 3);
        names.answer(*names.kept.back());  // the reactor is gone, and so is who asked
    }

    TEST_CASE("the answer and the stop in one turn: the answer is not lost") {
        table names;
        names.later = true;
        auto body = [&]() -> hw::task<std::string> {
            hw::set_resolver(&names);
            std::string seen;
            auto scope = [&](hw::scope& s) -> hw::task<> {
                auto child = [&seen]() -> hw::task<> {
                    auto r = co_await hw::as_result(hw::resolve("a.example", "80"));
                    seen = r ? text(*r) : "lost";
                };
                s.spawn(child);
                while (names.kept.empty()) co_await hw::yield();
                names.answer(*names.kept.back());
                s.request_stop();
            };
            co_await hw::with_scope(scope);
            co_return seen;
        };
        CHECK(hw::run(body()) == "192.0.2.99:80");
    }

    TEST_CASE("both strings are copied, and the operation may be moved before it starts") {
        table names;
        auto body = [&]() -> hw::task<> {
            hw::set_resolver(&names);
            auto host = std::make_unique<std::string>("copied-and-longer-than-any-small-string.example");
            auto service = std::make_unique<std::string>("8080");
            auto first = hw::resolve(*host, *service);
            host.reset();
            service.reset();
            auto second = std::move(first);
            auto found = co_await std::move(second);
            CHECK(text(found) == "192.0.2.99:8080");
            CHECK(names.last == "copied-and-longer-than-any-small-string.example");
            // Temporaries of the co_await expression, which g++ 12 is apt to destroy twice.
            CHECK(text(co_await hw::resolve("temporary-host-longer-than-a-small-string" + std::string{".example"}, std::to_string(8081),
                                            {.timeout = 1s, .family = hw::address_family::any})) == "192.0.2.99:8081");
        };
        hw::run(body());
    }
}
