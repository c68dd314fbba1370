#pragma once
// What libtls knows of a connection once its handshake is complete, as values.

#include <cstddef>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>

#include <tls.h>

#include <hawser/base/clock.hpp>
#include <hawser/base/intrusive.hpp>
#include <hawser/tls/server_context.hpp>

namespace hawser::tls {

using certificate_time = std::chrono::system_clock::time_point;

/// How the connection is protected. Plain values: copy and move them anywhere. Source: tls_conn_version(3).
struct session_info {
    std::string version;      ///< "TLSv1.3"; for display
    std::string cipher;       ///< "TLS_AES_256_GCM_SHA384", named as the library names it; for display
    int cipher_strength = 0;  ///< bits
    std::string alpn;         ///< the protocol agreed on; empty if none was, which need not have failed the handshake
    std::string servername;   ///< the name that the client asked for by SNI, not verified; empty where it asked for an address
    bool resumed = false;

    session_info() = default;
};

/// The peer's certificate. Everything but contains_name() is a copy. It keeps the connection's TLS state (about 80
/// KiB) alive, so it may outlive its stream; use, copy and destroy it on that stream's thread. Source: tls_conn_version(3).
struct peer_info {
    bool provided = false;          ///< whether the peer showed one; if not, the rest is empty
    std::string subject, issuer;    ///< "/CN=localhost"; for display: the form is not safe to take apart
    std::string hash;               ///< of the leaf: "SHA256:" and 64 hexadecimal digits
    certificate_time not_before{}, not_after{};
    std::string chain_pem;          ///< the chain as it was sent, leaf first

    peer_info() = default;

    /// Whether the certificate is valid for this DNS name or IP address. False where none was shown.
    bool contains_name(std::string_view name) const {
        if (!provided || !connection || name.empty() || name.find('\0') != std::string_view::npos) return false;
        return ::tls_peer_cert_contains_name(connection->native(), std::string{name}.c_str()) == 1;
    }

    hawser::detail::ref<detail::context> connection;  ///< for contains_name()
};

enum class ocsp_status : signed char { none = -1, good = 0, revoked = 1, unknown = 2 };  // RFC 6960, 2.2
enum class ocsp_response : signed char {  // RFC 6960, 2.3
    none = -1, successful = 0, malformed = 1, internal_error = 2, try_later = 3, signature_required = 4, unauthorized = 5
};
enum class crl_reason : signed char {  // RFC 5280, 5.3.1
    none = -1, unspecified = 0, key_compromise = 1, ca_compromise = 2, affiliation_changed = 3, superseded = 4,
    cessation_of_operation = 5, certificate_hold = 6, remove_from_crl = 8, privilege_withdrawn = 9, aa_compromise = 10
};

/// What a stapled OCSP response said of the server's certificate. Source: tls_ocsp_process_response(3).
struct ocsp_info {
    bool present = false;  ///< whether a response was stapled and verified; if not, only url may be set
    ocsp_status status = ocsp_status::none;
    ocsp_response response_status = ocsp_response::none;
    crl_reason reason = crl_reason::none;                     ///< why it was revoked
    certificate_time revocation_time{}, this_update{}, next_update{};  ///< certificate_time{} where there is none
    std::string result;                                       ///< "good"; for display
    std::string url;                                          ///< where the certificate says to ask

    ocsp_info() = default;
};

namespace detail {

inline std::string copy(const char* text) { return text ? text : ""; }
inline certificate_time time_of(std::time_t t) noexcept {
    return t == static_cast<std::time_t>(-1) ? certificate_time{} : std::chrono::system_clock::from_time_t(t);
}

}  // namespace detail

/// Of a connection whose handshake is complete; before that everything is empty.
inline session_info session_of(::tls* connection) {
    session_info info;
    if (!connection) return info;
    info.version = detail::copy(::tls_conn_version(connection));
    if (info.version.empty()) return info;
    info.cipher = detail::copy(::tls_conn_cipher(connection));
    info.cipher_strength = ::tls_conn_cipher_strength(connection);
    info.alpn = detail::copy(::tls_conn_alpn_selected(connection));
    info.servername = detail::copy(::tls_conn_servername(connection));
    info.resumed = ::tls_conn_session_resumed(connection) == 1;
    return info;
}

inline peer_info peer_of(const hawser::detail::ref<detail::context>& connection) {
    peer_info info;
    if (!connection) return info;
    ::tls* native = connection->native();
    if (!native || ::tls_peer_cert_provided(native) != 1) return info;
    info.provided = true;
    info.connection = connection;
    info.subject = detail::copy(::tls_peer_cert_subject(native));
    info.issuer = detail::copy(::tls_peer_cert_issuer(native));
    info.hash = detail::copy(::tls_peer_cert_hash(native));
    info.not_before = detail::time_of(::tls_peer_cert_notbefore(native));
    info.not_after = detail::time_of(::tls_peer_cert_notafter(native));
    std::size_t size = 0;
    const auto* chain = reinterpret_cast<const char*>(::tls_peer_cert_chain_pem(native, &size));
    if (chain) info.chain_pem.assign(chain, size);
    return info;
}

inline ocsp_info ocsp_of(::tls* connection) {
    ocsp_info info;
    if (!connection) return info;
    info.url = detail::copy(::tls_peer_ocsp_url(connection));
    info.response_status = static_cast<ocsp_response>(::tls_peer_ocsp_response_status(connection));
    info.present = info.response_status != ocsp_response::none;
    if (!info.present) return info;
    info.status = static_cast<ocsp_status>(::tls_peer_ocsp_cert_status(connection));
    if (info.status == ocsp_status::revoked) {  // else libtls says "unspecified"
        info.reason = static_cast<crl_reason>(::tls_peer_ocsp_crl_reason(connection));
        info.revocation_time = detail::time_of(::tls_peer_ocsp_revocation_time(connection));
    }
    info.this_update = detail::time_of(::tls_peer_ocsp_this_update(connection));
    info.next_update = detail::time_of(::tls_peer_ocsp_next_update(connection));
    info.result = detail::copy(::tls_peer_ocsp_result(connection));
    return info;
}

}  // namespace hawser::tls
