// The rows of streams: the same for TCP, for TLS, and for a stream of a user's own behind any_stream.

#include <hawser/hawser.hpp>

#include "table.hpp"

#include "support/memory_stream.hpp"
#include "tls/scripted_server.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;
using hw::test::fake_backend;

namespace {



/// What all kinds of stream rows work on.
struct stream_world : world {
    char into[64] = {};
    std::string text;
    std::optional<hw::buffered<hw::any_stream&>> look_ahead;
    std::optional<memory_stream> sink;

    virtual hw::any_stream& line() = 0;
    virtual void deliver(std::string_view plaintext) = 0;
    /// The peer's proper end.
    virtual void end() = 0;
    /// What has come to the peer, without what carries it.
    virtual std::string peer_got() = 0;

    void hold_sends() { io.sends_complete = false; }
    void let_sends_go() {
        io.sends_complete = true;
        if (auto* held = io.find(hw::detail::op_kind::send, wire)) io.complete(*held, static_cast<int>(static_cast<hw::detail::send_op&>(*held).data.size()));
    }
    void fail_sends() {
        if (auto* held = io.find(hw::detail::op_kind::send, wire)) io.complete(*held, -ECONNRESET);
    }
    void fail_receive() { io.end(wire, ECONNRESET); }
    void begin_to_look_ahead() { look_ahead.emplace(line()); }
};

struct plain : stream_world {
    /// More than is accepted at once; the rest is accepted with the next send.
    static constexpr std::size_t much = 400'000;
    /// What a stopped read gives if bytes come before its task is resumed.
    static std::string late(std::string data) { return data; }
    static constexpr const char* ended_by_one_send = "";
    hw::tcp::stream stream;

    hw::task<> prepare() override {
        stream = scripted_socket("localhost");
        co_return;
    }
    hw::any_stream& line() override { return stream; }
    void leave() override { stream = {}; }
    void deliver(std::string_view plaintext) override { io.deliver(wire, plaintext); }
    void end() override { io.end(wire); }
    std::string peer_got() override { return io.sent(wire); }
};

struct tls : stream_world {
    static constexpr std::size_t much = 500'000;
    static std::string late(std::string data) { return data; }
    static constexpr const char* ended_by_one_send = "cancelled";  // close_notify is a send of its own here
    hw::tls::stream stream;
    scripted_server server{io};

    hw::task<> prepare() override {
        io.when_idle([this] { server.deliver(server.exchange()); });
        auto config = client_config({});
        stream = co_await hw::tls::handshake(scripted_socket("localhost"), "localhost", config);
        co_await stream.flush();
        server.deliver(server.exchange());
        co_await hw::yield();
    }
    hw::any_stream& line() override { return stream; }
    void leave() override { stream = {}; }
    void deliver(std::string_view plaintext) override {
        server.peer.write(plaintext);
        server.deliver(server.peer.take_output());
    }
    void end() override {
        SSL_shutdown(server.peer.line);
        server.deliver(server.peer.take_output());
        io.end(wire);
    }
    std::string peer_got() override {
        server.exchange();
        CHECK_FALSE(server.peer.failed);
        return server.peer.got;
    }
};

/// A user's class with the least that a stream must have, over a scripted socket.
class own_stream {
public:
    explicit own_stream(hw::tcp::stream s) : next_{std::move(s)} {}
    auto read_some(hw::mutable_buffer into) { return next_.read_some(into); }
    auto write(hw::const_buffer from) { return next_.write(from); }

private:
    hw::tcp::stream next_;
};
struct pumped : plain {
    static constexpr std::size_t much = 1'000'000;  // accepted here and in the stream below
    static std::string late(std::string) { return "cancelled"; }  // a pump brings them in a later turn, for the next read
    hw::any_stream stream;

    hw::task<> prepare() override {
        stream = hw::make_any_stream(own_stream{scripted_socket("localhost")});
        co_return;
    }
    hw::any_stream& line() override { return stream; }
    void leave() override { stream = {}; }
};

std::string name_of(const plain*) { return "tcp::stream"; }
std::string name_of(const tls*) { return "tls::stream"; }
std::string name_of(const pumped*) { return "make_any_stream"; }

template <class W> void add_stream_rows() {
    const std::string of = name_of(static_cast<const W*>(nullptr)) + " ";
    const auto count = [](W&, std::size_t n) { return std::to_string(n); };
    const auto itself = [](W&, std::string s) { return s; };
    const std::string reset = "Connection reset by peer", gone = hw::make_error_code(errc::no_reactor).message();

    add<W>({.name = of + "read_some", .value = "data", .stop_first = W::late("data"), .reset = reset, .gone = gone},
           [](W& w) { return w.line().read_some(w.into); },
           [](W& w, std::size_t n) { return std::string(w.into, n); },
           {.complete = [](W& w) { w.deliver("data"); }, .reset = [](W& w) { w.fail_receive(); }});
    add<W>({.name = of + "read", .value = "data", .stop_first = W::late("data"), .reset = reset, .gone = gone},
           [](W& w) { return w.line().read(); },
           [](W&, std::optional<std::span<const std::byte>> chunk) { return chunk ? std::string{hw::as_text(*chunk)} : "the end"; },
           {.complete = [](W& w) { w.deliver("data"); }, .reset = [](W& w) { w.fail_receive(); }});
    add<W>({.name = of + "read_exactly", .value = "0123456789", .stop_first = W::late("0123456789"), .reset = reset, .gone = gone, .moved = 5},
           [](W& w) { return hw::read_exactly(w.line(), hw::mutable_buffer{w.into, 10}); },
           [](W& w, std::size_t n) { return std::string(w.into, n); },
           {.complete = [](W& w) { w.deliver("56789"); },
            .reset = [](W& w) { w.fail_receive(); },
            .afterwards = [](W& w, const observed& first, bool completed) -> hw::task<> {
                const std::size_t have = first.text == "0123456789" ? 10 : first.transferred;
                if (!completed) w.deliver("56789");
                w.deliver("|");
                auto rest = co_await hw::as_result(hw::read_exactly(w.line(), hw::mutable_buffer{w.into + have, 11 - have}));
                CHECK(rest.has_value());
                CHECK(std::string_view{w.into, 11} == "0123456789|");
            },
            .prepare = [](W& w) -> hw::task<> { w.deliver("01234"); co_return; }});
    add<W>({.name = of + "read_all", .value = "0123456789", .stop_first = W::late("0123456789"), .reset = reset, .gone = gone, .moved = 5},
           [](W& w) { return hw::read_all(w.line()); }, itself,
           {.complete = [](W& w) { w.deliver("56789"), w.end(); },
            .reset = [](W& w) { w.fail_receive(); },
            .afterwards = [](W& w, const observed& first, bool completed) -> hw::task<> {
                const std::string text = first.text == "0123456789" ? first.text : std::string{"0123456789"}.substr(0, first.transferred);
                if (!completed) w.deliver("56789"), w.end();
                const std::string rest = co_await hw::read_all(w.line());
                CHECK(text + rest == "0123456789");
            },
            .prepare = [](W& w) -> hw::task<> { w.deliver("01234"); co_return; }});
    add<W>({.name = of + "copy", .value = "10", .stop_first = W::late("10"), .reset = reset, .gone = gone, .moved = 5},
           [](W& w) { return hw::copy(w.line(), *w.sink); }, count,
           {.complete = [](W& w) { w.deliver("56789"), w.end(); },
            .reset = [](W& w) { w.fail_receive(); },
            .afterwards = [](W& w, const observed& first, bool completed) -> hw::task<> {
                CHECK(w.sink->out().all().size() == (first.text == "10" ? 10 : first.transferred));
                if (!completed) w.deliver("56789"), w.end();
                co_await hw::copy(w.line(), *w.sink);
                CHECK(w.sink->out().all() == "0123456789");
            },
            .prepare = [](W& w) -> hw::task<> { w.sink.emplace(memory_pair().first), w.deliver("01234"); co_return; }});
    add<W>({.name = of + "buffered.read_line", .value = "a line", .stop_first = W::late("a line"), .reset = reset, .gone = gone},
           [](W& w) { return w.look_ahead->read_line(); },
           [](W&, std::optional<std::string> text) { return text.value_or("the end"); },
           {.complete = [](W& w) { w.deliver("ine\n"); },
            .reset = [](W& w) { w.fail_receive(); },
            .afterwards = [](W& w, const observed& first, bool completed) -> hw::task<> {
                w.deliver(completed ? "next\n" : "ine\nnext\n");
                if (first.text != "a line") CHECK(co_await w.look_ahead->read_line() == "a line");
                CHECK(co_await w.look_ahead->read_line() == "next");
            },
            .prepare = [](W& w) -> hw::task<> { w.begin_to_look_ahead(), w.deliver("a l"); co_return; }});
    add<W>({.name = of + "buffered.read_until", .value = "a=b;", .stop_first = W::late("a=b;"), .reset = reset, .gone = gone},
           [](W& w) { return w.look_ahead->read_until(";"); }, itself,
           {.complete = [](W& w) { w.deliver("b;"); },
            .reset = [](W& w) { w.fail_receive(); },
            .afterwards = [](W& w, const observed& first, bool completed) -> hw::task<> {
                w.deliver(completed ? "c;" : "b;c;");
                if (first.text != "a=b;") CHECK(co_await w.look_ahead->read_until(";") == "a=b;");
                CHECK(co_await w.look_ahead->read_until(";") == "c;");
            },
            .prepare = [](W& w) -> hw::task<> { w.begin_to_look_ahead(), w.deliver("a="); co_return; }});
    add<W>({.name = of + "buffered.fill", .value = "4", .stop_first = W::late("4"), .reset = reset, .gone = gone},
           [](W& w) { return w.look_ahead->fill(); }, count,
           {.complete = [](W& w) { w.deliver("data"); }, .reset = [](W& w) { w.fail_receive(); }, .prepare = [](W& w) -> hw::task<> { w.begin_to_look_ahead(); co_return; }});
    add<W>({.name = of + "buffered.read_some", .value = "data", .stop_first = W::late("data"), .reset = reset, .gone = gone},
           [](W& w) { return w.look_ahead->read_some(w.into); },
           [](W& w, std::size_t n) { return std::string(w.into, n); },
           {.complete = [](W& w) { w.deliver("data"); }, .reset = [](W& w) { w.fail_receive(); }, .prepare = [](W& w) -> hw::task<> { w.begin_to_look_ahead(); co_return; }});

    // What a write accepted is sent whole, whatever became of the write.
    const steps<W> writing{
        .complete = [](W& w) { w.let_sends_go(); },
        .reset = [](W& w) { w.fail_sends(); },
        .afterwards = [](W& w, const observed& first, bool completed) -> hw::task<> {
            const std::size_t accepted = first.text == std::to_string(W::much) ? W::much : first.transferred;
            if (!completed) w.let_sends_go();
            co_await w.line().write("|");
            co_await w.line().flush();
            for (int i = 0; i < 20; ++i) co_await hw::yield();  // a pump passes them on in turns of its own
            const bool whole = w.peer_got() == w.text.substr(0, accepted) + "|";
            CHECK(whole);
        },
        .prepare = [](W& w) -> hw::task<> { w.hold_sends(), w.text = numbered(W::much); co_return; }};
    const row write{.name = of + "write", .value = std::to_string(W::much), .completion_first = W::much > 500'000 ? "cancelled" : "", .reset = reset, .gone = gone, .moved = {}};
    add<W>(write, [](W& w) { return w.line().write(w.text); }, count, writing);
    row write_all = write;
    write_all.name = of + "write_all";
    add<W>(write_all, [](W& w) { return hw::write_all(w.line(), hw::const_buffer{w.text}); }, count, writing);
    row several = write;
    several.name = of + "write of several pieces";
    add<W>(several, [](W& w) { return w.line().write(std::string_view{w.text}.substr(0, 10), std::string_view{w.text}.substr(10)); }, count, writing);

}

/// Those that wait for the kernel to take everything.
template <class W> void add_ending_rows() {
    const std::string of = name_of(static_cast<const W*>(nullptr)) + " ";
    const auto done = [](W&) -> std::string { return "done"; };
    const std::string reset = "Connection reset by peer", gone = hw::make_error_code(errc::no_reactor).message();
    const auto accept_and_hold = [](W& w) -> hw::task<> {
        w.hold_sends();
        co_await w.line().write("abc");
    };
    add<W>({.name = of + "flush", .value = "done", .stop_first = "done", .reset = reset, .gone = gone},
           [](W& w) { return w.line().flush(); }, done,
           {.complete = [](W& w) { w.let_sends_go(); },
            .reset = [](W& w) { w.fail_sends(); },
            .afterwards = [](W& w, const observed&, bool completed) -> hw::task<> {
                if (!completed) w.let_sends_go();
                co_await w.line().flush();
                CHECK(w.peer_got() == "abc");
            },
            .prepare = accept_and_hold});
    add<W>({.name = of + "shutdown_send", .value = "done", .stop_first = *W::ended_by_one_send ? "cancelled" : "done", .completion_first = W::ended_by_one_send, .reset = reset, .gone = gone},
           [](W& w) { return w.line().shutdown_send(); }, done,
           {.complete = [](W& w) { w.let_sends_go(); },
            .reset = [](W& w) { w.fail_sends(); },
            .afterwards = [](W& w, const observed&, bool completed) -> hw::task<> {
                if (!completed) w.let_sends_go();
                co_await w.line().shutdown_send();
                auto late = co_await hw::as_result(w.line().write("late"));
                CHECK((!late && late.error() == errc::closed));
                CHECK(w.peer_got() == "abc");
                w.deliver("reading goes on");
                auto chunk = co_await w.line().read();
                CHECK(hw::as_text(chunk.value()) == "reading goes on");
            },
            .prepare = accept_and_hold});
    add<W>({.name = of + "close", .value = "done", .completion_first = "cancelled", .reset = reset, .gone = "done"},
           [](W& w) { return w.line().close(); }, done,
           {.complete = [](W& w) { w.let_sends_go(), w.end(); },
            .reset = [](W& w) { w.fail_sends(); },
            .afterwards = [](W& w, const observed&, bool completed) -> hw::task<> {
                CHECK_FALSE(w.line().is_open());
                auto late = co_await hw::as_result(w.line().read_some(w.into));
                CHECK((!late && late.error() == errc::closed));
                if (!completed) w.let_sends_go(), w.end();
                for (int i = 0; i < 8; ++i) co_await hw::yield();
                CHECK(w.peer_got() == "abc");
            },
            .prepare = accept_and_hold});
    add<W>({.name = of + "close, waiting for the peer's end", .value = "done", .before_start = "cancelled", .stop_first = "done", .timed_out = "timed out", .gone = "done"},
           [](W& w) { return w.line().close(); }, done,
           {.complete = [](W& w) { w.end(); },
            .afterwards = [](W& w, const observed&, bool) -> hw::task<> {
                CHECK_FALSE(w.line().is_open());
                co_return;
            }});
}

const bool added = [] {
    add_stream_rows<plain>();
    add_stream_rows<tls>();
    add_stream_rows<pumped>();
    add_ending_rows<plain>();
    add_ending_rows<tls>();
    return true;
}();

}  // namespace
