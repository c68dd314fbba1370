// The rules for wrapping libtls, one test each, on both versions of TLS where they differ.

#include <cerrno>
#include <type_traits>

#include "support.hpp"

using namespace hawser_test;

namespace {

template <class F> void on_both_versions(F f) {
    for (const std::string version : both_versions) {
        CAPTURE(version);
        f(std::string_view{version});
    }
}

}  // namespace

TEST_CASE("an engine pair shakes hands and talks both ways") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        p.connected();
        CHECK(p.client.write("from the client") == 15);
        CHECK(p.server.write("from the server") == 15);
        p.settle();
        CHECK(p.server.got == "from the client");
        CHECK(p.client.got == "from the server");
        CHECK(p.client.last == status::starved);
        CHECK(p.server.last == status::starved);
    });
}

TEST_CASE("data that arrives with the handshake's last flight is read") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        while (!p.client.line.handshake_complete()) {
            p.client.drive();
            if (p.client.line.handshake_complete()) break;
            line_pair::carry(p.client, p.server);
            p.client.line.feed({});
            const bytes flight = p.server.take_output();
            p.client.line.feed(flight);
            p.client.drive();
            CHECK(p.client.line.release_input());
        }
        p.client.write("at once");  // behind Finished, in the same bytes
        const bytes flight = p.client.take_output();
        p.server.line.feed(flight);
        if (!p.server.line.handshake_complete()) REQUIRE(p.server.line.handshake() == status::ok);
        CHECK(p.server.line.buffered_input() > 0);
        CHECK(p.server.line.release_input());
        p.server.drive();
        CHECK(p.server.got == "at once");
    });
}

TEST_CASE("libtls rule 1: the engine is pinned and nothing escapes from its calls") {
    static_assert(!std::is_move_constructible_v<engine> && !std::is_copy_constructible_v<engine>);
    static_assert(!std::is_move_assignable_v<engine> && !std::is_copy_assignable_v<engine>);
    std::size_t n = 0;
    end e;
    static_assert(noexcept(e.line.handshake()) && noexcept(e.line.read({}, n)) && noexcept(e.line.write({}, n, n)));
    static_assert(noexcept(e.line.feed({})) && noexcept(e.line.release_input()) && noexcept(e.line.end_input(0)) && noexcept(e.line.close()));
}

TEST_CASE("libtls rule 2: without input a call is starved; a transport's error keeps its errno") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        p.connected();
        CHECK(p.client.read() == status::starved);
        CHECK(p.client.read() == status::starved);

        p.server.write("last words");
        const bytes wire = p.server.take_output();
        p.client.line.feed(wire);
        p.client.line.end_input(ECONNRESET);  // what came before it is read first
        p.client.drive();
        CHECK(p.client.got == "last words");
        CHECK(p.client.last == status::failed);
        const hawser::error_info why = p.client.line.error(phase::read, "peer");
        CHECK(why.code() == std::error_code{ECONNRESET, std::system_category()});
        CHECK(why.peer() == "peer");
        CHECK(p.client.read() == status::failed);
    });
}

TEST_CASE("libtls rule 2: only the first reason of an ended transport counts") {
    line_pair p;
    p.connected();
    p.client.line.end_input(EPIPE);
    p.client.line.end_input(0);
    CHECK(p.client.read() == status::failed);
    CHECK(p.client.line.error(phase::read).code().value() == EPIPE);
}

TEST_CASE("libtls rule 3: write takes records until the limit is reached, and what it took is sent whole") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        p.connected();
        const std::string text = long_text(200'000);
        std::size_t n = 0;
        REQUIRE(p.client.line.write(view(text), n, 65536) == status::ok);
        CHECK(n == 4 * engine::record_size);  // four sealed records are more than 64 KiB
        CHECK(p.client.out.size() >= 65536);
        std::size_t none = 1;
        CHECK(p.client.line.write(view(text).subspan(n), none, 65536) == status::ok);
        CHECK(none == 0);
        line_pair::carry(p.client, p.server);
        CHECK(p.server.got == text.substr(0, n));
        std::size_t rest = 0;
        REQUIRE(p.client.line.write(view(text).subspan(n), rest, std::size_t{1} << 30) == status::ok);
        CHECK(rest == text.size() - n);
        line_pair::carry(p.client, p.server);
        CHECK(p.server.got == text);
    });
}

TEST_CASE("libtls rule 4: records without data do not hide the data behind them") {
    line_pair p{{.protocols = "tlsv1.3"}};
    while (!p.server.line.handshake_complete()) {
        p.client.drive();
        p.server.receive(p.client.take_output());
        if (p.server.line.handshake_complete()) break;
        const bytes flight = p.server.take_output();
        p.client.line.feed(flight);
        (void)p.client.line.handshake();
        CHECK(p.client.line.release_input());
    }
    p.server.write("after the tickets");  // LibreTLS: two NewSessionTickets stand before it
    const bytes wire = p.server.take_output();
    p.client.line.feed(wire);
    CHECK(p.client.read() == status::ok);
    CHECK(p.client.got == "after the tickets");
    CHECK(p.client.line.buffered_input() == 0);
}

TEST_CASE("libtls rule 5: a read that fails leaves an alert to send") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        p.connected();
        p.client.write("to be spoilt");
        bytes wire = p.client.take_output();
        wire.back() ^= std::byte{1};
        p.server.receive(wire);
        CHECK(p.server.last == status::failed);
        CHECK(p.server.got.empty());
        if (version == "tlsv1.2") CHECK(!p.server.out.empty());  // with TLS 1.3 LibreSSL sends none here
        line_pair::carry(p.server, p.client);
        if (p.client.last == status::failed) CHECK(p.client.line.error(phase::read) == errc::tls_failure);
    });
}

TEST_CASE("libtls rule 6: close_notify is the end") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        p.connected();
        p.client.write("all of it");
        CHECK(p.client.line.close() == status::ok);
        line_pair::carry(p.client, p.server);
        CHECK(p.server.got == "all of it");
        CHECK(p.server.last == status::ended);
        p.server.line.end_input(0);
        CHECK(p.server.read() == status::ended);
        CHECK(!p.server.line.has_failed());
        CHECK(p.server.line.error(phase::read) == errc::end_of_stream);
    });
}

TEST_CASE("libtls rule 6: the transport's end without close_notify is a truncation") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        p.connected();
        p.client.write("part of it");
        line_pair::carry(p.client, p.server);
        p.server.line.end_input(0);
        p.server.drive();
        CHECK(p.server.got == "part of it");
        CHECK(p.server.last == status::truncated);
        CHECK(p.server.read() == status::truncated);
        CHECK(p.server.line.error(phase::read) == errc::truncated);
        p.server.out.clear();  // LibreTLS sends an alert
        CHECK(p.server.line.close() == status::truncated);
        CHECK(p.server.out.empty());
    });
}

TEST_CASE("libtls rule 6: a close_notify that was received before the transport's end counts") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        p.connected();
        CHECK(p.client.line.close() == status::ok);
        const bytes wire = p.client.take_output();
        p.server.line.feed(wire);
        p.server.line.end_input(0);
        p.server.drive();
        CHECK(p.server.last == status::ended);
    });
}

TEST_CASE("libtls rule 6: what comes behind close_notify is ignored") {
    line_pair p;
    p.connected();
    p.client.line.close();
    line_pair::carry(p.client, p.server);
    REQUIRE(p.server.last == status::ended);
    const std::string noise = long_text(1000);
    p.server.line.feed(view(noise));
    CHECK(p.server.line.release_input());
    CHECK(p.server.line.buffered_input() == 0);
    CHECK(p.server.read() == status::ended);

    line_pair q;  // the same in one piece
    q.connected();
    q.client.line.close();
    bytes wire = q.client.take_output();
    wire.resize(wire.size() + 1000);
    q.server.line.feed(wire);
    CHECK(q.server.read() == status::ended);
    CHECK(q.server.line.buffered_input() == 0);
}

TEST_CASE("libtls rule 7: the first failure is the last word") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        p.connected();
        p.client.write("spoilt");
        bytes wire = p.client.take_output();
        wire.back() ^= std::byte{1};
        p.client.write("good");
        const bytes good = p.client.take_output();
        p.server.line.feed(wire);
        p.server.line.feed(good);  // so that the bad record is in the inbox
        p.server.drive();
        REQUIRE(p.server.last == status::failed);
        CHECK(p.server.line.buffered_input() == 0);
        const std::string words = p.server.line.error(phase::read).detail();
        CHECK(!words.empty());
        p.server.out.clear();

        p.server.receive(good);
        CHECK(p.server.last == status::failed);
        CHECK(p.server.line.handshake() == status::failed);
        CHECK(p.server.write("more") == 0);
        CHECK(p.server.last == status::failed);
        CHECK(p.server.line.close() == status::failed);
        CHECK(p.server.out.empty());  // above all no close_notify, which would make the cut look like an end
        CHECK(p.server.got.empty());
        CHECK(p.server.line.error(phase::read).detail() == words);
        CHECK(p.server.line.buffered_input() == 0);
    });
}

TEST_CASE("libtls rule 8: close_notify is sent once, and the other direction goes on") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        p.connected();
        CHECK(p.client.line.close() == status::ok);
        CHECK(!p.client.out.empty());
        line_pair::carry(p.client, p.server);
        CHECK(p.client.line.close() == status::ok);
        CHECK(p.client.out.empty());

        CHECK(p.client.write("too late") == 0);
        CHECK(p.client.last == status::failed);
        CHECK(p.client.line.error(phase::write) == errc::closed);
        CHECK(!p.client.line.has_failed());

        CHECK(p.server.last == status::ended);
        CHECK(p.server.write("half closed") == 11);
        CHECK(p.server.line.close() == status::ok);
        line_pair::carry(p.server, p.client);
        CHECK(p.client.got == "half closed");
        CHECK(p.client.last == status::ended);
    });
}

TEST_CASE("libtls rule 8: a close before the handshake is complete sends nothing") {
    line_pair p;
    p.client.drive();
    const bytes hello = p.client.take_output();
    CHECK(p.client.line.close() == status::ok);
    CHECK(p.client.out.empty());
    CHECK(!p.client.line.close_called());
    p.server.receive(hello);
    p.settle();
    CHECK(p.client.line.handshake_complete());
}

TEST_CASE("libtls rule 9: an empty write or read does not reach libtls") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        p.connected();
        std::size_t n = 1;
        CHECK(p.client.line.write({}, n, 65536) == status::ok);
        CHECK(n == 0);
        CHECK(p.client.out.empty());
        p.server.write("x");
        const bytes wire = p.server.take_output();
        p.client.line.feed(wire);
        n = 1;
        CHECK(p.client.line.read({}, n) == status::ok);
        CHECK(n == 0);
        CHECK(p.client.line.buffered_input() == wire.size());
        p.client.drive();
        CHECK(p.client.got == "x");
        CHECK(p.client.line.close() == status::ok);
        line_pair::carry(p.client, p.server);
        CHECK(p.server.last == status::ended);  // and the close is not poisoned
    });
}

TEST_CASE("libtls rule 10: one read fills the caller's span from many records") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        p.connected();
        std::string text;
        for (int i = 0; i < 500; ++i) {
            const std::string part = std::to_string(i) + ",";
            p.client.write(part);
            text += part;
        }
        const bytes wire = p.client.take_output();
        p.server.line.feed(wire);
        p.server.room = 100'000;
        CHECK(p.server.read() == status::ok);
        CHECK(p.server.got == text);
        CHECK(p.server.line.buffered_input() == 0);
        CHECK(p.server.read() == status::starved);
    });
}

TEST_CASE("libtls rule 10: a short span leaves the rest of a record inside libtls, and nothing is lost") {
    on_both_versions([](std::string_view version) {
        const std::string text = long_text(3 * engine::record_size + 17);
        for (const std::size_t room : {std::size_t{1}, std::size_t{7}, engine::record_size - 1, engine::record_size, engine::record_size + 1}) {
            CAPTURE(room);
            line_pair p{{.protocols = version}};
            p.connected();
            p.client.write(text);
            p.server.room = room;
            line_pair::carry(p.client, p.server);
            CHECK(p.server.got == text);
            CHECK(p.server.last == status::starved);
        }
    });
}

TEST_CASE("libtls rule 11: reading and writing do not wait for each other") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        p.connected();
        const std::string text = long_text(100'000);
        std::string sent, answered;
        // The client never empties its out while it reads.
        for (std::size_t i = 0; i < text.size(); i += 5000) {
            CHECK(p.client.write(text.substr(i, 5000)) == 5000);
            CHECK(p.server.write(text.substr(i, 5000)) == 5000);
            line_pair::carry(p.server, p.client);
        }
        CHECK(p.client.got == text);
        line_pair::carry(p.client, p.server);
        CHECK(p.server.got == text);
    });
}

TEST_CASE("libtls rule 12: input may be released and fed again at any point") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.protocols = version}};
        p.connected();
        const std::string text = long_text(50'000);
        p.client.write(text);
        const bytes wire = p.client.take_output();
        // Nobody reads: everything collects in the inbox, in order, also when a lent span was not released.
        std::span<const std::byte> left{wire};
        p.server.line.feed(left.first(1000));
        p.server.line.feed(left.subspan(1000, 1));
        CHECK(p.server.line.release_input());
        p.server.line.feed({});
        p.server.line.feed(left.subspan(1001));
        CHECK(p.server.line.buffered_input() == wire.size());
        p.server.room = 10;
        CHECK(p.server.read() == status::ok);
        CHECK(p.server.line.release_input());
        p.server.room = 4096;
        p.server.drive();
        CHECK(p.server.got == text);
        CHECK(p.server.line.buffered_input() == 0);
    });
}

TEST_CASE("libtls rule 13: connections outlive the handles that they were made from") {
    on_both_versions([](std::string_view version) {
        std::optional<end> client{std::in_place}, server{std::in_place};
        {
            const hw::tls::config c = client_config({.protocols = version});
            const hw::tls::server_config s = server_config("server", {.protocols = version});
            auto context = context_of(s);
            client->line.connect(c, std::string{"localhost"}.c_str()).value();
            server->line.accept(context).value();
        }
        while (client->last == status::starved && !(client->line.handshake_complete() && server->line.handshake_complete())) {
            client->drive();
            line_pair::carry(*client, *server);
            line_pair::carry(*server, *client);
        }
        CHECK(client->line.handshake_complete());
        CHECK(server->line.handshake_complete());
        // An engine may go at any time, its handshake complete or not.
        end unfinished;
        unfinished.line.accept(context_of(server_config())).value();
        unfinished.drive();
    });
}

TEST_CASE("libtls rule 13: one server context serves many connections at once") {
    const auto context = context_of(server_config());
    const hw::tls::config c = client_config({});
    std::vector<std::unique_ptr<end>> clients, servers;
    for (int i = 0; i < 8; ++i) {
        clients.push_back(std::make_unique<end>());
        servers.push_back(std::make_unique<end>());
        clients.back()->line.connect(c, "localhost").value();
        servers.back()->line.accept(context).value();
    }
    for (int round = 0; round < 4; ++round) {
        for (std::size_t i = 0; i < clients.size(); ++i) {
            clients[i]->drive();
            line_pair::carry(*clients[i], *servers[i]);
            line_pair::carry(*servers[i], *clients[i]);
        }
    }
    for (std::size_t i = 0; i < clients.size(); ++i) {
        CHECK(clients[i]->line.handshake_complete());
        CHECK(servers[i]->line.handshake_complete());
    }
}

TEST_CASE("libtls rule 14: a server says why it refused a client's certificate, and never twice") {
    on_both_versions([](std::string_view version) {
        const std::string ca = cert("ca.pem"), other = cert("other-ca.pem");
        const hw::tls::server_config settings = server_config("server", {.client_ca_file = other, .protocols = version, .require_client_certificate = true});
        const auto context = context_of(settings);
        const std::string certificate = cert("client.pem"), key = cert("client.key");
        const hw::tls::config with = client_config({.cert_file = certificate, .key_file = key, .protocols = version});
        end client, server;
        client.line.connect(with, "localhost").value();
        server.line.accept(context).value();
        for (int i = 0; i < 4; ++i) {
            client.drive();
            line_pair::carry(client, server);
            line_pair::carry(server, client);
        }
        REQUIRE(server.last == status::failed);
        const std::string why = server.line.error(phase::handshake).detail();
        CHECK(contains(why, ": "));  // the connection's own text, and the reason behind it
        CHECK(context->take_error().empty());

        // The reason of that failure does not show up in the next one.
        end noise;
        noise.line.accept(context).value();
        const std::string request = "GET / HTTP/1.1\r\n\r\n";
        noise.receive(view(request));
        REQUIRE(noise.last == status::failed);
        const std::string other_words = noise.line.error(phase::handshake).detail();
        end alone;
        alone.line.accept(context_of(settings)).value();
        alone.receive(view(request));
        CHECK(other_words == alone.line.error(phase::handshake).detail());
        CHECK(other_words != why);
    });
}

TEST_CASE("libtls rule 17: protocols without a common one either fail the handshake or give none") {
    on_both_versions([](std::string_view version) {
        line_pair p{{.client = {.alpn = "h2"}, .server = {.alpn = "http/1.1,spdy/3"}, .protocols = version}};
        p.settle();
        if (p.client.line.handshake_complete()) {
            CHECK(hw::tls::session_of(p.client.line.native()).alpn.empty());
            CHECK(hw::tls::session_of(p.server.line.native()).alpn.empty());
        } else {
            CHECK(p.server.last == status::failed);
            CHECK(p.client.last == status::failed);
        }
    });
}

TEST_CASE("libtls rule 18: the alert on a client's first read points at the client certificate") {
    const std::string ca = cert("ca.pem"), certificate = cert("self-signed.pem"), key = cert("self-signed.key");
    hw::tls::client_options shown{};
    std::string_view says = "may require a client certificate";
    SUBCASE("none was shown") {}
    SUBCASE("a bad one was shown") {
        shown.cert_file = certificate;
        shown.key_file = key;
        says = "may have refused the client certificate";
    }
    line_pair p{{.client = shown, .server = {.client_ca_file = ca, .require_client_certificate = true}, .protocols = "tlsv1.3"}};
    p.settle();
    CHECK(p.client.line.handshake_complete());
    CHECK(p.server.last == status::failed);
    CHECK(!p.server.line.handshake_complete());
    REQUIRE(p.client.last == status::failed);
    const hawser::error_info why = p.client.line.error(phase::read);
    CHECK(why == errc::tls_failure);
    CHECK(contains(why.detail(), says));
}

TEST_CASE("libtls rule 18: with TLS 1.2 the handshake itself fails; a later alert has no such hint") {
    const std::string ca = cert("ca.pem");
    line_pair p{{.server = {.client_ca_file = ca, .require_client_certificate = true}, .protocols = "tlsv1.2"}};
    p.settle();
    CHECK(!p.client.line.handshake_complete());
    CHECK(!contains(p.client.line.error(phase::handshake).detail(), "client certificate)"));

    line_pair q{{.protocols = "tlsv1.3"}};
    q.connected();
    q.server.write("welcome");
    q.settle();
    bytes spoilt = (q.server.write("x"), q.server.take_output());
    spoilt.back() ^= std::byte{1};
    q.client.receive(spoilt);
    REQUIRE(q.client.last == status::failed);
    CHECK(!contains(q.client.line.error(phase::read).detail(), "client certificate)"));
}

TEST_CASE("libtls rule 19: an error outlives the connection that it came from") {
    std::optional<hawser::error_info> why;
    {
        const std::string other = cert("other-ca.pem");
        line_pair p{{.client = {.ca_file = other}}};
        p.settle();
        REQUIRE(p.client.last == status::failed);
        why = p.client.line.error(phase::handshake, "localhost (memory)");
    }
    CHECK(*why == errc::tls_failure);
    CHECK(!why->detail().empty());
    CHECK(why->doing() == phase::handshake);
    CHECK(contains(why->message(), "localhost (memory)"));
}

TEST_CASE("libtls rule 21: no session is resumed") {
    on_both_versions([](std::string_view version) {
        const hw::tls::config c = client_config({.protocols = version});
        const hw::tls::server_config s = server_config("server", {.protocols = version});
        for (int i = 0; i < 2; ++i) {
            line_pair p{c, s};
            p.connected();
            CHECK(!hw::tls::session_of(p.client.line.native()).resumed);
        }
    });
}

TEST_CASE("a handshake whose transport ends or breaks fails, and says which") {
    on_both_versions([](std::string_view version) {
        for (const int error : {0, ECONNRESET}) {
            CAPTURE(error);
            line_pair p{{.protocols = version}};
            p.client.drive();
            p.client.line.end_input(error);
            CHECK(p.client.line.handshake() == status::failed);
            const hawser::error_info why = p.client.line.error(phase::handshake, "localhost");
            if (error) {
                CHECK(why.code() == std::error_code{ECONNRESET, std::system_category()});
            } else {
                CHECK(why == errc::tls_failure);
                CHECK(contains(why.message(), "closed the connection during the TLS handshake"));
            }
            CHECK(p.client.line.handshake() == status::failed);
        }
    });
}

TEST_CASE("a peer that does not speak TLS is named as such") {
    const std::string response = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    line_pair p;
    p.client.drive();
    p.client.receive(view(response));
    CHECK(p.client.last == status::failed);
    CHECK(contains(p.client.line.error(phase::handshake).detail(), "does not speak TLS on this port"));
    p.server.receive(view("GET / HTTP/1.1\r\n\r\n"));
    CHECK(p.server.last == status::failed);
    CHECK(contains(p.server.line.error(phase::handshake).detail(), "client does not speak TLS"));
}

TEST_CASE("read and write on an unfinished handshake go on with it") {
    line_pair p;
    CHECK(p.client.read() == status::starved);
    CHECK(!p.client.out.empty());
    std::size_t n = 1;
    CHECK(p.server.line.write(view("x"), n, 65536) == status::starved);
    CHECK(n == 0);
    p.settle();
    CHECK(p.client.line.handshake_complete());
}

TEST_CASE("a client needs a name to verify") {
    end e;
    const auto outcome = e.line.connect(client_config({}), nullptr);
    REQUIRE(!outcome);
    CHECK(outcome.error() == errc::tls_failure);
    CHECK(!outcome.error().detail().empty());
    CHECK(e.line.handshake() == status::failed);

    line_pair p{client_config({.insecure_no_verify_name = true}), server_config(), nullptr};
    p.connected();
}
