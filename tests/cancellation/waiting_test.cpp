// The rows of everything that is not an operation of a stream: time, events, joins, names, connections, handshakes.

#include <poll.h>

#include <coroutine>

#include <hawser/hawser.hpp>

#include "table.hpp"

#include "tls/openssl_peer.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;
using hw::detail::op_kind;
using hw::test::fake_backend;

namespace {

/// For operations whose object does not survive a stop, or serves once.
template <class W> hw::task<> nothing_more(W&, const observed&, bool) { co_return; }
const auto done = [](auto&) -> std::string { return "done"; };
const std::string gone = hw::make_error_code(errc::no_reactor).message();

// Time.

struct empty : world {};

void add_time() {
    const steps<empty> time_passes{.complete = [](empty& w) { w.io.advance(10ms); }};
    add<empty>({.name = "sleep_for", .value = "done"}, [](empty&) { return hw::sleep_for(10ms); }, done, time_passes);
    add<empty>({.name = "sleep_until", .value = "done"}, [](empty& w) { return hw::sleep_until(w.io.now() + 10ms); }, done, time_passes);
    add<empty>({.name = "yield", .value = "done", .waits = false}, [](empty&) { return hw::yield(); }, done, time_passes);
    add<empty>({.name = "get_stop_token", .value = "a token", .before_start = "a token", .waits = false},
               [](empty&) { return hw::get_stop_token(); }, [](empty&, hw::stop_token) { return std::string{"a token"}; }, time_passes);
}

// Events, and what is built on waiting.

struct events : world {
    hw::event one, other;

    void set_both() noexcept {
        one.set();
        other.set();
    }
    hw::task<> wait_for_both() {
        co_await one.wait();
        co_await other.wait();
    }
    hw::task<> wait_for(hw::event& e) { co_await e.wait(); }
};
/// The event is reset, and the operation is awaited again.
hw::task<> reset_events(events& w, const observed&, bool completed) {
    if (completed) co_await w.wait_for_both();
    w.one.reset();
    w.other.reset();
    auto late = co_await hw::as_result(hw::with_timeout(1ms, w.one.wait()));
    CHECK((!late && late.error() == errc::timed_out));
}

/// Waits for both events in children, and gives a value of its own.
struct joining {
    events* of;
    hw::task<int> operator()(hw::scope& s) {
        s.spawn([](events* w) -> hw::task<> { co_await w->one.wait(); }, of);
        s.spawn([](events* w) -> hw::task<> { co_await w->other.wait(); }, of);
        co_await of->one.wait();
        co_return 7;
    }
};
struct joining_plainly {
    events* of;
    void operator()(hw::scope& s) {
        s.spawn([](events* w) -> hw::task<> { co_await w->wait_for_both(); }, of);
    }
};

void add_events() {
    const steps<events> set{.complete = [](events& w) { w.set_both(); }, .afterwards = reset_events};
    const auto number = [](events&, int n) { return std::to_string(n); };
    add<events>({.name = "event.wait", .value = "done"}, [](events& w) { return w.one.wait(); }, done, set);
    add<events>({.name = "a task", .value = "done", .stop_first = "cancelled"}, [](events& w) { return w.wait_for(w.one); }, done, set);
    add<events>({.name = "with_scope", .value = "done"}, [](events& w) { return hw::with_scope(joining_plainly{&w}); }, done,
                {.complete = [](events& w) { w.other.set(), w.one.set(); }, .afterwards = reset_events});
    add<events>({.name = "with_scope of a task", .value = "7"}, [](events& w) { return hw::with_scope(joining{&w}); }, number, set);
    add<events>({.name = "when_all", .value = "done"}, [](events& w) { return hw::when_all(w.one.wait(), w.wait_for(w.other)); }, done, set);
    add<events>({.name = "when_all of a vector", .value = "done"},
                [](events& w) {
                    std::vector<hw::task<>> both;
                    both.push_back(w.wait_for(w.one));
                    both.push_back(w.wait_for(w.other));
                    return hw::when_all(std::move(both));
                },
                done, set);
    add<events>({.name = "when_any", .value = "0"}, [](events& w) { return hw::when_any(w.one.wait(), hw::sleep_for(1h)); },
                [](events&, auto any) { return std::to_string(any.index); }, set);
    add<events>({.name = "with_timeout", .value = "done"}, [](events& w) { return hw::with_timeout(1h, w.one.wait()); }, done, set);
    add<events>({.name = "with_deadline", .value = "done"}, [](events& w) { return hw::with_deadline(w.io.now() + 1h, w.one.wait()); }, done, set);
    add<events>({.name = "shield", .value = "done", .before_start = "done", .stopped = "done", .stop_first = "done", .timed_out = "done", .deaf = true},
                [](events& w) { return hw::shield(w.one.wait(), 1h); }, done, set);
}

// An awaitable of another library, resumed from wherever.

struct elsewhere : world {
    std::coroutine_handle<> waiting;
    struct awaitable {
        elsewhere* of;
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<> h) const noexcept { of->waiting = h; }
        int await_resume() const noexcept { return 42; }
    };
};

void add_foreign() {
    add<elsewhere>({.name = "foreign", .value = "42", .before_start = "42", .stopped = "42", .stop_first = "42", .timed_out = "42", .deaf = true},
                   [](elsewhere& w) { return hw::foreign(elsewhere::awaitable{&w}); }, [](elsewhere&, int n) { return std::to_string(n); },
                   {.complete = [](elsewhere& w) {
                       std::exchange(w.waiting, {}).resume();
                       w.io.complete(*w.io.find(op_kind::poll), POLLIN);  // the eventfd of the post
                   }});
}

// Names.

struct names : world, hw::resolver {
    std::vector<hw::resolve_query_ref> asked;
    std::vector<hw::endpoint> known;  // answered at once

    void start(hw::resolve_query_ref query) override {
        if (!known.empty()) return query->finish(known);
        asked.push_back(std::move(query));
    }
    hw::task<> prepare() override {
        hw::set_resolver(this);
        co_return;
    }
    void answer(std::vector<hw::endpoint> found) {
        for (auto& query : std::exchange(asked, {})) query->finish(found);
    }
    static hw::endpoint at(std::string_view text) { return hw::endpoint::parse(text).value(); }
};

void add_names() {
    add<names>({.name = "resolve", .value = "192.0.2.1:443", .reset = hw::make_error_code(errc::resolve_failed).message()},
               [](names&) { return hw::resolve("name.test", "https"); },
               [](names&, std::vector<hw::endpoint> found) { return found.at(0).to_string(); },
               {.complete = [](names& w) { w.answer({names::at("192.0.2.1:443")}); },
                .reset = [](names& w) { w.asked.at(0)->finish(errc::resolve_failed); },
                .afterwards = [](names& w, const observed&, bool) -> hw::task<> {
                    w.answer({names::at("192.0.2.9:443")});  // a late one goes nowhere
                    auto literal = co_await hw::resolve("192.0.2.2", "https");
                    CHECK(literal.at(0).to_string() == "192.0.2.2:443");
                }});
}

// Connections. The sockets are real, what becomes of them is scripted.

struct connecting : names {
    std::optional<hw::tcp::stream> line;
    void connected() { io.complete(*io.find(op_kind::connect), 0); }
    void refused() { io.complete(*io.find(op_kind::connect), -ECONNREFUSED); }
    /// The newest attempt.
    void last_connected() {
        hw::detail::op* last = nullptr;
        for (int fd = 0; fd < 1024; ++fd) {
            if (hw::detail::op* o = io.find(op_kind::connect, fd); o && to(*o) == "192.0.2.2") last = o;
        }
        io.complete(*last, 0);
    }
    static std::string to(hw::detail::op& o) {
        auto& peer = static_cast<hw::detail::connect_op&>(o).peer;
        return hw::endpoint::from_sockaddr(&peer.any, peer.size).value().address().to_string();
    }
    void leave() override { line.reset(); }
};

void add_connecting() {
    const auto peer = [](connecting& w, hw::tcp::stream s) {
        std::string name = s.peer_name();
        w.line.emplace(std::move(s));
        return name;
    };
    const std::string refused = std::error_code{ECONNREFUSED, std::system_category()}.message();
    add<connecting>({.name = "tcp::connect to an endpoint", .value = "192.0.2.1:443", .stop_first = "192.0.2.1:443", .reset = refused},
                    [](connecting&) { return hw::tcp::connect(names::at("192.0.2.1:443")); }, peer,
                    {.complete = [](connecting& w) { w.connected(); }, .reset = [](connecting& w) { w.refused(); }});
    // Of two attempts at once the later one is answered.
    add<connecting>({.name = "tcp::connect to a name", .value = "name.test (192.0.2.2:443)", .stop_first = "name.test (192.0.2.2:443)",
                     .wait = 300ms},
                    [](connecting&) { return hw::tcp::connect("name.test", "443"); }, peer,
                    {.complete = [](connecting& w) { w.last_connected(); },
                     .afterwards = nothing_more<connecting>,
                     .prepare = [](connecting& w) -> hw::task<> {
                         w.known = {names::at("192.0.2.1:443"), names::at("192.0.2.2:443")};
                         co_return;
                     }});
}

struct listening : world {
    std::optional<hw::tcp::listener> door;
    hw::tcp::stream line;

    hw::task<> prepare() override {
        door.emplace(hw::endpoint::loopback(0));
        co_return;
    }
    void leave() override {
        line = {};
        door.reset();
    }
    void comes() { io.complete(*io.find(op_kind::accept), fake_backend::descriptor(7)); }
};
struct tls_listening : world {
    std::optional<hw::tls::listener> door;
    hw::tls::pending caller;

    hw::task<> prepare() override {
        door.emplace(server_config(), hw::endpoint::loopback(0));
        co_return;
    }
    void leave() override {
        caller = {};
        door.reset();
    }
    void comes() { io.complete(*io.find(op_kind::accept), fake_backend::descriptor(7)); }
};
hw::task<> greet(hw::tls::stream& line) { co_await line.write("hello"); }

void add_listening() {
    add<listening>({.name = "tcp::listener.accept", .value = "accepted", .stop_first = "accepted", .reset = "accepted", .gone = gone},
                   [](listening& w) { return w.door->accept(); },
                   [](listening& w, hw::tcp::stream s) {
                       w.line = std::move(s);
                       return std::string{w.line.native_handle() == fake_backend::descriptor(7) ? "accepted" : "another"};
                   },
                   {.complete = [](listening& w) { w.comes(); },
                    .reset = [](listening& w) {
                        // One that went away before it was accepted is not this operation's end.
                        w.io.complete(*w.io.find(op_kind::accept), -ECONNABORTED);
                        w.io.when_idle([&w] { w.comes(); });
                    }});
    add<tls_listening>({.name = "tls::listener.accept", .value = "accepted", .stop_first = "accepted", .gone = gone},
                       [](tls_listening& w) { return w.door->accept(); },
                       [](tls_listening& w, hw::tls::pending p) {
                           w.caller = std::move(p);
                           return std::string{"accepted"};
                       },
                       {.complete = [](tls_listening& w) { w.comes(); }});
    const std::string closed = hw::make_error_code(errc::closed).message();
    add<tls_listening>({.name = "tls::listener.serve", .value = closed, .gone = gone}, [](tls_listening& w) { return w.door->serve(greet); }, done,
                       {.complete = [](tls_listening& w) { w.door->close(); }, .afterwards = nothing_more<tls_listening>});
}

// Handshakes. The peer's whole answer is one completion.

struct shaking_hands : names {
    int fd = fake_backend::descriptor(1);
    std::optional<openssl_peer> peer;
    std::size_t seen = 0;
    std::optional<hw::tls::listener> door;
    hw::tls::pending caller;
    hw::tls::stream line;

    hw::tcp::stream socket() { return hw::tcp::stream::make(*hw::reactor::current(), hw::detail::unique_fd{fd}, hw::endpoint::loopback(443), "localhost"); }
    void as_server() { peer.emplace(true, TLS1_3_VERSION); }
    /// Its hello has come already.
    void as_client() {
        peer.emplace(false, TLS1_3_VERSION);
        peer->drive();
        io.deliver(fd, peer->take_output());
    }
    void answer_all() {
        const std::string& sent = io.sent(fd);
        const auto fresh = view(std::string_view{sent}.substr(seen));
        seen = sent.size();
        peer->receive(bytes{fresh.begin(), fresh.end()});
        io.deliver(fd, peer->take_output());
    }
    void reset_connection() { io.end(fd, ECONNRESET); }
    void leave() override {
        line = {};
        caller = {};
        door.reset();
    }
};

void add_handshakes() {
    using hands = shaking_hands;
    const auto shaken = [](hands& w, hw::tls::stream s) {
        w.line = std::move(s);
        return w.line.session().version;
    };
    const std::string reset = "Connection reset by peer";
    const steps<hands> server{.complete = [](hands& w) { w.answer_all(); },
                              .reset = [](hands& w) { w.reset_connection(); },
                              .afterwards = nothing_more<hands>,
                              .prepare = [](hands& w) -> hw::task<> { w.as_client(); co_return; }};
    add<hands>({.name = "tls::handshake", .value = "TLSv1.3", .reset = reset},
               [](hands& w) { return hw::tls::handshake(w.socket(), "localhost", client_config({})); }, shaken,
               {.complete = [](hands& w) { w.answer_all(); },
                .reset = [](hands& w) { w.reset_connection(); },
                .afterwards = nothing_more<hands>,
                .prepare = [](hands& w) -> hw::task<> { w.as_server(); co_return; }});
    add<hands>({.name = "tls::accept", .value = "TLSv1.3", .reset = reset},
               [](hands& w) { return hw::tls::accept(w.socket(), server_config()); }, shaken, server);
    steps<hands> accepted = server;
    accepted.prepare = [](hands& w) -> hw::task<> {
        w.door.emplace(server_config(), hw::endpoint::loopback(0));
        w.io.when_idle([&w] { w.io.complete(*w.io.find(op_kind::accept), w.fd); });
        w.caller = co_await w.door->accept();
        w.as_client();
    };
    add<hands>({.name = "pending.handshake", .value = "TLSv1.3", .reset = reset}, [](hands& w) { return w.caller.handshake(); }, shaken, accepted);
    add<hands>({.name = "tls::connect", .value = "TLSv1.3", .reset = reset},
               [](hands&) {
                   return hw::tls::connect("localhost", "443", client_config({}), hw::tls::connect_options{.tcp = {.address = names::at("192.0.2.1:443")}});
               },
               shaken,
               {.complete = [](hands& w) { w.answer_all(); },
                .reset = [](hands& w) { w.reset_connection(); },
                .afterwards = nothing_more<hands>,
                .prepare = [](hands& w) -> hw::task<> {
                    w.as_server();
                    w.io.when_idle([&w] {
                        hw::detail::op& attempt = *w.io.find(op_kind::connect);
                        w.fd = attempt.fd;
                        w.io.complete(attempt, 0);
                    });
                    co_return;
                }});
}

const bool added = [] {
    add_time();
    add_events();
    add_foreign();
    add_names();
    add_connecting();
    add_listening();
    add_handshakes();
    return true;
}();

}  // namespace
