// What is known of a connection, as values.

#include "support.hpp"

using namespace hawser_test;

TEST_CASE("a client sees the server's certificate") {
    hw::tls::peer_info peer;
    {
        line_pair p;
        CHECK(!hw::tls::peer_of(p.client.line.connection()).provided);  // nothing before the handshake
        p.connected();
        peer = hw::tls::peer_of(p.client.line.connection());
        CHECK(!hw::tls::peer_of(p.server.line.connection()).provided);
    }
    // The connection is gone; what is known of it is not.
    CHECK(peer.provided);
    CHECK(contains(peer.subject, "localhost"));
    CHECK(contains(peer.issuer, "hawser test intermediate"));
    CHECK(peer.hash.size() == 7 + 64);
    CHECK(peer.hash.substr(0, 7) == "SHA256:");
    const auto now = std::chrono::system_clock::now();
    CHECK(peer.not_before <= now);
    CHECK(peer.not_after > now);
    CHECK(peer.not_after - peer.not_before > std::chrono::hours{24 * 29});
    CHECK(peer.chain_pem.find("-----BEGIN CERTIFICATE-----") == 0);
    CHECK(peer.contains_name("localhost"));
    CHECK(peer.contains_name("127.0.0.1"));
    CHECK(peer.contains_name(std::string_view{"localhost:80"}.substr(0, 9)));
    CHECK(!peer.contains_name("localhost:80"));
    CHECK(!peer.contains_name("example.org"));
    CHECK(!peer.contains_name(""));
    CHECK(!peer.contains_name(std::string_view{"localhost\0.example.org", 22}));
    CHECK(!hw::tls::peer_info{}.contains_name("localhost"));
}

TEST_CASE("the session's parameters") {
    for (const std::string version : both_versions) {
        line_pair p{{.protocols = version}};
        CHECK(hw::tls::session_of(p.client.line.native()).version.empty());
        p.connected();
        const hw::tls::session_info c = hw::tls::session_of(p.client.line.native()), s = hw::tls::session_of(p.server.line.native());
        CHECK(c.version == (version == "tlsv1.2" ? "TLSv1.2" : "TLSv1.3"));
        CHECK(s.version == c.version);
        CHECK(!c.cipher.empty());
        CHECK(s.cipher == c.cipher);
        CHECK(c.cipher_strength >= 128);
        CHECK(c.alpn.empty());
        CHECK(s.servername == "localhost");
        CHECK(!c.resumed);
    }
    CHECK(hw::tls::session_of(nullptr).version.empty());
}

TEST_CASE("an address is no server name") {
    line_pair p{client_config({}), server_config(), "127.0.0.1"};
    p.connected();
    CHECK(hw::tls::session_of(p.server.line.native()).servername.empty());
}

TEST_CASE("without a stapled response there is no OCSP information") {
    line_pair p;
    p.connected();
    const hw::tls::ocsp_info info = hw::tls::ocsp_of(p.client.line.native());
    CHECK(!info.present);
    CHECK(info.status == hw::tls::ocsp_status::none);
    CHECK(info.response_status == hw::tls::ocsp_response::none);
    CHECK(info.reason == hw::tls::crl_reason::none);
    CHECK(info.this_update == hw::tls::certificate_time{});
    CHECK(info.url.empty());
    CHECK(!hw::tls::ocsp_of(nullptr).present);
}

TEST_CASE("a client that requires a staple refuses a server without one") {
    line_pair p{client_config({.require_ocsp_stapling = true}), server_config()};
    p.settle();
    CHECK(p.client.last == status::failed);
    CHECK(!p.client.line.handshake_complete());
}

namespace {

// Signs an OCSP response for server.pem with the authority's own key, which is the only key that make-certs leaves.
std::string make_staple(const temporary_directory& where, const std::string& status) {
    const std::string dir = fs::path{cert("ca.pem")}.parent_path().string();
    // A leaf signed by ca.pem directly, so that the authority may answer for it.
    const std::string script =
        "set -e; cd " + where.path() + "; umask 077\n"
        "openssl ecparam -name prime256v1 -genkey -noout -out leaf.key\n"
        "openssl req -new -key leaf.key -subj /CN=localhost -out leaf.csr\n"
        "printf 'subjectAltName=DNS:localhost\\nauthorityInfoAccess=OCSP;URI:http://ocsp.example.test/\\n' >ext\n"
        "openssl x509 -req -in leaf.csr -CA " + dir + "/ca.pem -CAkey " + dir + "/ca.key -set_serial 4660 -days 20 -extfile ext -out leaf.pem\n"
        "printf '" + status + "\\t" + "400101000000Z\\t" + (status == "R" ? "250101000000Z,keyCompromise" : "") + "\\t1234\\tunknown\\t/CN=localhost\\n' >index\n"
        "openssl ocsp -issuer " + dir + "/ca.pem -cert leaf.pem -no_nonce -reqout request.der\n"
        "openssl ocsp -index index -CA " + dir + "/ca.pem -rsigner " + dir + "/ca.pem -rkey " + dir + "/ca.key -reqin request.der -ndays 2 -respout staple.der\n";
    where.write("run.sh", script);
    REQUIRE(std::system(("sh " + (where / "run.sh") + " >" + (where / "log") + " 2>&1").c_str()) == 0);
    return where / "staple.der";
}

}  // namespace

TEST_CASE("a stapled OCSP response is verified and readable") {
    const temporary_directory where;
    const std::string staple = make_staple(where, "V");
    const hw::tls::server_config s = hw::tls::server_config::from_files(where / "leaf.pem", where / "leaf.key", {.ocsp_staple_file = staple});
    for (const std::string version : both_versions) {
        line_pair p{client_config({.protocols = version, .require_ocsp_stapling = true}), s};
        p.connected();
        const hw::tls::ocsp_info info = hw::tls::ocsp_of(p.client.line.native());
        CHECK(info.present);
        CHECK(info.status == hw::tls::ocsp_status::good);
        CHECK(info.response_status == hw::tls::ocsp_response::successful);
        CHECK(info.reason == hw::tls::crl_reason::none);
        CHECK(!info.result.empty());
        CHECK(info.revocation_time == hw::tls::certificate_time{});
        CHECK(info.this_update <= std::chrono::system_clock::now());
        CHECK(info.next_update > std::chrono::system_clock::now());
        CHECK(info.url == "http://ocsp.example.test/");
    }
}

TEST_CASE("a stapled response that says revoked ends the handshake") {
    const temporary_directory where;
    const std::string staple = make_staple(where, "R");
    line_pair p{client_config({.require_ocsp_stapling = true}),
                hw::tls::server_config::from_files(where / "leaf.pem", where / "leaf.key", {.ocsp_staple_file = staple})};
    p.settle();
    CHECK(p.client.last == status::failed);
    CHECK(!p.client.line.handshake_complete());
    const hw::tls::ocsp_info info = hw::tls::ocsp_of(p.client.line.native());
    if (info.present) {
        CHECK(info.status == hw::tls::ocsp_status::revoked);
        CHECK(info.reason == hw::tls::crl_reason::key_compromise);
    }
}
