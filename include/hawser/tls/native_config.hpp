#pragma once
// A tls_config under construction, and checks whose messages say which option or file is wrong.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <tls.h>
#include <unistd.h>

#include <hawser/base/error.hpp>

namespace hawser::tls::detail {

/// What libtls is told when no ciphers are named: forward secrecy and AEAD only. libtls's own default is that with
/// LibreSSL, but also static RSA and CBC with LibreTLS; its word "secure" means these two different things.
inline constexpr const char* default_ciphers =
    "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
inline constexpr const char* default_curves = "X25519,P-256,P-384";

/// Text that is overwritten when it goes: private keys.
class secret {
public:
    secret() = default;
    explicit secret(std::string text) noexcept : text_{std::move(text)} {}
    secret(const secret&) = default;
    secret(secret&& other) noexcept : text_{std::move(other.text_)} {}
    secret& operator=(secret) = delete;
    ~secret() { ::explicit_bzero(text_.data(), text_.size()); }
    const std::string& text() const noexcept { return text_; }

private:
    std::string text_;
};

struct keypair {
    std::string cert, staple;
    secret key;
    std::string name;  ///< for messages: "the certificate a.pem with the key a.key"
};

[[noreturn]] inline void refuse(errc code, const std::string& why) { throw error{error_info{make_error_code(code), phase::setup, {}, why}}; }

inline std::string quoted(std::string_view option, std::string_view value) {
    return std::string{option}.append(" \"").append(value).append("\"");
}

/// A string for C; an embedded NUL would silently cut it.
inline std::string c_string(std::string_view option, std::string_view value) {
    if (value.find('\0') != std::string_view::npos) refuse(errc::invalid_argument, std::string{option} + " contains a NUL");
    return std::string{value};
}

/// A whole file. hawser reads it rather than libtls so that the error has an errno and says which option named it.
inline std::string read_file(std::string_view option, std::string_view path) {
    const std::string name = c_string(option, path);
    const auto fail = [&](int number, const char* advice) {
        throw error{error_info::from_errno(number, phase::setup, {}, quoted(option, name) + advice)};
    };
    const int fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        const int number = errno;
        fail(number, number == EACCES ? ": give this process's user the right to read it (chown or chmod), or start as one that has it"
                     : number == ENOENT ? ": check the path; a relative one starts at the current directory" : "");
    }
    struct closer {
        int fd;
        ~closer() { ::close(fd); }
    } closing{fd};
    struct stat facts {};
    std::string text;
    // Room for all at once: a string that grows would leave copies of a key behind.
    if (::fstat(fd, &facts) == 0 && facts.st_size > 0) text.reserve(static_cast<std::size_t>(facts.st_size));
    for (char part[4096];;) {
        const ssize_t n = ::read(fd, part, sizeof part);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail(errno, "");
        if (n == 0) return text;
        text.append(part, static_cast<std::size_t>(n));
        ::explicit_bzero(part, static_cast<std::size_t>(n));
    }
}

inline bool has(std::string_view text, std::string_view part) noexcept { return text.find(part) != std::string_view::npos; }

/// Refuses what cannot be a PEM certificate: libtls would take an empty text for "not set", and the system's default.
inline void check_certificate(const std::string& what, std::string_view pem) {
    if (has(pem, "CERTIFICATE-----")) return;
    refuse(errc::tls_failure, what + " contains no PEM certificate" +
                                  (has(pem, "PRIVATE KEY-----") ? " but a private key: are the two exchanged?" : ""));
}

inline void check_key(const std::string& what, std::string_view pem) {
    if (!has(pem, "PRIVATE KEY-----")) {
        refuse(errc::tls_failure, what + " contains no PEM private key" + (has(pem, "CERTIFICATE-----") ? " but a certificate: are the two exchanged?" : ""));
    }
    if (has(pem, "ENCRYPTED")) {
        refuse(errc::tls_failure, what + " is encrypted, and hawser asks nobody for a pass phrase: decrypt it (openssl pkey -in OLD -out NEW)");
    }
}

/// Own parser: "all", and what it means, differs between the implementations of libtls; both include TLS 1.0 somewhere.
inline std::uint32_t parse_protocols(std::string_view list) {
    if (list.empty()) return TLS_PROTOCOL_TLSv1_2 | TLS_PROTOCOL_TLSv1_3;
    const std::string_view whole = list;
    std::uint32_t bits = 0;
    for (;;) {
        const std::size_t comma = list.find(',');
        const std::string_view one = list.substr(0, comma);
        if (one == "tlsv1.2") {
            bits |= TLS_PROTOCOL_TLSv1_2;
        } else if (one == "tlsv1.3") {
            bits |= TLS_PROTOCOL_TLSv1_3;
        } else {
            refuse(errc::invalid_argument, quoted("protocols", whole) + ": write tlsv1.2, tlsv1.3 or tlsv1.2,tlsv1.3; hawser speaks nothing older");
        }
        if (comma == std::string_view::npos) return bits;
        list.remove_prefix(comma + 1);
    }
}

/// Owns a tls_config while it is built and after.
class native_config {
public:
    native_config() {
        static const bool ready = ::tls_init() == 0;
        native_ = ready ? ::tls_config_new() : nullptr;
        if (!native_) throw error{error_info::from_errno(ENOMEM, phase::setup)};
    }
    native_config(const native_config&) = delete;
    native_config& operator=(const native_config&) = delete;
    ~native_config() { ::tls_config_free(native_); }
    ::tls_config* get() const noexcept { return native_; }

    void check(int outcome, const std::string& what) const {
        if (outcome == 0) return;
        const char* words = ::tls_config_error(native_);
        refuse(errc::tls_failure, words ? what + ": " + words : what + ": libtls refuses it");
    }
    void set(int (*setter)(::tls_config*, const char*), std::string_view option, std::string_view value) const {
        check(setter(native_, c_string(option, value).c_str()), quoted(option, value));
    }
    void set(int (*setter)(::tls_config*, const std::uint8_t*, std::size_t), const std::string& what, std::string_view bytes) const {
        check(setter(native_, octets(bytes), bytes.size()), what);
    }
    void set_common(std::string_view alpn, std::string_view ciphers, std::string_view curves, std::string_view protocols, int depth) const {
        if (!alpn.empty()) set(::tls_config_set_alpn, "alpn", alpn);
        const bool usual = ciphers.empty() || ciphers == "secure" || ciphers == "default";
        set(::tls_config_set_ciphers, "ciphers", usual ? default_ciphers : ciphers);
        set(::tls_config_set_ecdhecurves, "curves", curves.empty() ? default_curves : curves);
        check(::tls_config_set_protocols(native_, parse_protocols(protocols)), quoted("protocols", protocols));
        if (depth < 0) refuse(errc::invalid_argument, "verify_depth is negative");
        check(::tls_config_set_verify_depth(native_, depth), "verify_depth");
    }
    static const std::uint8_t* octets(std::string_view bytes) noexcept { return reinterpret_cast<const std::uint8_t*>(bytes.data()); }

private:
    ::tls_config* native_;
};

/// Lets libtls do now what it would do for the first connection, which is when it reports most mistakes.
inline void try_out(const native_config& settings, bool server, const std::string& what) {
    ::tls* trial = server ? ::tls_server() : ::tls_client();
    if (!trial) throw error{error_info::from_errno(ENOMEM, phase::setup)};
    struct freer {
        ::tls* context;
        ~freer() { ::tls_free(context); }
    } freeing{trial};
    int outcome = ::tls_configure(trial, settings.get());
    if (outcome == 0 && !server) {
        outcome = ::tls_connect_cbs(trial, [](::tls*, void*, std::size_t, void*) -> ssize_t { return TLS_WANT_POLLIN; },
                                    [](::tls*, const void*, std::size_t n, void*) { return static_cast<ssize_t>(n); }, nullptr, "localhost");
    }
    if (outcome == 0) return;
    const char* words = ::tls_error(trial);
    refuse(errc::tls_failure, what + " cannot be used: " + (words ? words : "libtls refuses it"));
}

}  // namespace hawser::tls::detail
