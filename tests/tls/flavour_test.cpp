// The same results with each implementation of libtls: the rows of its callback contract, replayed by a fake one,
// and what cannot be provoked in a real one: no memory, endless WANT_POLLIN, renegotiation.

#include "fake_libtls.hpp"

namespace std {
inline bool hawser_test_no_memory = false;
inline void* hawser_test_malloc(std::size_t n) { return hawser_test_no_memory ? nullptr : std::malloc(n); }
}  // namespace std
#define malloc hawser_test_malloc  // what recycler.hpp asks for memory
#include <hawser/base/recycler.hpp>
#undef malloc

#if !defined(HAWSER_SOURCE_ROOT)
#define HAWSER_SOURCE_ROOT "."
#endif
#include "support.hpp"

using namespace hawser_test;
using fake::flavour;
using fake::lib;

namespace {

constexpr flavour flavours[] = {flavour::libretls, flavour::libressl_12, flavour::libressl_13};

template <class F> void on_every_flavour(F f) {
    for (const flavour kind : flavours) {
        const int which = static_cast<int>(kind);
        CAPTURE(which);
        lib.reset(kind);
        f(kind);
        CHECK(lib.calls_after_failure == 0);
        CHECK(lib.handshakes_when_complete == 0);
        CHECK(lib.empty_writes == 0);
    }
}

const hw::tls::config& client_settings() {
    static const hw::tls::config made{{.insecure_no_verify_certificate = true}};
    return made;
}
hw::tls::server_config server_settings() {
    return hw::tls::server_config::from_pem("-----BEGIN CERTIFICATE-----", "-----BEGIN PRIVATE KEY-----");
}

struct fake_pair : line_pair {
    fake_pair() : line_pair{client_settings(), server_settings()} {
        lib.handshakes = lib.closes = 0;
    }
};

bytes record(fake::record type, std::string_view body) {
    hawser::detail::byte_queue wire;
    ::tls sender;
    sender.arg = &wire;
    sender.write_cb = [](::tls*, const void* from, std::size_t n, void* to) -> ssize_t {
        (void)static_cast<hawser::detail::byte_queue*>(to)->append({static_cast<const std::byte*>(from), n});
        return static_cast<ssize_t>(n);
    };
    sender.send(type, body.data(), body.size());
    return {wire.view().begin(), wire.view().end()};
}

struct out_of_memory {
    out_of_memory() {
        hawser::detail::buffer_recycler::drain();
        std::hawser_test_no_memory = true;
    }
    ~out_of_memory() { std::hawser_test_no_memory = false; }
};

}  // namespace

TEST_CASE("every flavour: a conversation and its end") {
    on_every_flavour([](flavour) {
        fake_pair p;
        p.connected();
        const std::string text = long_text(100'000);
        p.client.write(text);
        p.server.write(text);
        p.settle();
        CHECK((p.client.got == text));
        CHECK((p.server.got == text));
        CHECK(p.client.line.close() == status::ok);
        p.settle();
        CHECK(p.server.last == status::ended);
        CHECK(p.server.write("late") == 4);
        CHECK(p.server.line.close() == status::ok);
        p.settle();
        CHECK(p.client.last == status::ended);
        CHECK(p.client.got == text + "late");
        CHECK(p.client.line.close() == status::ok);
        CHECK(lib.closes == 2);
        CHECK(lib.largest_write <= engine::record_size);
    });
}

TEST_CASE("every flavour: a handshake that is complete stays so") {
    on_every_flavour([](flavour) {
        fake_pair p;
        p.connected();
        CHECK(p.client.line.handshake() == status::ok);  // a second tls_handshake would be an error
        CHECK(p.server.line.handshake() == status::ok);
    });
}

TEST_CASE("every flavour: what a write accepted before it failed is said first") {
    on_every_flavour([](flavour) {
        fake_pair p;
        p.connected();
        lib.failing_write = lib.writes + 3;
        const std::string text = long_text(100'000);
        std::size_t n = 0;
        CHECK(p.client.line.write(view(text), n, std::size_t{1} << 30) == status::ok);
        CHECK(n == 2 * engine::record_size);
        CHECK(p.client.line.write(view(text).subspan(n), n, std::size_t{1} << 30) == status::failed);
        CHECK(n == 0);
        line_pair::carry(p.client, p.server);
        CHECK((p.server.got == text.substr(0, 2 * engine::record_size)));
    });
}

TEST_CASE("every flavour: the hint at the client certificate is for TLS 1.3 only") {
    on_every_flavour([](flavour kind) {
        fake_pair p;
        p.connected();
        p.client.receive(record(fake::alert, "certificate required"));
        CHECK(p.client.last == status::failed);
        CHECK(contains(p.client.line.error(phase::read).detail(), "client certificate)") == (kind != flavour::libressl_12));
    });
}

TEST_CASE("every flavour: read_cb 0 after the handshake is a truncation, in mid-record too") {
    on_every_flavour([](flavour) {
        for (const std::size_t kept : {0u, 3u, 5u, 9u, 100u}) {
            fake_pair p;
            p.connected();
            p.server.write("a record and");
            const bytes wire = p.server.take_output();
            p.client.line.feed(std::span{wire}.first(kept < wire.size() ? kept : wire.size()));
            p.client.line.end_input(0);
            p.client.drive();
            CHECK(p.client.last == status::truncated);
            CHECK(p.client.got == (kept == 100 ? "a record and" : ""));
            CHECK(p.client.line.error(phase::read) == errc::truncated);
            CHECK(p.client.read() == status::truncated);
            CHECK(p.client.write("x") == 0);
            CHECK(p.client.line.close() == status::truncated);
        }
        CHECK(lib.closes == 0);
    });
}

TEST_CASE("every flavour: read_cb 0 in the handshake is the peer's hanging up") {
    on_every_flavour([](flavour) {
        fake_pair p;
        p.client.drive();
        p.client.line.end_input(0);
        p.client.drive();
        CHECK(p.client.last == status::failed);
        CHECK(contains(p.client.line.error(phase::handshake).detail(), "closed the connection during the TLS handshake"));
    });
}

TEST_CASE("every flavour: read_cb -1 keeps the errno that libtls loses") {
    on_every_flavour([](flavour) {
        for (const bool complete : {false, true}) {
            for (const int number : {ECONNRESET, ETIMEDOUT}) {
                fake_pair p;
                if (complete) p.connected();
                p.client.line.end_input(number);
                p.client.drive();
                CHECK(p.client.last == status::failed);
                CHECK(p.client.line.error(phase::read).code() == std::error_code{number, std::system_category()});
            }
        }
    });
}

TEST_CASE("every flavour: a bad record is the last one, and no close_notify follows it") {
    on_every_flavour([](flavour kind) {
        fake_pair p;
        p.connected();
        p.server.write("spoilt");
        bytes wire = p.server.take_output();
        wire.back() ^= std::byte{1};
        p.server.write("good");
        p.client.line.feed(wire);
        p.client.drive();
        CHECK(p.client.last == status::failed);
        p.client.receive(p.server.take_output());
        CHECK(p.client.got.empty());
        CHECK(p.client.read() == status::failed);
        CHECK(p.client.write("answer") == 0);
        CHECK(p.client.line.handshake() == status::failed);
        CHECK(p.client.line.close() == status::failed);
        CHECK(lib.closes == 0);
        // Exactly the alert, where the library sends one.
        const bytes said = p.client.take_output();
        CHECK((said == (kind == flavour::libressl_13 ? bytes{} : record(fake::alert, "bad mac"))));
    });
}

TEST_CASE("every flavour: messages without data do not starve a read") {
    on_every_flavour([](flavour kind) {
        fake_pair p;
        p.connected();
        bytes wire;
        for (const bytes& part : {record(fake::post_handshake, "ticket"), record(fake::data, ""), record(fake::post_handshake, "answer me"), record(fake::data, "behind")}) {
            wire.insert(wire.end(), part.begin(), part.end());
        }
        p.client.line.feed(wire);
        CHECK(p.client.read() == status::ok);
        CHECK(p.client.got == "behind");
        // The answer leaves at once or with the next write; either way the caller finds it in out.
        const bytes answer = record(fake::post_handshake, "answered");
        if (kind == flavour::libretls) {
            CHECK(p.client.out.empty());
            p.client.write("w");
            CHECK(p.client.out.size() > answer.size());
        } else {
            CHECK((p.client.take_output() == answer));
        }
    });
}

TEST_CASE("every flavour: a flood of such messages gives the turn away, and loses nothing") {
    on_every_flavour([](flavour) {
        fake_pair p;
        p.connected();
        bytes wire;
        const bytes one = record(fake::post_handshake, "ticket"), last = record(fake::data, "after the flood");
        for (int i = 0; i < 100; ++i) wire.insert(wire.end(), one.begin(), one.end());
        wire.insert(wire.end(), last.begin(), last.end());
        p.client.line.feed(wire);
        lib.reads = 0;
        int turns = 0;
        status s = p.client.read();
        for (; s == status::again; s = p.client.read()) ++turns;
        CHECK(s == status::ok);
        CHECK(turns == 100 / engine::budget_per_call);
        CHECK(p.client.got == "after the flood");
    });
}

TEST_CASE("every flavour: WANT_POLLIN for ever ends each call") {
    on_every_flavour([](flavour) {
        fake_pair p;
        p.connected();
        lib.endless = true;
        p.client.line.feed(view("x"));
        lib.reads = 0;
        for (int i = 1; i <= 3; ++i) {
            CHECK(p.client.read() == status::again);
            CHECK(lib.reads == i * engine::budget_per_call);
        }
    });
}

TEST_CASE("every flavour: WANT_POLLOUT never is an answer") {
    on_every_flavour([](flavour) {
        fake_pair p, q;
        p.connected();
        q.connected();
        lib.want_pollout = true;
        p.client.line.feed(view("x"));
        CHECK(p.client.read() == status::failed);
        CHECK(q.client.write("x") == 0);
        CHECK(q.client.last == status::failed);
        CHECK(q.client.line.error(phase::write) == errc::tls_failure);
    });
}

TEST_CASE("every flavour: libtls is asked no more often than needed") {
    on_every_flavour([](flavour) {
        fake_pair p;
        p.connected();
        lib.reads = 0;
        for (int i = 0; i < 10; ++i) CHECK(p.client.read() == status::starved);
        CHECK(lib.reads <= 1);
        lib.reads = 0;
        for (int i = 0; i < 10; ++i) {  // a conversation: one call for each message and none to find that it was the last
            p.server.write("message");
            line_pair::carry(p.server, p.client);
            CHECK(p.client.last == status::starved);
        }
        CHECK(lib.reads == 10);
    });
}

TEST_CASE("every flavour: a span that a record fills exactly leaves nothing unread") {
    on_every_flavour([](flavour) {
        fake_pair p;
        p.connected();
        p.server.write("12345678");
        p.client.room = 4;
        line_pair::carry(p.server, p.client);
        CHECK(p.client.got == "12345678");
        CHECK(p.client.last == status::starved);
    });
}

TEST_CASE("libtls rule 11: a write during renegotiation waits for input, then goes on with the same bytes") {
    on_every_flavour([](flavour) {
        fake_pair p;
        p.connected();
        p.client.receive(record(fake::renegotiate, "begin"));
        CHECK(p.client.last == status::starved);
        CHECK((p.client.take_output() == record(fake::renegotiate, "answer")));  // rule 5: read wrote
        CHECK(p.client.write("my words") == 0);
        CHECK(p.client.last == status::starved);
        CHECK(p.client.out.empty());
        const bytes done = record(fake::renegotiate, "done");
        p.client.line.feed(done);  // rule 11: write reads
        CHECK(p.client.write("my words and more") == 17);
        CHECK(p.client.line.buffered_input() == 0);
        line_pair::carry(p.client, p.server);
        CHECK(p.server.got == "my words and more");
    });
}

TEST_CASE("every flavour: a transport that ends while a write waits for input") {
    on_every_flavour([](flavour) {
        fake_pair p;
        p.connected();
        p.client.receive(record(fake::renegotiate, "begin"));
        CHECK(p.client.write("x") == 0);
        p.client.line.end_input(0);
        CHECK(p.client.write("x") == 0);
        CHECK(p.client.last == status::truncated);
        CHECK(p.client.read() == status::truncated);
    });
}

TEST_CASE("every flavour: a refused name is found after Finished went out, and nothing follows") {
    on_every_flavour([](flavour) {
        fake_pair p;
        lib.refuse_name = true;
        p.client.drive();
        line_pair::carry(p.client, p.server);
        line_pair::carry(p.server, p.client);
        CHECK(p.client.last == status::failed);
        CHECK(!p.client.line.handshake_complete());
        CHECK(p.client.line.close() == status::failed);
        CHECK((p.client.take_output() == record(fake::handshake, "finished")));
        CHECK(lib.closes == 0);
    });
}

TEST_CASE("every flavour: the reason in the server's context is found, once") {
    on_every_flavour([](flavour) {
        const auto context = context_of(server_settings());
        end client, server;
        client.line.connect(client_settings(), "localhost").value();
        server.line.accept(context).value();
        lib.refuse_certificate = true;
        for (int i = 0; i < 3; ++i) {
            client.drive();
            line_pair::carry(client, server);
            line_pair::carry(server, client);
        }
        CHECK(server.last == status::failed);
        CHECK(contains(server.line.error(phase::handshake).detail(), "the reason"));
        CHECK(client.last == status::failed);
        end next;
        next.line.accept(context).value();
        next.receive(record(fake::data, "nonsense"));
        CHECK(next.last == status::failed);
        CHECK(!contains(next.line.error(phase::handshake).detail(), "the reason"));
    });
}

TEST_CASE("libtls rule 19: an error without text has words of ours") {
    on_every_flavour([](flavour) {
        fake_pair p;
        p.connected();
        lib.mute = true;
        bytes wire = record(fake::data, "x");
        wire.back() ^= std::byte{1};
        p.client.receive(wire);
        CHECK(p.client.last == status::failed);
        CHECK(!p.client.line.error(phase::read).detail().empty());
    });
}

TEST_CASE("libtls rule 3: no memory for a record fails the stream") {
    on_every_flavour([](flavour) {
        {
            fake_pair p;
            p.connected();
            {
                const out_of_memory now;
                CHECK(p.client.write("lost") == 0);
            }
            CHECK(p.client.last == status::failed);
            CHECK(p.client.line.error(phase::write).code() == std::error_code{ENOMEM, std::system_category()});
            CHECK(p.client.write("not now either") == 0);
            CHECK(p.client.out.empty());
        }
        {
            fake_pair p;
            const out_of_memory now;
            CHECK(p.client.line.handshake() == status::failed);
        }
        {
            fake_pair p;
            p.connected();
            const out_of_memory now;
            CHECK(p.client.line.close() == status::failed);
            CHECK(p.client.out.empty());
        }
        {
            fake_pair p;
            p.connected();
            bytes wire = record(fake::post_handshake, "answer me");
            const bytes behind = record(fake::data, "x");
            wire.insert(wire.end(), behind.begin(), behind.end());
            p.client.line.feed(wire);
            {
                const out_of_memory now;
                p.client.read();
                if (lib.kind == flavour::libretls) CHECK(p.client.write("x") == 0);
            }
            CHECK(p.client.read() == status::failed);
        }
    });
}

TEST_CASE("libtls rule 3: a lost record fails the stream even if libtls has not noticed") {
    on_every_flavour([](flavour kind) {
        {
            fake_pair p;
            p.connected();
            lib.hides_failure = true;
            const out_of_memory now;
            CHECK(p.client.write("lost") == 0);
            CHECK(p.client.last == status::failed);
        }
        fake_pair p;
        p.connected();
        bytes wire = record(fake::post_handshake, "answer me");
        const bytes behind = record(fake::data, "x");
        wire.insert(wire.end(), behind.begin(), behind.end());
        p.client.line.feed(wire);
        const out_of_memory now;
        CHECK(p.client.read() == status::ok);
        CHECK(p.client.got == "x");
        CHECK(p.client.line.has_failed() == (kind != flavour::libretls));
        lib.hides_failure = false;
    });
}

TEST_CASE("libtls rule 12: no memory to keep received bytes fails the stream, it does not lose them silently") {
    on_every_flavour([](flavour) {
        fake_pair p;
        p.connected();
        const bytes wire = record(fake::data, "kept or failed");
        p.client.line.feed(wire);
        {
            const out_of_memory now;
            CHECK(!p.client.line.release_input());
        }
        CHECK(p.client.read() == status::failed);
        CHECK(p.client.line.error(phase::read).code() == std::error_code{ENOMEM, std::system_category()});
        p.client.line.feed(wire);
        CHECK(p.client.line.buffered_input() == 0);
    });
}

TEST_CASE("every context is freed once") {
    lib.reset(flavour::libretls);
    {
        fake_pair p;
        p.connected();
        lib.frees = 0;
    }
    CHECK(lib.frees == 3);
}
