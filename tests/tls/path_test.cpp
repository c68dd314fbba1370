// The way of one byte: what wakes a reader, how often, and what it may cost. On scripted completions, without sleeping.

#include <hawser/hawser.hpp>
#include <hawser/test/fake_backend.hpp>

#include "scripted_server.hpp"
#include "support.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;
using hw::test::fake_backend;

namespace {

/// Counts how often an operation wakes its waiter; that is how often a coroutine waiting for it would be resumed.
template <class Op> class counted {
public:
    using value_type = typename Op::value_type;

    counted(Op op, int& wakes) : op_{std::move(op)}, wakes_{&wakes} {}
    bool start(const hw::detail::environment& env, hw::detail::waiter& parent) {
        loop_ = env.loop;
        parent_ = &parent;
        own_.self = this;
        own_.run = [](hw::detail::waiter& w) noexcept {
            counted& self = *static_cast<node&>(w).self;
            ++*self.wakes_;
            self.loop_->make_ready(*self.parent_);
        };
        return op_.start(env, own_);
    }
    hw::result<value_type> take() { return op_.take(); }

private:
    struct node : hw::detail::waiter {
        counted* self = nullptr;
    };
    Op op_;
    int* wakes_;
    hw::detail::scheduler* loop_ = nullptr;
    hw::detail::waiter* parent_ = nullptr;
    node own_;
};

/// The client's end after a complete handshake, before the server's tickets are delivered.
hw::task<hw::tls::stream> connected(fake_backend& io, scripted_server& server) {
    // hello ->, <- hello .. finished, finished ->
    io.when_idle([&] { server.deliver(server.exchange()); });
    auto config = client_config({});
    auto line = co_await hw::tls::handshake(scripted_socket("localhost"), "localhost", config);
    co_return line;
}

}  // namespace

TEST_CASE("a read is resumed once, and tickets and KeyUpdates do not resume it at all") {
    fake_backend io;
    scripted_server server{io};
    int wakes = 0;
    std::string got;
    auto body = [&]() -> hw::task<> {
        auto line = co_await connected(io, server);
        char into[64];
        io.when_idle([&] {
            const bytes tickets = server.exchange();  // the answer to the client's Finished
            CHECK(tickets.size() > 100);
            server.deliver(tickets);
        });
        io.when_idle([&] {
            CHECK(wakes == 0);
            SSL_key_update(server.peer.line, SSL_KEY_UPDATE_NOT_REQUESTED);
            SSL_do_handshake(server.peer.line);
            const bytes update = server.peer.take_output();
            CHECK_FALSE(update.empty());
            server.deliver(update);
        });
        io.when_idle([&] {
            CHECK(wakes == 0);
            server.peer.write("hello");
            const bytes record = server.peer.take_output();
            server.deliver(bytes{record.begin(), record.begin() + 3});  // not even a whole header
            server.deliver(bytes{record.begin() + 3, record.begin() + 20});
            server.deliver(bytes{record.begin() + 20, record.end()});
        });
        const std::size_t n = co_await counted{line.read_some(into), wakes};
        got.assign(into, n);
    };
    hw::test::run_on(io, body());
    CHECK(got == "hello");
    CHECK(wakes == 1);
}

TEST_CASE("what is there already costs no suspension") {
    fake_backend io;
    scripted_server server{io};
    int wakes = 0;
    auto body = [&]() -> hw::task<> {
        auto line = co_await connected(io, server);
        char into[5];
        io.when_idle([&] {
            bytes all = server.exchange();
            server.peer.write("hello world, again and again");
            const bytes record = server.peer.take_output();
            all.insert(all.end(), record.begin(), record.end());
            server.deliver(all);
        });
        std::size_t n = co_await counted{line.read_some(into), wakes};
        CHECK(n == 5);
        CHECK(wakes == 1);
        std::string rest;
        while (rest.size() < 23) rest.append(into, co_await counted{line.read_some(into), wakes});
        CHECK(rest == " world, again and again");
        CHECK(wakes == 1);
    };
    hw::test::run_on(io, body());
}

TEST_CASE("the answer to a KeyUpdate is sent although nobody writes") {
    fake_backend io;
    scripted_server server{io};
    auto body = [&]() -> hw::task<> {
        auto line = co_await connected(io, server);
        io.when_idle([&] {
            server.deliver(server.exchange());
            SSL_key_update(server.peer.line, SSL_KEY_UPDATE_REQUESTED);
            SSL_do_handshake(server.peer.line);
            server.peer.write("x");
            server.deliver(server.peer.take_output());
        });
        char into[1];
        CHECK(co_await line.read_some(into) == 1);
        co_await line.write("y");
        co_await line.flush();
        server.deliver(server.exchange());
        CHECK(server.peer.got == "y");
        CHECK_FALSE(server.peer.failed);
    };
    hw::test::run_on(io, body());
}

TEST_CASE("the writes of one turn leave in one send, and small pieces share a record") {
    fake_backend io;
    scripted_server server{io};
    auto body = [&]() -> hw::task<> {
        auto line = co_await connected(io, server);
        co_await line.flush();
        server.exchange();
        const std::size_t sends = io.sends(wire);
        const std::size_t before = io.sent(wire).size();
        co_await line.write("GET / HTTP/1.0\r\nHost: ", std::string{"localhost"}, "\r\n\r\n");
        co_await line.write("second");
        CHECK(io.sends(wire) == sends);  // accepted, not sent yet
        co_await line.flush();
        CHECK(io.sends(wire) == sends + 1);
        const std::string text = "GET / HTTP/1.0\r\nHost: localhost\r\n\r\nsecond";
        CHECK(io.sent(wire).size() - before == text.size() + 2 * 22);  // two records of TLS 1.3
        server.exchange();
        CHECK(server.peer.got == text);
    };
    hw::test::run_on(io, body());
}

TEST_CASE("a send that the kernel takes in parts arrives whole and in order") {
    fake_backend io;
    io.send_at_most = 1000;
    scripted_server server{io};
    auto body = [&]() -> hw::task<> {
        auto line = co_await connected(io, server);
        std::string text(100'000, 'a');
        for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 26);
        co_await line.write(text);
        co_await line.flush();
        server.exchange();
        CHECK(server.peer.got == text);
    };
    hw::test::run_on(io, body());
}

TEST_CASE("a peer that stops reading is held to the write deadline and to the stated memory") {
    fake_backend io;
    scripted_server server{io};
    auto body = [&]() -> hw::task<> {
        auto line = co_await connected(io, server);
        co_await line.flush();
        io.sends_complete = false;
        std::size_t accepted = 0;
        const std::string block(16384, 'x');
        const hw::time_point before = io.now();
        hw::error_info why = hw::errc::closed;
        for (;;) {
            auto n = co_await hw::as_result(line.write(block));
            if (!n) {
                why = n.error();
                accepted += why.transferred();
                break;
            }
            accepted += *n;
            CHECK(line.unsent() <= 2 * hw::defaults::send_buffer_limit + 17000);
        }
        CHECK(why == errc::timed_out);
        CHECK(why.doing() == phase::write);
        CHECK(why.peer().find("localhost") != std::string::npos);
        CHECK(io.now() - before == hw::defaults::write_timeout);
        CHECK(accepted <= 2 * hw::defaults::send_buffer_limit + 17000);
        // What was accepted is sent whole when the peer reads again.
        io.sends_complete = true;
        auto* held = io.find(hw::detail::op_kind::send, wire);
        io.complete(*held, static_cast<int>(static_cast<hw::detail::send_op&>(*held).data.size()));
        co_await line.flush();
        server.exchange();
        CHECK(server.peer.got.size() == accepted);
    };
    hw::test::run_on(io, body());
}

TEST_CASE("data beats the cancellation that races with it, in both orders") {
    for (const bool data_first : {true, false}) {
        fake_backend io;
        scripted_server server{io};
        auto body = [&]() -> hw::task<> {
            auto line = co_await connected(io, server);
            bytes record;
            io.when_idle([&] {
                server.deliver(server.exchange());
                server.peer.write("data");
                record = server.peer.take_output();
            });
            char into[16];
            auto race = [&](hw::scope& children) -> hw::task<> {
                children.spawn([&]() -> hw::task<> {
                    co_await hw::sleep_for(1ms);
                    // In one turn: what has arrived is the reader's, although its stop came first.
                    if (data_first) server.deliver(record);
                    children.request_stop();
                });
                auto n = co_await hw::as_result(line.read_some(into));
                if (data_first) {
                    CHECK(n.value() == 4);
                } else {
                    REQUIRE_FALSE(n);
                    CHECK(n.error() == errc::cancelled);
                }
            };
            co_await hw::with_scope(race);
            if (!data_first) server.deliver(record);
            if (!data_first) CHECK(co_await line.read_some(into) == 4);  // nothing is lost
        };
        hw::test::run_on(io, body());
    }
}

TEST_CASE("input beyond the limit pauses the receive, and a read starts it again") {
    fake_backend io;
    scripted_server server{io};
    auto body = [&]() -> hw::task<> {
        auto line = co_await connected(io, server);
        co_await line.flush();
        server.deliver(server.exchange());
        co_await hw::yield();
        std::size_t sent = 0;
        const std::string block(16384, 'z');
        while (io.find(hw::detail::op_kind::receive, wire) && sent < (std::size_t{4} << 20)) {
            server.peer.write(block);
            sent += block.size();
            server.deliver(server.peer.take_output());
            co_await hw::yield();
        }
        CHECK(sent >= hw::detail::receive_mark - block.size());
        CHECK(sent <= hw::detail::receive_mark + 2 * block.size());
        std::size_t got = 0;
        std::vector<char> into(8192);
        while (got < sent) got += co_await line.read_some(into);
        io.when_idle([&] {
            REQUIRE(io.find(hw::detail::op_kind::receive, wire) != nullptr);
            server.peer.write("more");
            server.deliver(server.peer.take_output());
        });
        CHECK(co_await line.read_some(into) == 4);
    };
    hw::test::run_on(io, body());
}

TEST_CASE("a connection that ends without close_notify is truncated; with it, it has ended") {
    for (const bool proper : {true, false}) {
        fake_backend io;
        scripted_server server{io};
        auto body = [&]() -> hw::task<> {
            auto line = co_await connected(io, server);
            io.when_idle([&] {
                server.deliver(server.exchange());
                server.peer.write("page");
                if (proper) SSL_shutdown(server.peer.line);
                server.deliver(server.peer.take_output());
                io.end(wire);
            });
            auto page = co_await hw::as_result(hw::read_all(line));
            if (proper) {
                CHECK(page.value() == "page");
            } else {
                REQUIRE_FALSE(page);
                CHECK(page.error() == errc::truncated);
                CHECK(page.error().transferred() == 4);
            }
        };
        hw::test::run_on(io, body());
    }
}

TEST_CASE("a handshake that nobody answers ends at its deadline, in virtual time") {
    fake_backend io;
    auto body = [&]() -> hw::task<> {
        auto config = client_config({});
        const hw::time_point before = io.now();
        auto line = co_await hw::as_result(hw::tls::handshake(scripted_socket("localhost"), "localhost", config));
        REQUIRE_FALSE(line);
        CHECK(line.error() == errc::timed_out);
        CHECK(line.error().message().find("localhost") != std::string::npos);
        CHECK(io.now() - before == hw::defaults::handshake_timeout);
    };
    hw::test::run_on(io, body());
}

TEST_CASE("a handshake over a stream that is not open fails at once") {
    fake_backend io;
    hw::test::run_on(io, []() -> hw::task<> {
        const auto trust = client_config({});
        const auto began = hw::reactor::current()->now();
        auto client = co_await hw::as_result(hw::tls::handshake(hw::tcp::stream{}, "localhost", trust));
        CHECK((!client && client.error() == hw::errc::closed));
        auto server = co_await hw::as_result(hw::tls::accept(hw::tcp::stream{}, server_config()));
        CHECK((!server && server.error() == hw::errc::closed));
        CHECK(server.error().message().find("the stream below is not open") != std::string::npos);
        CHECK(hw::reactor::current()->now() == began);
    }());
}

TEST_CASE("close waits for the peer's end for so long, and no longer") {
    fake_backend io;
    scripted_server server{io};
    auto body = [&]() -> hw::task<> {
        auto line = co_await connected(io, server);
        const hw::time_point before = io.now();
        co_await line.close();
        CHECK(io.now() - before == hw::defaults::close_timeout);
        CHECK_FALSE(line.is_open());
        server.exchange();
        CHECK((SSL_get_shutdown(server.peer.line) & SSL_RECEIVED_SHUTDOWN) != 0);
    };
    hw::test::run_on(io, body());
}
