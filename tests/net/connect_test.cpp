// tcp::connect: to one address and to many, its deadlines, its errors, and what it leaves behind.

#include <algorithm>
#include <map>

#include <hawser/coro/when_all.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/test/fake_backend.hpp>

#include "support/descriptors.hpp"
#include "support/doctest.hpp"
#include "support/sockets.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;
namespace hw = hawser;
using hw::errc;
using hw::test::fake_backend;

namespace {

hw::endpoint at(std::string_view text) { return hw::endpoint::parse(text).value(); }

/// Knows a few names, without any server.
struct table : hw::resolver {
    std::map<std::string, std::vector<hw::endpoint>> names;
    void start(hw::resolve_query_ref query) override {
        const auto found = names.find(query->host());
        if (found == names.end()) return query->finish(errc::host_not_found);
        std::vector<hw::endpoint> answer;
        for (const hw::endpoint& e : found->second) answer.emplace_back(e.address(), e.port() ? e.port() : query->port());
        query->finish(answer);
    }
};

/// A port on which nobody listens.
hw::endpoint closed_port() {
    raw_socket taken{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    hw::detail::raw_address a = hw::detail::to_raw(hw::endpoint::loopback(0));
    if (::bind(taken.fd(), &a.any, a.size) != 0) std::abort();
    return hw::detail::endpoint_of(taken.fd(), ::getsockname);
}

/// Listens, and lets nobody in: its backlog is full, so that the kernel drops what comes.
class black_hole {
public:
    explicit black_hole(const hw::endpoint& on = hw::endpoint::loopback(0)) : door_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        hw::detail::raw_address a = hw::detail::to_raw(on);
        if (::bind(door_.fd(), &a.any, a.size) != 0 || ::listen(door_.fd(), 0) != 0) std::abort();
        for (int i = 0; i < 4; ++i) {
            waiting_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            a = hw::detail::to_raw(where());
            (void)::connect(waiting_.back().fd(), &a.any, a.size);
        }
    }
    hw::endpoint where() const { return hw::detail::endpoint_of(door_.fd(), ::getsockname); }

private:
    raw_socket door_;
    std::vector<raw_socket> waiting_;
};

/// A network in virtual time: each address answers a connect after its delay, or never.
class network final : public hw::detail::backend {
public:
    struct host {
        hw::duration after = hw::duration::max();
        int result = 0;
    };
    struct attempt {
        std::string to;
        hw::duration at;
        bool cancelled = false;
    };
    std::map<std::string, host> hosts;
    std::vector<attempt> attempts;

    void start(hw::detail::op& o) noexcept override {
        o.active = true;
        o.cancelling = false;
        auto& raw = static_cast<hw::detail::connect_op&>(o).peer;
        const std::string to = hw::endpoint::from_sockaddr(&raw.any, raw.size).value().address().to_string();
        attempts.push_back({to, now_ - begin_});
        const host& h = hosts[to];
        pending_.push_back({&o, hw::deadline_after(now_, h.after), h.result, attempts.size() - 1});
    }
    void cancel(hw::detail::op& o) noexcept override {
        for (pending& p : pending_) {
            if (p.o != &o || o.cancelling) continue;
            o.cancelling = true;
            attempts[p.number].cancelled = true;
            p = {&o, now_, -ECANCELED, p.number};
        }
    }
    void wait(hw::time_point until) noexcept override {
        auto first = std::min_element(pending_.begin(), pending_.end(), [](auto& a, auto& b) { return a.due < b.due; });
        if (first == pending_.end() || first->due > until) {
            if (until == hw::time_point::max()) std::abort();
            if (until > now_) now_ = until;
            return;
        }
        const pending done = *first;
        pending_.erase(first);
        if (done.due > now_) now_ = done.due;
        done.o->active = false;
        done.o->on_complete(*done.o, {done.result, {}, false});
    }
    std::size_t in_flight() const noexcept override { return pending_.size(); }
    hw::time_point now() const noexcept override { return now_; }
    const char* name() const noexcept override { return "network"; }

    /// Connects to a name with these addresses; gives what was connected to, or the error.
    hw::result<std::string> connect(std::vector<hw::endpoint> addresses, hw::connect_options options = {}) {
        hw::result<std::string> got{errc::closed};
        const std::size_t before = open_descriptors();
        {
            auto body = [&]() -> hw::task<> {
                table names;
                names.names["many.test"] = addresses;
                hw::set_resolver(&names);
                auto line = co_await hw::as_result(hw::tcp::connect("many.test", "443", options));
                took = now_ - begin_;
                if (line) got = line->peer_name();
                else got = line.error();
            };
            hw::detail::root<hw::task<>> root{body()};
            hw::reactor loop{*this};
            root.run_on(loop).get();
        }
        CHECK(open_descriptors() == before);
        return got;
    }
    std::string order() const {
        std::string text;
        for (const attempt& a : attempts) {
            text += a.to + "@" + std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(a.at).count()) + (a.cancelled ? "x " : " ");
        }
        return text;
    }
    hw::duration took{};

private:
    struct pending {
        hw::detail::op* o;
        hw::time_point due;
        int result;
        std::size_t number;
    };
    const hw::time_point begin_{std::chrono::hours{1000}};
    hw::time_point now_ = begin_;
    std::vector<pending> pending_;
};

}  // namespace

TEST_SUITE("tcp::connect") {
    TEST_CASE("to an endpoint, an address, localhost; peers are named as the caller named them") {
        hw::run([]() -> hw::task<> {
            hw::tcp::listener door{hw::endpoint::any(0)};
            const std::string port = std::to_string(door.local_endpoint().port());
            auto a = co_await hw::tcp::connect(hw::endpoint::loopback(door.local_endpoint().port()));
            CHECK(a.peer_name() == "127.0.0.1:" + port);
            auto b = co_await hw::tcp::connect("127.0.0.1", port);
            CHECK(b.peer_name() == "127.0.0.1 (127.0.0.1:" + port + ")");
            auto c = co_await hw::tcp::connect("localhost", port);
            CHECK(c.peer_name().starts_with("localhost ("));
            for (int i = 0; i < 3; ++i) {
                auto accepted = co_await door.accept();
                CHECK(accepted.is_open());
                CHECK_FALSE(accepted.peer_name().starts_with("[::ffff:"));  // an IPv4 peer is shown as such
            }
        }());
    }
    TEST_CASE("refused: says who, where, and what to look at") {
        hw::run([]() -> hw::task<> {
            const hw::endpoint nobody = closed_port();
            auto r = co_await hw::as_result(hw::tcp::connect("127.0.0.1", std::to_string(nobody.port())));
            REQUIRE_FALSE(r);
            CHECK(r.error().code() == system(ECONNREFUSED));
            CHECK(r.error().doing() == hw::phase::connect);
            CHECK(r.error().message() == "connect to 127.0.0.1 (" + nobody.to_string() + "): Connection refused: nothing listens there");
            auto direct = co_await hw::as_result(hw::tcp::connect(nobody));
            CHECK((!direct && direct.error().peer() == nobody.to_string()));
        }());
    }
    TEST_CASE("no such host, and services that do not exist") {
        hw::run([]() -> hw::task<> {
            table names;
            hw::set_resolver(&names);
            auto r = co_await hw::as_result(hw::tcp::connect("nowhere.test", "80"));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::host_not_found);
            CHECK(r.error().message().find("nowhere.test") != std::string::npos);
            auto s = co_await hw::as_result(hw::tcp::connect("127.0.0.1", "no-such-service"));
            CHECK((!s && s.error() == errc::invalid_argument));
            hw::set_resolver(nullptr);
        }());
    }
    TEST_CASE("an address that does not answer: connect_timeout") {
        hw::run([]() -> hw::task<> {
            black_hole nobody;
            const auto before = hw::clock::now();
            hw::connect_options options;
            options.connect_timeout = 50ms;
            auto r = co_await hw::as_result(hw::tcp::connect(nobody.where(), options));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::timed_out);
            CHECK(r.error().doing() == hw::phase::connect);
            CHECK(r.error().message().find(nobody.where().to_string()) != std::string::npos);
            CHECK(hw::clock::now() - before >= 50ms);
            CHECK(hw::clock::now() - before < 1s);
        }());
    }
    TEST_CASE("the deadline unless one is given, in virtual time") {
        fake_backend io;
        const auto before = io.now();
        hw::test::run_on(io, []() -> hw::task<> {
            auto r = co_await hw::as_result(hw::tcp::connect(hw::endpoint::loopback(443)));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::timed_out);
        }());
        CHECK((io.now() - before == hw::defaults::connect_timeout));
        CHECK(io.in_flight() == 0);
    }
    TEST_CASE("a given address is connected to instead of the name's, which is still shown") {
        hw::run([]() -> hw::task<> {
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            hw::connect_options options;
            options.address = door.local_endpoint();
            auto line = co_await hw::tcp::connect("no.such.host.test", "443", options);
            CHECK(line.remote_endpoint() == door.local_endpoint());
            CHECK(line.peer_name() == "no.such.host.test (" + door.local_endpoint().to_string() + ")");
        }());
    }
    TEST_CASE("local bind: the peer sees the chosen address; one that is not ours is named") {
        hw::run([]() -> hw::task<> {
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            hw::connect_options options;
            options.local_endpoint = at("127.0.0.9:0");
            auto line = co_await hw::tcp::connect(door.local_endpoint(), options);
            auto far = co_await door.accept();
            CHECK(line.local_endpoint().address() == at("127.0.0.9:0").address());
            CHECK(far.remote_endpoint() == line.local_endpoint());
            options.local_endpoint = at("192.0.2.1:0");
            auto r = co_await hw::as_result(hw::tcp::connect(door.local_endpoint(), options));
            REQUIRE_FALSE(r);
            CHECK(r.error().code() == system(EADDRNOTAVAIL));
            CHECK(r.error().message().find("192.0.2.1") != std::string::npos);
        }());
    }
    TEST_CASE("socket options are set before connecting; one that is refused is named") {
        hw::run([]() -> hw::task<> {
            hw::connect_options options;
            options.socket.keepalive = true;
            options.socket.keepalive_probes = 1'000'000;
            auto r = co_await hw::as_result(hw::tcp::connect(hw::endpoint::loopback(1), options));
            REQUIRE_FALSE(r);
            CHECK(r.error().code() == system(EINVAL));
            CHECK(r.error().detail().find("TCP_KEEPCNT") != std::string::npos);
        }());
    }
    TEST_CASE("cancelled in the middle it leaves no descriptor and no operation") {
        hw::run([]() -> hw::task<> {
            black_hole nobody;
            const std::size_t before = open_descriptors();
            auto r = co_await hw::as_result(hw::with_timeout(10ms, hw::tcp::connect(nobody.where())));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::timed_out);
            co_await hw::with_scope([&](hw::scope& s) -> hw::task<> {
                s.request_stop();
                auto stopped = co_await hw::as_result(hw::tcp::connect(nobody.where()));
                CHECK((!stopped && stopped.error() == errc::cancelled));
            });
            CHECK(open_descriptors() == before);
        }());
    }
}

TEST_SUITE("several addresses race, RFC 8305") {
    TEST_CASE("families take turns, the first family first") {
        const auto mixed = hw::detail::interleave({at("[::1]:1"), at("[::2]:1"), at("[::3]:1"), at("10.0.0.1:1"), at("10.0.0.2:1")});
        CHECK((mixed == std::vector{at("[::1]:1"), at("10.0.0.1:1"), at("[::2]:1"), at("10.0.0.2:1"), at("[::3]:1")}));
        const auto v4_first = hw::detail::interleave({at("10.0.0.1:1"), at("10.0.0.2:1"), at("[::1]:1")});
        CHECK((v4_first == std::vector{at("10.0.0.1:1"), at("[::1]:1"), at("10.0.0.2:1")}));
        CHECK(hw::detail::interleave({}).empty());
    }
    TEST_CASE("the next address is tried 250 ms after the last; the first that answers wins and the others are cancelled") {
        network net;
        net.hosts["::2"] = {.after = 1s, .result = 0};
        auto got = net.connect({at("[::1]:443"), at("[::2]:443"), at("10.0.0.1:443"), at("10.0.0.2:443")});
        CHECK(net.order() == "::1@0x 10.0.0.1@250x ::2@500 10.0.0.2@750x ");
        REQUIRE(got);
        CHECK(*got == "many.test ([::2]:443)");
        CHECK((net.took == 1500ms));
    }
    TEST_CASE("one that answers in time is the only one") {
        network net;
        net.hosts["::1"] = {.after = 249ms, .result = 0};
        auto got = net.connect({at("[::1]:443"), at("10.0.0.1:443")});
        CHECK(net.order() == "::1@0 ");
        CHECK((got && *got == "many.test ([::1]:443)"));
    }
    TEST_CASE("after a failure the next is tried at once") {
        network net;
        net.hosts["::1"] = {.after = 10ms, .result = -ENETUNREACH};
        net.hosts["10.0.0.1"] = {.after = 10ms, .result = -ECONNREFUSED};
        net.hosts["::2"] = {.after = 30ms, .result = 0};
        auto got = net.connect({at("[::1]:443"), at("[::2]:443"), at("10.0.0.1:443")});
        CHECK(net.order() == "::1@0 10.0.0.1@10 ::2@20 ");
        CHECK((got && *got == "many.test ([::2]:443)"));
        CHECK((net.took == 50ms));
    }
    TEST_CASE("a slow first one may still win while others are tried") {
        network net;
        net.hosts["::1"] = {.after = 300ms, .result = 0};
        auto got = net.connect({at("[::1]:443"), at("10.0.0.1:443"), at("10.0.0.2:443")});
        CHECK(net.order() == "::1@0 10.0.0.1@250x ");
        CHECK((got && *got == "many.test ([::1]:443)"));
    }
    TEST_CASE("two that answer at the same time: one wins, the other is closed") {
        network net;
        net.hosts["::1"] = {.after = 350ms, .result = 0};
        net.hosts["10.0.0.1"] = {.after = 100ms, .result = 0};
        auto got = net.connect({at("[::1]:443"), at("10.0.0.1:443")});
        CHECK((got && *got == "many.test ([::1]:443)"));
    }
    TEST_CASE("all fail: the first failure is told, and how many more there were") {
        network net;
        net.hosts["::1"] = {.after = 10ms, .result = -ENETUNREACH};
        net.hosts["10.0.0.1"] = {.after = 10ms, .result = -ECONNREFUSED};
        auto got = net.connect({at("[::1]:443"), at("10.0.0.1:443")});
        REQUIRE_FALSE(got);
        CHECK(got.error().code() == system(ENETUNREACH));
        CHECK(got.error().message() == "connect to many.test ([::1]:443): Network is unreachable: and 1 more address(es) of it");
    }
    TEST_CASE("none answers: the deadline is for all together") {
        network net;
        auto got = net.connect({at("[::1]:443"), at("10.0.0.1:443"), at("10.0.0.2:443")}, {.connect_timeout = 2s});
        REQUIRE_FALSE(got);
        CHECK(got.error() == errc::timed_out);
        CHECK(net.order() == "::1@0x 10.0.0.1@250x 10.0.0.2@500x ");
        CHECK((net.took == 2s));
        network refusing;
        refusing.hosts["10.0.0.1"] = {.after = 10ms, .result = -ECONNREFUSED};
        auto mixed = refusing.connect({at("[::1]:443"), at("10.0.0.1:443")}, {.connect_timeout = 2s});
        CHECK((!mixed && mixed.error() == errc::timed_out));
    }
    TEST_CASE("another delay") {
        network net;
        auto got = net.connect({at("[::1]:443"), at("10.0.0.1:443"), at("10.0.0.2:443")}, {.connect_timeout = 500ms, .attempt_delay = 100ms});
        CHECK(net.order() == "::1@0x 10.0.0.1@100x 10.0.0.2@200x ");
        CHECK_FALSE(got.has_value());
    }
    TEST_CASE("on real sockets: the first address swallows everything, the second answers") {
        hw::run([]() -> hw::task<> {
            hw::tcp::listener door{at("127.0.0.3:0")};
            black_hole nobody{hw::endpoint{at("127.0.0.2:0").address(), door.local_endpoint().port()}};
            table names;
            names.names["many.test"] = {nobody.where(), door.local_endpoint()};
            hw::set_resolver(&names);
            hw::connect_options options;
            options.attempt_delay = 30ms;
            const auto before = hw::clock::now();
            auto line = co_await hw::tcp::connect("many.test", "443", options);
            CHECK(line.remote_endpoint() == door.local_endpoint());
            CHECK(hw::clock::now() - before >= 30ms);
            CHECK(hw::clock::now() - before < 1s);
            hw::set_resolver(nullptr);
        }());
    }
}
