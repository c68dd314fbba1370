#pragma once
// What a TLS client or server accepts and shows: built once, checked while it is built, never changed.

#include <cstdio>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <tls.h>

#include <hawser/base/result.hpp>
#include <hawser/base/shared.hpp>
#include <hawser/tls/native_config.hpp>
#include <hawser/tls/trust.hpp>

namespace hawser::tls {

/// Options of a client. An empty string means "hawser's default". Everything is copied and every file is read while
/// the config is built; the strings need not live longer. Of ca_file, ca_path and ca_pem at most one may be set
/// (libtls would silently use one). Sources: tls_load_file(3), tls_config_set_protocols(3), tls_config_verify(3).
struct client_options {
    std::string_view ca_file{};    ///< PEM file of authorities to trust instead of the system's; parsed per connection
    std::string_view ca_path{};    ///< directory of authorities prepared by `openssl rehash`; cheapest for many of them
    std::string_view ca_pem{};     ///< authorities as PEM text
    std::string_view crl_file{};   ///< PEM file of revocation lists; then every issuer of a chain needs one
    std::string_view cert_file{};  ///< PEM file of the client's certificate, leaf first; with key_file
    std::string_view key_file{};
    std::string_view cert_pem{};   ///< the same as text; with key_pem
    std::string_view key_pem{};
    std::string_view alpn{};       ///< "h2,http/1.1", most wanted first; look at session().alpn for the outcome
    std::string_view ciphers{};    ///< "compat" or a cipher string; for TLS 1.3 only LibreSSL heeds it
    std::string_view curves{};     ///< "X25519,P-256,P-384"
    std::string_view protocols{};  ///< "tlsv1.2", "tlsv1.3" or "tlsv1.2,tlsv1.3"; nothing older
    int verify_depth = 6;          ///< most intermediate certificates in a chain
    bool require_ocsp_stapling = false;
    bool insecure_no_verify_certificate = false;  ///< accept any certificate: nobody knows who is at the other end
    bool insecure_no_verify_name = false;         ///< accept a trusted certificate of anybody
    bool insecure_no_verify_time = false;         ///< accept expired certificates
};

/// Options of a server; see client_options for what they share.
struct server_options {
    std::string_view client_ca_file{};    ///< PEM file of authorities that sign clients' certificates
    std::string_view client_ca_pem{};     ///< the same as text; at most one of the two
    std::string_view client_crl_file{};   ///< PEM file of revocation lists for clients
    std::string_view ocsp_staple_file{};  ///< DER file: the OCSP response for the first certificate
    std::string_view alpn{};              ///< the server's order decides. No common protocol: LibreSSL ends the handshake
    std::string_view ciphers{};
    std::string_view curves{};
    std::string_view protocols{};
    std::string_view dhe_params{};        ///< "auto" allows ciphers with DHE; default: none
    int verify_depth = 6;
    bool require_client_certificate = false;  ///< needs client_ca_file or client_ca_pem
    bool request_client_certificate = false;  ///< a client may come without one, but not with a bad one; needs the same
    bool prefer_client_ciphers = false;       ///< the client's order of ciphers decides
};

static_assert(std::is_trivially_destructible_v<client_options> && std::is_trivially_destructible_v<server_options>,
              "g++ 12 destroys temporary aggregates with owning members twice in a co_await expression");

/// The configuration of clients. Immutable; a copy is another handle to the same one, and any number of connections
/// and threads may share it. Build it once: that costs about 1 ms (with a bundle of authorities up to 25 ms), and it
/// keeps what the files contained then. Unless an option says otherwise: TLS 1.2 and 1.3, ciphers with forward
/// secrecy and authentication of data (AEAD), the system's authorities, certificate, name and time verified. The first config made in a
/// process initialises libtls; with LibreTLS, OpenSSL's own openssl.cnf is then not loaded in that process.
class config {
public:
    /// system().
    config() : config{system()} {}

    /// Throws hawser::error that names the option or file: errc::invalid_argument, errc::tls_failure with libtls's
    /// words, errc::no_trust, or the errno of a file that cannot be read.
    explicit config(const client_options& options) : state_{build(options)} {}

    /// No options, the system's authorities: SSL_CERT_FILE, else SSL_CERT_DIR, else the system's hashed directory,
    /// else its bundle (of which stderr is told, once, because each connection parses it). Looked for at the first
    /// call that succeeds, then shared by the whole process.
    static const config& system() {
        static const config& made = *new config{client_options{}};  // never destroyed: other statics may use it
        return made;
    }

    /// Whether connections show a certificate of their own.
    bool has_certificate() const noexcept { return state_->has_certificate; }
    /// For tls_configure(3); not to be changed.
    ::tls_config* native() const noexcept { return state_->native.get(); }

private:
    struct state {
        detail::native_config native;
        bool has_certificate = false;
    };
    static hawser::detail::shared<state> build(const client_options& options);
    hawser::detail::shared<state> state_;
};

inline hawser::detail::shared<config::state> config::build(const client_options& o) {
    using namespace detail;
    hawser::detail::shared<state> made;
    const native_config& native = made->native;
    native.set_common(o.alpn, o.ciphers, o.curves, o.protocols, o.verify_depth);
    if (o.insecure_no_verify_certificate) ::tls_config_insecure_noverifycert(native.get());
    if (o.insecure_no_verify_name) ::tls_config_insecure_noverifyname(native.get());
    if (o.insecure_no_verify_time) ::tls_config_insecure_noverifytime(native.get());
    if (o.require_ocsp_stapling) ::tls_config_ocsp_require_stapling(native.get());

    const int given = !o.ca_file.empty() + !o.ca_path.empty() + !o.ca_pem.empty();
    if (given > 1) refuse(errc::invalid_argument, "more than one of ca_file, ca_path and ca_pem is set: libtls uses only one");
    const bool verifies = !o.insecure_no_verify_certificate;
    if (!verifies && (given || !o.crl_file.empty() || o.require_ocsp_stapling)) {
        refuse(errc::invalid_argument, "insecure_no_verify_certificate leaves ca_file, ca_path, ca_pem, crl_file and require_ocsp_stapling without effect");
    }
    trust_location place;
    std::string authorities{o.ca_pem}, what = "ca_pem";
    if (!o.ca_path.empty()) {
        place.directory = c_string("ca_path", o.ca_path);
        if (!is_hashed_list(o.ca_path)) {
            refuse(errc::no_trust, quoted("ca_path", o.ca_path) + " is no directory with files named by the hash of an authority (run `openssl rehash` on it)");
        }
    } else if (!o.ca_file.empty()) {
        what = quoted("ca_file", o.ca_file);
        authorities = read_file("ca_file", o.ca_file);
    } else if (!given && verifies) {
        result<trust_location> found = find_system_trust();
        place = std::move(found).value();
        what = quoted("the system's bundle", place.bundle);
        if (!place.bundle.empty()) authorities = read_file("bundle", place.bundle);
        if (place.costly) {
            std::fprintf(stderr, "hawser: no hashed directory of certificate authorities found, using %s: each TLS connection of a client "
                         "parses it (4 to 26 ms). Run `openssl rehash DIR` and set SSL_CERT_DIR=DIR, or set the option ca_path.\n",
                         place.bundle.c_str());
        }
    }
    if (!place.directory.empty()) {
        native.set(::tls_config_set_ca_path, "ca_path", place.directory);
    } else if (verifies) {
        check_certificate(what, authorities);
        native.set(::tls_config_set_ca_mem, what, authorities);
    }
    if (!o.crl_file.empty()) {
        what = quoted("crl_file", o.crl_file) + " or " + what;
        native.set(::tls_config_set_crl_mem, what, read_file("crl_file", o.crl_file));
    }
    try_out(native, false, what);

    const bool files = !o.cert_file.empty() || !o.key_file.empty();
    const bool texts = !o.cert_pem.empty() || !o.key_pem.empty();
    if (!files && !texts) return made;
    if (files == texts || o.cert_file.empty() != o.key_file.empty() || o.cert_pem.empty() != o.key_pem.empty()) {
        refuse(errc::invalid_argument, "a client certificate needs cert_file and key_file, or cert_pem and key_pem");
    }
    const std::string cert_name = files ? quoted("cert_file", o.cert_file) : "cert_pem";
    const std::string key_name = files ? quoted("key_file", o.key_file) : "key_pem";
    const std::string cert = files ? read_file("cert_file", o.cert_file) : std::string{o.cert_pem};
    const secret key{files ? read_file("key_file", o.key_file) : std::string{o.key_pem}};
    check_certificate(cert_name, cert);
    check_key(key_name, key.text());
    native.set(::tls_config_set_cert_mem, cert_name, cert);
    native.set(::tls_config_set_key_mem, key_name, key.text());
    try_out(native, false, cert_name + " with " + key_name);
    made->has_certificate = true;
    return made;
}

/// The configuration of servers: certificates with their keys, and options. Immutable and shared like `config`;
/// a renewed certificate is a new server_config. Sessions are not resumed: libtls cannot do it alike everywhere.
class server_config {
public:
    /// From PEM files: the certificate (leaf first, then intermediates) and its key. Throws like config's constructor.
    static server_config from_files(std::string_view cert_file, std::string_view key_file, const server_options& options = {}) {
        settings made = record(options);
        made.pairs.push_back(load(cert_file, key_file, options.ocsp_staple_file));
        return server_config{std::move(made)};
    }

    /// The same from PEM text.
    static server_config from_pem(std::string_view cert, std::string_view key, const server_options& options = {}) {
        settings made = record(options);
        std::string staple = options.ocsp_staple_file.empty() ? "" : detail::read_file("ocsp_staple_file", options.ocsp_staple_file);
        made.pairs.push_back(checked(std::string{cert}, detail::secret{std::string{key}}, std::move(staple), "the certificate", "the key"));
        return server_config{std::move(made)};
    }

    /// A config with one more certificate, for clients that ask for its names by SNI. A client that asks for none that
    /// matches gets the first one. This config stays as it is.
    server_config with_keypair_files(std::string_view cert_file, std::string_view key_file, std::string_view ocsp_staple_file = {}) const {
        settings made = state_->recorded;
        made.pairs.push_back(load(cert_file, key_file, ocsp_staple_file));
        return server_config{std::move(made)};
    }
    server_config with_keypair_pem(std::string_view cert, std::string_view key) const {
        settings made = state_->recorded;
        made.pairs.push_back(checked(std::string{cert}, detail::secret{std::string{key}}, {}, "the certificate", "the key"));
        return server_config{std::move(made)};
    }

    /// For tls_configure(3); not to be changed.
    ::tls_config* native() const noexcept { return state_->native.get(); }

private:
    struct settings {
        std::string alpn, ciphers, curves, protocols, dhe_params, client_ca, client_ca_name, client_crl, client_crl_name;
        int verify_depth = 0;
        bool require = false, request = false, prefer_client = false;
        std::vector<detail::keypair> pairs;
    };
    struct state {
        detail::native_config native;
        settings recorded;
    };
    explicit server_config(settings made);

    static detail::keypair checked(std::string cert, detail::secret key, std::string staple, const std::string& cert_name, const std::string& key_name) {
        detail::check_certificate(cert_name, cert);
        detail::check_key(key_name, key.text());
        return {std::move(cert), std::move(staple), std::move(key), cert_name + " with " + key_name};
    }
    static detail::keypair load(std::string_view cert_file, std::string_view key_file, std::string_view staple_file) {
        return checked(detail::read_file("certificate", cert_file), detail::secret{detail::read_file("key", key_file)},
                       staple_file.empty() ? "" : detail::read_file("ocsp_staple_file", staple_file),
                       detail::quoted("certificate", cert_file), detail::quoted("key", key_file));
    }
    static settings record(const server_options& o);
    hawser::detail::shared<state> state_;
};

inline server_config::settings server_config::record(const server_options& o) {
    using detail::refuse;
    settings s{std::string{o.alpn}, std::string{o.ciphers}, std::string{o.curves}, std::string{o.protocols}, std::string{o.dhe_params},
               std::string{o.client_ca_pem}, "client_ca_pem", {}, {}, o.verify_depth, o.require_client_certificate,
               o.request_client_certificate, o.prefer_client_ciphers, {}};
    const bool asks = o.require_client_certificate || o.request_client_certificate;
    if (!o.client_ca_file.empty() && !o.client_ca_pem.empty()) refuse(errc::invalid_argument, "client_ca_file and client_ca_pem are both set");
    if (o.client_ca_file.empty() && o.client_ca_pem.empty()) {
        // libtls would accept every certificate that the system's authorities signed: that is no authorisation.
        if (asks) refuse(errc::invalid_argument, "a server that asks for client certificates needs client_ca_file or client_ca_pem");
        if (!o.client_crl_file.empty()) refuse(errc::invalid_argument, "client_crl_file has no effect without client_ca_file");
    } else if (!asks) {
        refuse(errc::invalid_argument, "client_ca_file has no effect: set require_client_certificate or request_client_certificate");
    }
    if (o.require_client_certificate && o.request_client_certificate) {
        refuse(errc::invalid_argument, "a client certificate is either required or requested, not both");
    }
    if (!o.client_ca_file.empty()) {
        s.client_ca = detail::read_file("client_ca_file", o.client_ca_file);
        s.client_ca_name = detail::quoted("client_ca_file", o.client_ca_file);
    }
    if (asks) detail::check_certificate(s.client_ca_name, s.client_ca);
    if (!o.client_crl_file.empty()) {
        s.client_crl = detail::read_file("client_crl_file", o.client_crl_file);
        s.client_crl_name = detail::quoted("client_crl_file", o.client_crl_file);
    }
    if (!o.dhe_params.empty() && o.dhe_params != "none" && o.dhe_params != "auto") {
        refuse(errc::invalid_argument, detail::quoted("dhe_params", o.dhe_params) + ": write auto or none; 1024 bits (legacy) are too few");
    }
    return s;
}

inline server_config::server_config(settings s) {
    using detail::native_config;
    hawser::detail::shared<state> made;
    const native_config& native = made->native;
    native.set_common(s.alpn, s.ciphers, s.curves, s.protocols, s.verify_depth);
    if (!s.dhe_params.empty()) native.set(::tls_config_set_dheparams, "dhe_params", s.dhe_params);
    if (s.prefer_client) ::tls_config_prefer_ciphers_client(native.get());
    for (const detail::keypair& pair : s.pairs) {
        const auto *cert = native_config::octets(pair.cert), *key = native_config::octets(pair.key.text());
        const auto* staple = pair.staple.empty() ? nullptr : native_config::octets(pair.staple);
        const bool first = &pair == s.pairs.data();
        const auto setter = first ? ::tls_config_set_keypair_ocsp_mem : ::tls_config_add_keypair_ocsp_mem;
        native.check(setter(native.get(), cert, pair.cert.size(), key, pair.key.text().size(), staple, pair.staple.size()), pair.name);
        try_out(native, true, pair.name);
    }
    if (s.require || s.request) {
        native.set(::tls_config_set_ca_mem, s.client_ca_name, s.client_ca);
        std::string what = s.client_ca_name;
        if (!s.client_crl.empty()) {
            what = s.client_crl_name + " or " + what;
            native.set(::tls_config_set_crl_mem, what, s.client_crl);
        }
        s.require ? ::tls_config_verify_client(native.get()) : ::tls_config_verify_client_optional(native.get());
        try_out(native, true, what);
    }
    made->recorded = std::move(s);
    state_ = std::move(made);
}

}  // namespace hawser::tls
