// Who is let in, and what is said to those who are not.

#include "support.hpp"

using namespace hawser_test;

namespace {

// Runs a handshake to its end and says why the client refused.
hawser::error_info refused(const hw::tls::config& c, const hw::tls::server_config& s, const char* name = "localhost") {
    line_pair p{c, s, name};
    p.settle();
    REQUIRE(p.client.last == status::failed);
    CHECK(!p.client.line.handshake_complete());
    const hawser::error_info why = p.client.line.error(phase::handshake, name ? name : "");
    CHECK(why == errc::tls_failure);
    CHECK(!why.detail().empty());
    return why;
}

}  // namespace

TEST_CASE("a client accepts a trusted certificate for every name in it") {
    const hw::tls::config c = client_config({});
    const hw::tls::server_config s = server_config();
    for (const char* name : {"localhost", "LOCALHOST", "localhost.", "127.0.0.1", "::1"}) {
        CAPTURE(name);
        line_pair{c, s, name}.connected();
    }
}

TEST_CASE("a client refuses an unknown authority, a self-signed, an expired and a foreign certificate") {
    const std::string other = cert("other-ca.pem");
    for (const std::string version : both_versions) {
        CAPTURE(version);
        (void)refused(client_config({.ca_file = other, .protocols = version}), server_config());
        (void)refused(client_config({.protocols = version}), server_config("self-signed"));
        (void)refused(client_config({.protocols = version}), server_config("expired"));
        const hawser::error_info why = refused(client_config({.protocols = version}), server_config("wrong-name"));
        CHECK(contains(why.detail(), "localhost"));
        (void)refused(client_config({.protocols = version}), server_config(), "127.0.0.2");
    }
}

TEST_CASE("each insecure option lifts its own check and no other") {
    const std::string other = cert("other-ca.pem");
    const hw::tls::config no_time = client_config({.insecure_no_verify_time = true});
    const hw::tls::config no_name = client_config({.insecure_no_verify_name = true});
    const hw::tls::config no_chain = client_config({.insecure_no_verify_certificate = true});

    line_pair{no_time, server_config("expired")}.connected();
    (void)refused(no_time, server_config("wrong-name"));
    (void)refused(no_time, server_config("self-signed"));

    line_pair{no_name, server_config("wrong-name")}.connected();
    (void)refused(no_name, server_config("expired"));
    (void)refused(no_name, server_config("self-signed"));

    line_pair{no_chain, server_config("self-signed")}.connected();
    line_pair{no_chain, server_config("expired")}.connected();
    (void)refused(no_chain, server_config("wrong-name"));  // the name is still verified
}

TEST_CASE("a server that requires a client certificate gets one that it can look at") {
    const std::string ca = cert("ca.pem"), certificate = cert("client.pem"), key = cert("client.key");
    for (const std::string version : both_versions) {
        CAPTURE(version);
        line_pair p{{.client = {.cert_file = certificate, .key_file = key},
                     .server = {.client_ca_file = ca, .require_client_certificate = true},
                     .protocols = version}};
        p.connected();
        const hw::tls::peer_info peer = hw::tls::peer_of(p.server.line.connection());
        CHECK(peer.provided);
        CHECK(contains(peer.subject, "test client"));
    }
}

TEST_CASE("a server that requests a client certificate takes none, takes a good one, refuses a bad one") {
    const std::string ca = cert("ca.pem"), certificate = cert("client.pem"), key = cert("client.key");
    const std::string bad = cert("self-signed.pem"), bad_key = cert("self-signed.key");
    const hw::tls::server_options requests{.client_ca_file = ca, .request_client_certificate = true};
    for (const std::string version : both_versions) {
        CAPTURE(version);
        line_pair none{{.server = requests, .protocols = version}};
        none.connected();
        CHECK(!hw::tls::peer_of(none.server.line.connection()).provided);

        line_pair good{{.client = {.cert_file = certificate, .key_file = key}, .server = requests, .protocols = version}};
        good.connected();
        CHECK(hw::tls::peer_of(good.server.line.connection()).provided);

        line_pair refuses{{.client = {.cert_file = bad, .key_file = bad_key}, .server = requests, .protocols = version}};
        refuses.settle();
        CHECK(refuses.server.last == status::failed);
        CHECK(refuses.client.last == status::failed);
    }
}

TEST_CASE("the versions of both sides must meet") {
    const hw::tls::config new_only = client_config({.protocols = "tlsv1.3"});
    line_pair p{new_only, server_config("server", {.protocols = "tlsv1.2"})};
    p.settle();
    CHECK(!p.client.line.handshake_complete());
    CHECK(!p.server.line.handshake_complete());

    line_pair both{client_config({}), server_config("server", {.protocols = "tlsv1.2"})};
    both.connected();
    CHECK(hw::tls::session_of(both.client.line.native()).version == "TLSv1.2");
    line_pair newest{client_config({}), server_config()};
    newest.connected();
    CHECK(hw::tls::session_of(newest.client.line.native()).version == "TLSv1.3");
}

TEST_CASE("by default only ciphers with forward secrecy and AEAD are spoken") {
    // A server that has none of them: ECDHE with CBC.
    const hw::tls::server_config old = server_config("server", {.ciphers = "ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA", .protocols = "tlsv1.2"});
    for (const std::string_view ciphers : {"", "secure", "default"}) {
        line_pair p{client_config({.ciphers = ciphers}), old};
        p.settle();
        CHECK(!p.client.line.handshake_complete());
    }
    line_pair compatible{client_config({.ciphers = "compat"}), old};
    compatible.connected();
    // And a server with the default offers none of them to a client that wants them.
    line_pair q{client_config({.ciphers = "ECDHE-ECDSA-AES256-SHA384", .protocols = "tlsv1.2"}), server_config()};
    q.settle();
    CHECK(!q.server.line.handshake_complete());
}

TEST_CASE("protocols agreed on by ALPN are seen on both sides, in the server's order") {
    for (const std::string version : both_versions) {
        line_pair p{{.client = {.alpn = "h2,http/1.1"}, .server = {.alpn = "http/1.1,h2"}, .protocols = version}};
        p.connected();
        CHECK(hw::tls::session_of(p.client.line.native()).alpn == "http/1.1");
        CHECK(hw::tls::session_of(p.server.line.native()).alpn == "http/1.1");
    }
}
