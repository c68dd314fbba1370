// The engine must not care how the transport cuts the ciphertext, and must see every cut that loses some of it.

#include <random>

#include "support.hpp"

using namespace hawser_test;

namespace {

// A conversation that ends properly; says whether both ends saw all of it.
template <class Cut> void converse(std::string_view version, std::string_view text, Cut cut) {
    line_pair p{{.protocols = version}};
    p.settle(cut);
    REQUIRE(p.client.line.handshake_complete());
    REQUIRE(p.server.line.handshake_complete());
    CHECK(p.client.write(text) == text.size());
    CHECK(p.server.write(text) == text.size());
    p.settle(cut);
    CHECK(p.client.line.close() == status::ok);
    line_pair::carry(p.client, p.server, cut);
    CHECK(p.server.line.close() == status::ok);
    line_pair::carry(p.server, p.client, cut);
    CHECK((p.client.got == text));
    CHECK((p.server.got == text));
    CHECK(p.client.last == status::ended);
    CHECK(p.server.last == status::ended);
    CHECK(p.client.line.buffered_input() == 0);
}

}  // namespace

TEST_CASE("ciphertext arrives byte by byte") {
    const std::string text = long_text(40'000);
    for (const std::string version : both_versions) converse(version, text, [] { return std::size_t{1}; });
}

TEST_CASE("ciphertext arrives in random pieces") {
    const std::string text = long_text(100'000);
    for (unsigned seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        std::mt19937 random{seed};
        // Mostly small: the interesting cuts are within headers.
        const auto cut = [&] { return std::size_t{1} + random() % (random() % 4 == 0 ? 30'000u : 40u); };
        converse(both_versions[seed % 2], text, cut);
    }
}

TEST_CASE("ciphertext cut off at any byte is never taken for a proper end") {
    for (const std::string version : both_versions) {
        CAPTURE(version);
        const std::string text = "an answer whose end matters";
        std::size_t length = ~std::size_t{0};
        for (std::size_t cut = 0; cut <= length; ++cut) {
            CAPTURE(cut);
            line_pair p{{.protocols = version}};
            p.connected();
            p.server.write(text.substr(0, 10));
            p.server.write(text.substr(10));
            p.server.line.close();
            const bytes wire = p.server.take_output();
            length = wire.size();
            p.client.line.feed(std::span{wire}.first(cut));
            p.client.line.end_input(0);
            p.client.drive();
            if (cut < length) {
                CHECK(p.client.last == status::truncated);
                CHECK(p.client.got == text.substr(0, p.client.got.size()));
            } else {
                CHECK(p.client.last == status::ended);
                CHECK(p.client.got == text);
            }
        }
        CHECK(length > 60);
    }
}

TEST_CASE("a handshake cut off at any byte fails on the side that misses something") {
    for (const std::string version : both_versions) {
        CAPTURE(version);
        for (std::size_t cut = 0; cut < 400; cut += cut < 16 ? 1 : 23) {
            CAPTURE(cut);
            line_pair p{{.protocols = version}};
            p.client.drive();
            bytes flight = p.client.take_output();
            p.server.receive(flight);
            flight = p.server.take_output();
            REQUIRE(cut < flight.size());
            p.client.line.feed(std::span{flight}.first(cut));
            p.client.line.end_input(0);
            p.client.drive();
            CHECK(p.client.last == status::failed);
            CHECK(!p.client.line.handshake_complete());
            CHECK(p.client.line.error(phase::handshake) == errc::tls_failure);
        }
    }
}

TEST_CASE("a changed byte anywhere in a record fails the stream and delivers nothing of it") {
    for (const std::string version : both_versions) {
        CAPTURE(version);
        std::size_t length = ~std::size_t{0};
        for (std::size_t at = 0; at < length; ++at) {
            CAPTURE(at);
            line_pair p{{.protocols = version}};
            p.connected();
            p.server.write("genuine");
            bytes wire = p.server.take_output();
            length = wire.size();
            wire[at] ^= std::byte{0x80};
            p.client.line.feed(wire);
            p.client.line.end_input(0);
            p.client.drive();
            CHECK((p.client.last == status::failed || p.client.last == status::truncated));
            CHECK(p.client.got.empty());
        }
    }
}

TEST_CASE("noise never completes a handshake") {
    std::mt19937 random{7};
    for (int i = 0; i < 200; ++i) {
        line_pair p;
        p.client.drive();
        p.client.take_output();
        std::string noise = long_text(random() % 300 + 1);
        for (char& c : noise) c = static_cast<char>(random());
        if (i % 2) noise.replace(0, 3, "\x16\x03\x03");
        for (end* e : {&p.client, &p.server}) {
            e->receive(view(noise));
            e->line.end_input(0);
            e->drive();
            CHECK(e->last == status::failed);
            CHECK(!e->line.handshake_complete());
        }
    }
}

TEST_CASE("megabytes both ways at once") {
    for (const std::string version : both_versions) {
        CAPTURE(version);
        line_pair p{{.protocols = version}};
        p.connected();
        p.client.room = p.server.room = 50'000;
        const std::string text = long_text(std::size_t{4} << 20);
        const std::size_t limit = 256 * 1024;
        std::size_t from_client = 0, from_server = 0;
        while (from_client < text.size() || from_server < text.size()) {
            const std::string_view all{text};
            from_client += p.client.write(all.substr(from_client), limit);
            from_server += p.server.write(all.substr(from_server), limit);
            line_pair::carry(p.client, p.server);
            line_pair::carry(p.server, p.client);
        }
        CHECK((p.client.got == text));
        CHECK((p.server.got == text));
    }
}
