// The defaults of docs/defaults.md that no other test holds, on scripted completions: time is virtual.

#include <fstream>

#include <hawser/hawser.hpp>
#include <hawser/test/fake_backend.hpp>

#include "support/descriptors.hpp"
#include "support/doctest.hpp"
#include "support/memory_stream.hpp"
#include "support/sockets.hpp"
#include "tls/support.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;
using hw::errc;
using hw::test::fake_backend;
using hw::detail::op_kind;

namespace {

hw::time_point now() { return hw::reactor::current()->now(); }

/// A TLS client at the other end of an accepted scripted descriptor.
class scripted_client {
public:
    scripted_client(fake_backend& io, int number) : io_{io}, fd_{fake_backend::descriptor(number)} {
        client_.line.connect(client_config({}), "localhost").value();
    }
    int fd() const noexcept { return fd_; }
    void connect() { io_.complete(*io_.find(op_kind::accept), fd_); }
    void hello() {
        client_.drive();
        send();
    }
    /// What the server has sent comes here, and the answer goes there.
    void exchange() {
        const std::string fresh = io_.sent(fd_).substr(seen_);
        seen_ += fresh.size();
        client_.receive(view(fresh));
        send();
    }
    void say(std::string_view text) {
        client_.write(text);
        send();
    }
    bool finished() { return client_.line.handshake_complete(); }
    bool answered() { return io_.sends(fd_) > 0; }

private:
    void send() {
        const bytes ciphertext = client_.take_output();
        if (!ciphertext.empty()) io_.deliver(fd_, ciphertext);
    }
    fake_backend& io_;
    int fd_;
    end client_;
    std::size_t seen_ = 0;
};

std::vector<hw::error_info> reported;
void note(const std::exception_ptr& what, const hw::endpoint&) { reported.push_back(hw::detail::info_of(what)); }
hw::tls::listener_options noting() {
    reported.clear();
    hw::tls::listener_options options;
    options.on_error = note;
    return options;
}
hw::task<> reads(hw::tls::stream& line) {
    while (auto chunk = co_await line.read()) co_await line.write(*chunk);
}

/// Runs serve() on scripted completions beside `script`, and stops it when that ends.
template <class Handler, class Script> void serve_scripted(fake_backend& io, const hw::tls::listener_options& options, Handler& handler, Script script) {
    hw::test::run_on(io, [](auto& o, auto& h, auto& s) -> hw::task<> {
        hw::tls::listener door{server_config(), hw::endpoint::loopback(0), o};
        co_await hw::with_scope([&](hw::scope& scope) -> hw::task<> {
            scope.spawn([&]() -> hw::task<> { co_await door.serve(h); });
            co_await hw::yield();
            co_await s();
            scope.request_stop();
        });
    }(options, handler, script));
}

}  // namespace

TEST_CASE("a resolver that never answers") {
    struct silent : hw::resolver {
        std::vector<hw::resolve_query_ref> kept;
        void start(hw::resolve_query_ref query) override { kept.push_back(std::move(query)); }
    } names;
    run_fake([&]() -> hw::task<> {
        hw::set_resolver(&names);
        auto before = now();
        auto r = co_await hw::as_result(hw::resolve("slow.test", "443"));
        CHECK((!r && r.error() == errc::timed_out));
        CHECK((now() - before == hw::defaults::resolve_timeout));
        before = now();
        auto c = co_await hw::as_result(hw::tcp::connect("slow.test", "443"));
        CHECK((!c && c.error() == errc::timed_out && c.error().doing() == hw::phase::resolve));
        CHECK((now() - before == hw::defaults::resolve_timeout));
        before = now();
        auto t = co_await hw::as_result(hw::tls::connect("slow.test", "443", client_config({}), {.tcp = {.resolve_timeout = 1s}}));
        CHECK((!t && t.error() == errc::timed_out));
        CHECK((now() - before == 1s));
    });
}

TEST_CASE("a peer that takes nothing") {
    fake_backend io;
    io.sends_complete = false;
    hw::test::run_on(io, []() -> hw::task<> {
        hw::tcp::stream line = scripted_socket();
        const std::string text(1 << 20, 'x');
        const auto before = now();
        auto r = co_await hw::as_result(line.write(text));
        CHECK((!r && r.error() == errc::timed_out));
        CHECK((now() - before == hw::defaults::write_timeout));
        auto flushed = co_await hw::as_result(line.flush());
        CHECK((!flushed && flushed.error() == errc::timed_out));
        CHECK(flushed.error().detail() == "the peer does not read");
        CHECK((now() - before == 2 * hw::defaults::write_timeout));
    }());
}

TEST_CASE("out of descriptors") {
    for (const int number : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
        CAPTURE(number);
        fake_backend io;
        hw::test::run_on(io, [](fake_backend& b, int error) -> hw::task<> {
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            const auto before = now();
            auto accepts = [&]() -> hw::task<> {
                auto line = co_await door.accept();
                CHECK((now() - before == hw::defaults::accept_retry));
            };
            auto system = [&]() -> hw::task<> {
                co_await hw::yield();
                b.complete(*b.find(op_kind::accept), -error);
                co_await hw::yield();
                co_await hw::sleep_for(hw::defaults::accept_retry - 1ms);
                CHECK(b.find(op_kind::accept) == nullptr);
                co_await hw::sleep_for(1ms);
                co_await hw::yield();
                hw::detail::op* o = b.find(op_kind::accept);
                REQUIRE(o != nullptr);
                b.complete(*o, wire);
            };
            co_await hw::when_all(accepts(), system());
        }(io, number));
    }
}

TEST_CASE("a client of a server that says nothing") {
    fake_backend io;
    auto handler = [](hw::tls::stream&) -> hw::task<> {
        FAIL("the handler of a connection without handshake");
        co_return;
    };
    scripted_client silent{io, 1};
    serve_scripted(io, noting(), handler, [&]() -> hw::task<> {
        silent.connect();
        co_await hw::sleep_for(hw::defaults::handshake_timeout - 1ms);
        CHECK(reported.empty());
        co_await hw::sleep_for(2ms);
        REQUIRE(reported.size() == 1);
        CHECK(reported[0] == errc::timed_out);
        CHECK(reported[0].doing() == hw::phase::handshake);
    });
}

TEST_CASE("a busy connection after a stop") {
    for (const bool busy : {true, false}) {
        CAPTURE(busy);
        fake_backend io;
        bool established = false, cut = false;
        hw::time_point stopped{}, ended{};
        auto handler = [&](hw::tls::stream& line) -> hw::task<> {
            established = true;
            if (!busy) co_await reads(line);
            auto r = co_await hw::as_result(hw::sleep_for(1h));
            cut = !r.has_value();
            ended = now();
        };
        scripted_client client{io, 1};
        serve_scripted(io, noting(), handler, [&]() -> hw::task<> {
            client.connect();
            client.hello();
            for (int i = 0; i < 20 && !(established && client.finished()); ++i) {
                co_await hw::sleep_for(1ms);
                client.exchange();
            }
            REQUIRE(established);
            co_await hw::sleep_for(1ms);
            stopped = now();
        });
        CHECK(cut == busy);
        if (busy) CHECK((ended - stopped == hw::defaults::stop_grace));
        CHECK((io.now() - stopped <= hw::defaults::stop_grace + hw::defaults::close_timeout));
    }
}

TEST_CASE("nothing of a client that reads no more outlives the grace") {
    enum { writing, unsent, closing };
    for (const int state : {writing, unsent, closing}) {
        CAPTURE(state);
        fake_backend io;
        auto options = noting();
        options.grace = 500ms;  // shorter than close_timeout
        hw::time_point stopped{};
        auto handler = [&](hw::tls::stream& line) -> hw::task<> {
            co_await line.read();
            if (state != closing) io.sends_complete = false;
            const std::string text(state == writing ? 1 << 20 : 100, 'x');
            co_await line.write(text);
        };
        scripted_client client{io, 1};
        serve_scripted(io, options, handler, [&]() -> hw::task<> {
            client.connect();
            client.hello();
            for (int i = 0; i < 20 && !client.finished(); ++i) {
                co_await hw::sleep_for(1ms);
                client.exchange();
            }
            REQUIRE(client.finished());
            client.say("now");
            co_await hw::sleep_for(1ms);
            stopped = now();
        });
        CHECK((io.now() - stopped == options.grace));
    }
}

TEST_CASE("a destroyed stream that is aborted waits for nothing, although its send is not cancelled") {
    fake_backend io;
    io.sends_complete = io.cancels_complete = false;
    const auto before = io.now();
    hw::test::run_on(io, [](fake_backend& b) -> hw::task<> {
        auto line = std::optional{scripted_socket()};
        const auto core = line->core();
        co_await line->write("text");
        co_await hw::yield();
        line.reset();
        core->carrier().abort();
        b.complete(*b.find(op_kind::receive), -ECANCELED);
        b.complete(*b.find(op_kind::send), 2);
    }(io));
    CHECK((io.now() == before));
}

TEST_CASE("a server that was asked to stop refuses new clients while it finishes") {
    fake_backend io;
    bool established = false;
    auto handler = [&](hw::tls::stream&) -> hw::task<> {
        established = true;
        co_await hw::sleep_for(1h);
    };
    auto script = [&]() -> hw::task<> {
        hw::tls::listener door{server_config(), hw::endpoint::loopback(0), noting()};
        auto serving = [&](hw::scope& scope) -> hw::task<> {
            auto stopping = [&](hw::scope& server) -> hw::task<> {
                server.spawn([&]() -> hw::task<> { co_await door.serve(handler); });
                co_await hw::yield();
                scripted_client client{io, 1};
                client.connect();
                client.hello();
                for (int i = 0; i < 20 && !established; ++i) {
                    co_await hw::sleep_for(1ms);
                    client.exchange();
                }
                REQUIRE(established);
                server.request_stop();
            };
            scope.spawn([&]() -> hw::task<> {
                while (!established) co_await hw::sleep_for(1ms);
                const auto stopped = now();
                co_await hw::sleep_for(hw::defaults::stop_grace - 1s);
                CHECK(door.native_handle() == -1);
                CHECK((now() - stopped < hw::defaults::stop_grace));
            });
            co_await hw::with_scope(stopping);
        };
        co_await hw::with_scope(serving);
    };
    hw::test::run_on(io, script());
}

TEST_CASE("more connections than allowed wait") {
    CHECK(hw::tls::listener_options{}.max_connections == hw::defaults::max_connections);
    fake_backend io;
    hw::tls::listener_options options = noting();
    options.max_connections = 2;
    auto handler = [](hw::tls::stream& line) -> hw::task<> { co_await reads(line); };
    scripted_client first{io, 1}, second{io, 2};
    serve_scripted(io, options, handler, [&]() -> hw::task<> {
        first.connect();
        co_await hw::sleep_for(1ms);
        REQUIRE(io.find(op_kind::accept) != nullptr);
        second.connect();
        co_await hw::sleep_for(1ms);
        CHECK(io.find(op_kind::accept) == nullptr);  // a third waits in the backlog
        io.end(first.fd());
        co_await hw::sleep_for(1ms);
        CHECK(io.find(op_kind::accept) != nullptr);
    });
}

TEST_CASE("more unfinished handshakes than allowed: the oldest is cut") {
    CHECK(hw::tls::listener_options{}.max_handshakes == hw::defaults::max_handshakes);
    fake_backend io;
    hw::tls::listener_options options = noting();
    options.max_handshakes = 2;
    int established = 0;
    auto handler = [&](hw::tls::stream& line) -> hw::task<> {
        ++established;
        co_await reads(line);
    };
    scripted_client a{io, 1}, b{io, 2}, c{io, 3};
    serve_scripted(io, options, handler, [&]() -> hw::task<> {
        for (scripted_client* one : {&a, &b}) {
            one->connect();
            co_await hw::sleep_for(1ms);
        }
        CHECK(reported.empty());
        c.connect();
        co_await hw::sleep_for(1ms);
        REQUIRE(reported.size() == 1);
        CHECK(reported[0] == errc::limit_exceeded);
        CHECK(reported[0].message().find("max_handshakes") != std::string::npos);
        for (scripted_client* one : {&b, &c}) {  // the younger ones go on
            one->hello();
            for (int i = 0; i < 10 && !one->finished(); ++i) {
                co_await hw::sleep_for(1ms);
                one->exchange();
            }
            co_await hw::sleep_for(1ms);
        }
        CHECK(established == 2);
        CHECK_FALSE(a.finished());
    });
}

TEST_CASE("handshakes take turns") {
    fake_backend io;
    auto handler = [](hw::tls::stream& line) -> hw::task<> { co_await reads(line); };
    std::vector<std::unique_ptr<scripted_client>> clients;
    serve_scripted(io, noting(), handler, [&]() -> hw::task<> {
        for (int i = 0; i < 20; ++i) {
            clients.push_back(std::make_unique<scripted_client>(io, i + 1));
            clients.back()->connect();
            co_await hw::sleep_for(1ms);
        }
        const auto answered = [&] {
            std::size_t n = 0;
            for (auto& c : clients) n += c->answered();
            return n;
        };
        for (auto& c : clients) c->hello();
        std::vector<std::size_t> after_turn;
        while (answered() < clients.size() && after_turn.size() < 30) {
            co_await hw::yield();
            after_turn.push_back(answered());
        }
        std::size_t before = 0;
        for (const std::size_t n : after_turn) {
            CHECK(n - before <= hw::defaults::handshakes_per_turn);
            before = n;
        }
        CHECK(answered() == clients.size());
        CHECK(after_turn.size() <= 5);
    });
}

TEST_CASE("input that nobody reads") {
    fake_backend io;
    hw::test::run_on(io, [](fake_backend& b) -> hw::task<> {
        hw::tcp::stream line = scripted_socket();
        b.deliver(wire, std::string(1, 'x'));
        char first[1];
        co_await line.read_some(first);
        hw::detail::op* o = b.find(op_kind::receive, wire);
        REQUIRE(o != nullptr);
        const std::string piece(16384, 'y');
        std::size_t delivered = 0;
        while (!o->cancelling && delivered < std::size_t{4} << 20) {
            b.complete(*o, static_cast<int>(piece.size()), piece, true);
            delivered += piece.size();
            co_await hw::yield();
            co_await hw::yield();
        }
        CHECK(delivered == hw::detail::receive_mark);
        CHECK(b.find(op_kind::receive, wire) == nullptr);
        std::size_t got = 0;
        while (got < delivered) {
            auto chunk = co_await line.read();
            got += chunk->size();
        }
        auto more = co_await hw::as_result(hw::with_timeout(1ms, line.read()));
        CHECK((!more && more.error() == errc::timed_out));
        o = b.find(op_kind::receive, wire);
        REQUIRE(o != nullptr);  // a read that waits starts it again
        CHECK(static_cast<hw::detail::receive_op*>(o)->piecewise);
    }(io));
}

TEST_CASE("a lent chunk") {
    run_fake([]() -> hw::task<> {
        hw::any_stream line = hw::make_any_stream(memory_stream{{std::string(100'000, 'x')}});
        co_await turns(20);
        std::size_t largest = 0, all = 0;
        while (auto chunk = co_await line.read()) {
            largest = std::max(largest, chunk->size());
            all += chunk->size();
            co_await turns(20);
        }
        CHECK(all == 100'000);
        CHECK(largest <= hw::defaults::lent_buffer_size);
    });
    fake_backend io;
    io.deliver(wire, std::string(40'000, 'x'));
    hw::test::run_on(io, []() -> hw::task<> {
        hw::tcp::stream line = scripted_socket();
        auto chunk = co_await line.read();
        CHECK(chunk->size() == hw::defaults::lent_buffer_size);
    }());
}

TEST_CASE("lines and delimiters") {
    run_fake([]() -> hw::task<> {
        const std::size_t limit = hw::defaults::line_limit;
        memory_stream longest{{std::string(limit, 'x') + "\n"}}, longer{{std::string(limit + 1, 'x') + "\n"}};
        hw::buffered a{longest}, b{longer};
        auto line = co_await a.read_line();
        CHECK(line->size() == limit);
        auto r = co_await hw::as_result(b.read_line());
        CHECK((!r && r.error() == errc::limit_exceeded));
        memory_stream longest_head{{std::string(limit - 4, 'x') + "\r\n\r\n"}}, longer_head{{std::string(limit - 3, 'x') + "\r\n\r\n"}};
        hw::buffered c{longest_head}, d{longer_head};
        const std::string head = co_await c.read_until("\r\n\r\n");
        CHECK(head.size() == limit);
        auto u = co_await hw::as_result(d.read_until("\r\n\r\n"));
        CHECK((!u && u.error() == errc::limit_exceeded));
    });
}

TEST_CASE("read_all") {
    run_fake([]() -> hw::task<> {
        std::deque<std::string> chunks(hw::defaults::read_all_limit >> 14, std::string(1 << 14, 'x'));
        memory_stream largest{chunks};
        std::size_t size = 0;
        {
            const std::string all = co_await hw::read_all(largest);
            size = all.size();
        }
        CHECK(size == hw::defaults::read_all_limit);
        chunks.push_back("y");
        memory_stream larger{std::move(chunks)};
        auto r = co_await hw::as_result(hw::read_all(larger));
        CHECK((!r && r.error() == errc::limit_exceeded));
    });
}

TEST_CASE("the depth of a chain") {
    // The test's chain has one intermediate certificate.
    line_pair accepted{{.client = {.verify_depth = 1}}};
    accepted.settle();
    CHECK(accepted.client.line.handshake_complete());
    line_pair refused{{.client = {.verify_depth = 0}}};
    refused.settle();
    CHECK_FALSE(refused.client.line.handshake_complete());
    CHECK(hw::tls::server_options{}.verify_depth == hw::tls::client_options{}.verify_depth);
}

TEST_CASE("the queue of io_uring") {
    const auto entries = [] {
        unsigned mask = 0;
        for (const auto& file : fs::directory_iterator{"/proc/self/fdinfo"}) {
            std::ifstream text{file.path()};
            for (std::string line; std::getline(text, line);) {
                if (line.starts_with("SqMask:")) mask = static_cast<unsigned>(std::stoul(line.substr(7), nullptr, 16));
            }
        }
        return mask + 1;
    };
    const auto seen = [&](const hw::reactor_options& options) {
        unsigned n = 0;
        hw::run([](auto& count, unsigned& into) -> hw::task<> {
            into = count();
            co_return;
        }(entries, n), options);
        return n;
    };
    CHECK(seen({}) == hw::reactor_options{}.entries);
    CHECK(seen({.entries = 64}) == 64);
}

TEST_CASE("few and small receive buffers, and none, carry everything too") {
    const std::string text = long_text(3 << 20);
    for (const hw::reactor_options options : {hw::reactor_options{}, hw::reactor_options{.receive_buffers = 2, .receive_buffer_size = 1024},
                                              hw::reactor_options{.entries = 2}, hw::reactor_options{.multishot_receive = false}}) {
        hw::run([](const std::string& t) -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            auto sends = [&](hw::any_stream& to) -> hw::task<> {
                co_await to.write(t);
                co_await to.shutdown_send();
            };
            auto all = co_await hw::when_all(sends(near), sends(far), hw::read_all(near), hw::read_all(far));
            CHECK(std::get<2>(all) == t);
            CHECK(std::get<3>(all) == t);
        }(text), options);
    }
}
