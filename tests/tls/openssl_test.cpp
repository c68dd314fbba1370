// What only a peer that is not libtls can do: KeyUpdate, renegotiation, padding. Needs OpenSSL's libssl.

#include "openssl_peer.hpp"
#include "support.hpp"

using namespace hawser_test;

namespace {

void settle(end& ours, openssl_peer& theirs) {
    ours.drive();
    theirs.drive();
    for (int quiet = 0; quiet < 2;) {
        const bytes there = ours.take_output(), back = theirs.take_output();
        quiet = there.empty() && back.empty() ? quiet + 1 : 0;
        theirs.receive(there);
        if (!back.empty()) ours.receive(back);
    }
}

struct against_server {
    explicit against_server(int version) : theirs{true, version} {
        ours.line.connect(client_config({}), "localhost").value();
        settle(ours, theirs);
        REQUIRE(ours.line.handshake_complete());
    }
    end ours;
    openssl_peer theirs;
};

}  // namespace

TEST_CASE("KeyUpdate: the read sees the data behind it, and the answer leaves with the next write") {
    against_server p{TLS1_3_VERSION};
    for (int i = 0; i < 5; ++i) {
        REQUIRE(SSL_key_update(p.theirs.line, SSL_KEY_UPDATE_REQUESTED) == 1);
        p.theirs.write("under a new key;");
        const bytes wire = p.theirs.take_output();
        p.ours.line.feed(wire);
        CHECK(p.ours.read() == status::ok);
        CHECK(p.ours.line.buffered_input() == 0);
        CHECK(p.ours.write("answer;") == 7);
        settle(p.ours, p.theirs);
    }
    CHECK(p.ours.got.size() == 5 * 16);
    CHECK(p.theirs.got.size() == 5 * 7);
    CHECK(!p.theirs.failed);
}

TEST_CASE("many KeyUpdates at once give the turn away between") {
    against_server p{TLS1_3_VERSION};
    for (int i = 0; i < 70; ++i) {
        REQUIRE(SSL_key_update(p.theirs.line, SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
        SSL_do_handshake(p.theirs.line);
    }
    p.theirs.write("behind them");
    const bytes wire = p.theirs.take_output();
    p.ours.line.feed(wire);
    int turns = 0;
    status s = p.ours.read();
    for (; s == status::again; s = p.ours.read()) ++turns;
    CHECK(s == status::ok);
    CHECK(turns >= 1);
    CHECK(p.ours.got == "behind them");
}

TEST_CASE("padded records") {
    openssl_peer theirs{true, TLS1_3_VERSION};
    SSL_set_block_padding(theirs.line, 4096);
    end ours;
    ours.line.connect(client_config({}), "localhost").value();
    settle(ours, theirs);
    REQUIRE(ours.line.handshake_complete());
    for (int i = 0; i < 10; ++i) theirs.write("little in much;");
    settle(ours, theirs);
    CHECK(ours.got.size() == 10 * 15);
}

TEST_CASE("renegotiation by a TLS 1.2 server: reads write, writes wait for input, nothing is lost") {
    against_server p{TLS1_2_VERSION};
    REQUIRE(SSL_renegotiate(p.theirs.line) == 1);
    SSL_do_handshake(p.theirs.line);
    p.ours.receive(p.theirs.take_output());  // HelloRequest
    CHECK(p.ours.last == status::starved);
    CHECK(!p.ours.out.empty());  // the read answered with ClientHello
    CHECK(p.ours.write("kept back") == 0);
    CHECK(p.ours.last == status::starved);
    std::string_view text = "kept back";
    for (int round = 0; round < 10 && !text.empty(); ++round) {
        p.theirs.receive(p.ours.take_output());
        const bytes wire = p.theirs.take_output();
        p.ours.line.feed(wire);
        text.remove_prefix(p.ours.write(text));  // the write drives the handshake
        p.ours.line.release_input();
    }
    CHECK(text.empty());
    settle(p.ours, p.theirs);
    CHECK(p.theirs.got == "kept back");
    p.theirs.write("and on");
    settle(p.ours, p.theirs);
    CHECK(p.ours.got == "and on");
    CHECK(!p.ours.line.has_failed());
}

TEST_CASE("a client's renegotiation is refused") {
    openssl_peer theirs{false, TLS1_2_VERSION};
    end ours;
    ours.line.accept(context_of(server_config())).value();
    settle(ours, theirs);
    REQUIRE(ours.line.handshake_complete());
    SSL_renegotiate(theirs.line);
    SSL_do_handshake(theirs.line);
    for (int i = 0; i < 5; ++i) {
        ours.receive(theirs.take_output());
        theirs.receive(ours.take_output());
    }
    CHECK((ours.line.has_failed() || theirs.failed));
}

TEST_CASE("a fatal alert is a failure") {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        against_server p{version};
        p.theirs.write("before;");
        settle(p.ours, p.theirs);
        bytes spoilt = (p.ours.write("x"), p.ours.take_output());
        spoilt.back() ^= std::byte{1};
        p.theirs.receive(spoilt);
        CHECK(p.theirs.failed);
        p.ours.receive(p.theirs.take_output());
        CHECK(p.ours.last == status::failed);
        CHECK(p.ours.line.error(phase::read) == errc::tls_failure);
        CHECK(p.ours.got == "before;");
    }
}
