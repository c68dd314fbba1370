// Every mistake in a configuration is an error while it is built, and the error says where the mistake is.

#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>

#include "support.hpp"

using namespace hawser_test;

namespace {

// A failure of `build` whose message names every one of `parts`.
template <class F, class... Parts> void refuses(F build, std::error_code code, Parts... parts) {
    const auto why = error_of(build);
    REQUIRE_MESSAGE(why, "nothing was thrown");
    const std::string message = why->message();
    CAPTURE(message);
    CHECK(why->code() == code);
    CHECK(why->doing() == phase::setup);
    const auto check = [&](std::string_view part) { CHECK_MESSAGE(contains(message, part), std::string{part}); };
    (check(parts), ...);
}
template <class... Parts> void client_refuses(const hw::tls::client_options& options, std::error_code code, Parts... parts) {
    refuses([&] { (void)client_config(options); }, code, parts...);
}
template <class... Parts> void server_refuses(const hw::tls::server_options& options, std::error_code code, Parts... parts) {
    refuses([&] { (void)server_config("server", options); }, code, parts...);
}
std::error_code code(errc e) { return make_error_code(e); }
std::error_code code(int number) { return {number, std::system_category()}; }

}  // namespace

TEST_CASE("options are plain: g++ 12 may destroy temporaries of them twice") {
    static_assert(std::is_trivially_destructible_v<hw::tls::client_options> && std::is_aggregate_v<hw::tls::client_options>);
    static_assert(std::is_trivially_destructible_v<hw::tls::server_options> && std::is_aggregate_v<hw::tls::server_options>);
    const std::string ca = cert("ca.pem");
    const hw::tls::config c{{.ca_file = ca, .alpn = "http/1.1"}};
    CHECK(!c.has_certificate());
    const hw::tls::config copy = c;
    CHECK(copy.native() == c.native());
}

TEST_CASE("a file that is not there or may not be read is named, with its errno and what to do") {
    const temporary_directory where;
    const std::string missing = where / "missing.pem";
    client_refuses({.ca_file = missing}, code(ENOENT), missing, "ca_file", "path");
    client_refuses({.crl_file = missing}, code(ENOENT), missing, "crl_file");
    const std::string c = cert("client.pem"), k = cert("client.key"), s_pem = cert("server.pem");
    client_refuses({.cert_file = missing, .key_file = k}, code(ENOENT), missing, "cert_file");
    client_refuses({.cert_file = c, .key_file = missing}, code(ENOENT), missing, "key_file");
    server_refuses({.client_ca_file = missing, .require_client_certificate = true}, code(ENOENT), missing, "client_ca_file");
    server_refuses({.ocsp_staple_file = missing}, code(ENOENT), missing, "ocsp_staple_file");
    refuses([&] { (void)hw::tls::server_config::from_files(missing, k); }, code(ENOENT), missing, "certificate");
    refuses([&] { (void)hw::tls::server_config::from_files(c, missing); }, code(ENOENT), missing, "key");
    refuses([&] { (void)server_config().with_keypair_files(c, missing); }, code(ENOENT), missing);
    refuses([&] { (void)hw::tls::server_config::from_files(where.path(), k); }, code(EISDIR), where.path());
    const std::string closed = where.write("closed.key", "secret"), server_pem = slurp(s_pem);
    REQUIRE(::chmod(closed.c_str(), 0) == 0);
    const bool root = ::geteuid() == 0;
    const temporary_directory open;
    REQUIRE(::chmod(open.path().c_str(), 0755) == 0);
    const std::string readable = open.write("server.pem", server_pem);
    if (root) REQUIRE(::seteuid(65534) == 0);  // root may read everything
    refuses([&] { (void)hw::tls::server_config::from_files(readable, closed); }, code(EACCES), closed, "chmod");
    if (root) REQUIRE(::seteuid(0) == 0);
}

TEST_CASE("a key that does not belong to its certificate is an error when the config is built") {
    const std::string s = cert("server.pem"), k = cert("client.key"), c = cert("client.pem"), other = cert("server.key");
    refuses([&] { (void)hw::tls::server_config::from_files(s, k); }, code(errc::tls_failure), s, k);
    client_refuses({.cert_file = c, .key_file = other}, code(errc::tls_failure), c, other);
    refuses([&] { (void)server_config().with_keypair_files(s, k); }, code(errc::tls_failure), s, k);
    refuses([&] { (void)hw::tls::server_config::from_pem(slurp(s), slurp(k)); }, code(errc::tls_failure), "certificate", "key");
}

TEST_CASE("files with the wrong contents are named") {
    const temporary_directory where;
    const std::string s = cert("server.pem"), k = cert("server.key");
    refuses([&] { (void)hw::tls::server_config::from_files(k, s); }, code(errc::tls_failure), k, "exchanged");
    refuses([&] { (void)hw::tls::server_config::from_files(s, s); }, code(errc::tls_failure), s, "exchanged");
    const std::string empty = where.write("empty.pem", "");
    client_refuses({.ca_file = empty}, code(errc::tls_failure), empty, "no PEM certificate");
    client_refuses({.ca_file = k}, code(errc::tls_failure), k, "no PEM certificate");
    client_refuses({.ca_pem = "nothing"}, code(errc::tls_failure), "ca_pem");
    const std::string broken = where.write("broken.pem", "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n");
    client_refuses({.ca_file = broken}, code(errc::tls_failure), broken);
    refuses([&] { (void)hw::tls::server_config::from_files(broken, k); }, code(errc::tls_failure), broken);
    server_refuses({.client_ca_file = broken, .require_client_certificate = true}, code(errc::tls_failure), broken);
    const std::string bad_key = where.write("bad.key", "-----BEGIN PRIVATE KEY-----\nbm90IG9uZQ==\n-----END PRIVATE KEY-----\n");
    refuses([&] { (void)hw::tls::server_config::from_files(s, bad_key); }, code(errc::tls_failure), bad_key);
    const std::string locked = where.write("locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n-----END ENCRYPTED PRIVATE KEY-----\n");
    refuses([&] { (void)hw::tls::server_config::from_files(s, locked); }, code(errc::tls_failure), locked, "decrypt");
    client_refuses({.crl_file = broken}, code(errc::tls_failure), broken);
}

TEST_CASE("settings that libtls does not know are named with their value") {
    client_refuses({.ciphers = "NO-SUCH-CIPHER"}, code(errc::tls_failure), "ciphers", "NO-SUCH-CIPHER");
    client_refuses({.curves = "P-1"}, code(errc::tls_failure), "curves", "P-1");
    client_refuses({.alpn = "h2,,http/1.1"}, code(errc::tls_failure), "alpn", "h2,,http/1.1");
    server_refuses({.dhe_params = "legacy"}, code(errc::invalid_argument), "dhe_params", "legacy");
    client_refuses({.verify_depth = -1}, code(errc::invalid_argument), "verify_depth");
    client_refuses({.alpn = std::string_view{"h2\0x", 4}}, code(errc::invalid_argument), "alpn");
    client_refuses({.ca_file = std::string_view{"/etc\0x", 6}}, code(errc::invalid_argument), "ca_file");
}

TEST_CASE("nothing older than TLS 1.2 can be asked for") {
    for (const std::string_view old : {"all", "legacy", "tlsv1", "tlsv1.0", "tlsv1.1", "tlsv1.1,tlsv1.2", "tlsv1.2,", ",", "!tlsv1.3", "TLSv1.3", "default"}) {
        client_refuses({.protocols = old}, code(errc::invalid_argument), "protocols", std::string{old}, "tlsv1.2,tlsv1.3");
        server_refuses({.protocols = old}, code(errc::invalid_argument), "protocols", std::string{old});
    }
    for (const std::string_view good : {"", "tlsv1.2", "tlsv1.3", "tlsv1.2,tlsv1.3", "tlsv1.3,tlsv1.2"}) CHECK(!error_of([&] { (void)client_config({.protocols = good}); }));
}

TEST_CASE("no option is accepted and ignored") {
    const std::string ca = cert("ca.pem"), c = cert("client.pem"), k = cert("client.key");
    const std::string directory = fs::path{ca}.parent_path().string();
    const auto invalid = code(errc::invalid_argument);
    client_refuses({.ca_file = ca, .ca_path = directory}, invalid, "ca_path");
    client_refuses({.ca_file = ca, .ca_pem = "x"}, invalid, "ca_pem");
    client_refuses({.ca_file = ca, .insecure_no_verify_certificate = true}, invalid, "insecure_no_verify_certificate");
    client_refuses({.require_ocsp_stapling = true, .insecure_no_verify_certificate = true}, invalid, "require_ocsp_stapling");
    client_refuses({.cert_file = c}, invalid, "key_file");
    client_refuses({.key_file = k}, invalid, "cert_file");
    client_refuses({.cert_file = c, .key_pem = "x"}, invalid, "cert_pem");
    client_refuses({.cert_file = c, .key_file = k, .cert_pem = "x", .key_pem = "y"}, invalid, "cert_pem");
    client_refuses({.ca_path = directory}, code(errc::no_trust), directory, "rehash");
    server_refuses({.require_client_certificate = true}, invalid, "client_ca_file");
    server_refuses({.request_client_certificate = true}, invalid, "client_ca_file");
    server_refuses({.client_ca_file = ca}, invalid, "require_client_certificate");
    server_refuses({.client_ca_file = ca, .client_ca_pem = "x", .require_client_certificate = true}, invalid, "client_ca_pem");
    server_refuses({.client_ca_file = ca, .require_client_certificate = true, .request_client_certificate = true}, invalid, "not both");
    server_refuses({.client_crl_file = ca}, invalid, "client_crl_file");
}

TEST_CASE("a config keeps what its files contained") {
    const temporary_directory where;
    const std::string ca = where.write("ca.pem", slurp(cert("ca.pem")));
    const std::string c = where.write("s.pem", slurp(cert("server.pem"))), k = where.write("s.key", slurp(cert("server.key")));
    const hw::tls::config client{{.ca_file = ca}};
    const hw::tls::server_config server = hw::tls::server_config::from_files(c, k);
    for (const std::string& file : {ca, c, k}) REQUIRE(fs::remove(file));
    line_pair{client, server}.connected();
    // The recorded first certificate serves without its file, too.
    const hw::tls::server_config more = server.with_keypair_files(cert("wrong-name.pem"), cert("wrong-name.key"));
    line_pair{client, more}.connected();
}

TEST_CASE("the same settings from text") {
    const std::string ca = slurp(cert("ca.pem")), c = slurp(cert("client.pem")), k = slurp(cert("client.key"));
    const hw::tls::config client{{.ca_pem = ca, .cert_pem = c, .key_pem = k}};
    CHECK(client.has_certificate());
    const hw::tls::server_config server =
        hw::tls::server_config::from_pem(slurp(cert("server.pem")), slurp(cert("server.key")), {.client_ca_pem = ca, .require_client_certificate = true});
    line_pair p{client, server};
    p.connected();
    CHECK(hw::tls::peer_of(p.server.line.connection()).provided);
}

TEST_CASE("the certificate is chosen by the name that the client asks for") {
    const hw::tls::server_config one = server_config();
    const hw::tls::server_config two = one.with_keypair_files(cert("wrong-name.pem"), cert("wrong-name.key"));
    const hw::tls::server_config three = one.with_keypair_pem(slurp(cert("wrong-name.pem")), slurp(cert("wrong-name.key")));
    const hw::tls::config c = client_config({});
    for (const hw::tls::server_config& s : {two, three}) {
        line_pair{c, s, "wrong.example.test"}.connected();
        line_pair{c, s, "localhost"}.connected();
    }
    line_pair alone{c, one, "wrong.example.test"};  // the first one stays as it was
    alone.settle();
    CHECK(alone.client.last == status::failed);
}

TEST_CASE("a directory of authorities, prepared by openssl rehash") {
    const temporary_directory where;
    where.write("ca.pem", slurp(cert("ca.pem")));
    REQUIRE(std::system(("openssl rehash " + where.path() + " >/dev/null 2>&1").c_str()) == 0);
    const std::string path = where.path();
    const hw::tls::config c{{.ca_path = path}};
    line_pair{c, server_config()}.connected();
    line_pair foreign{c, server_config("self-signed")};
    foreign.settle();
    CHECK(foreign.client.last == status::failed);
}

TEST_CASE("a revoked certificate is refused") {
    const temporary_directory where;
    const std::string dir = fs::path{cert("ca.pem")}.parent_path().string();
    where.write("config", "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=2\n");
    where.write("index", "");
    where.write("number", "01\n");
    const std::string script = "set -e; cd " + where.path() +
        "; umask 077\nopenssl ecparam -name prime256v1 -genkey -noout -out leaf.key\n"
        "openssl req -new -key leaf.key -subj /CN=localhost -out leaf.csr\n"
        "printf 'subjectAltName=DNS:localhost\\n' >ext\n"
        "openssl x509 -req -in leaf.csr -CA " + dir + "/ca.pem -CAkey " + dir + "/ca.key -set_serial 77 -days 20 -extfile ext -out leaf.pem\n"
        "ca='-config config -cert " + dir + "/ca.pem -keyfile " + dir + "/ca.key'\n"
        "openssl ca $ca -gencrl -out none.pem\nopenssl ca $ca -revoke leaf.pem\nopenssl ca $ca -gencrl -out revoked.pem\n";
    where.write("run.sh", script);
    REQUIRE(std::system(("sh " + (where / "run.sh") + " >" + (where / "log") + " 2>&1").c_str()) == 0);
    const hw::tls::server_config s = hw::tls::server_config::from_files(where / "leaf.pem", where / "leaf.key");
    const std::string none = where / "none.pem", revoked = where / "revoked.pem";
    line_pair{client_config({.crl_file = none}), s}.connected();
    line_pair p{client_config({.crl_file = revoked}), s};
    p.settle();
    CHECK(p.client.last == status::failed);
}

TEST_CASE("the system's configuration is made once and shared") {
    if (error_of([] { (void)hw::tls::config::system(); })) return;  // a machine without authorities
    const hw::tls::config a{}, b = hw::tls::config::system();
    CHECK(a.native() == b.native());
    line_pair p{a, server_config()};
    p.settle();
    CHECK(p.client.last == status::failed);  // nobody's authority
}
