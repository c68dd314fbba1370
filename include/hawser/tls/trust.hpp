#pragma once
// Where a client's certificate authorities come from when its options name none. libtls's own default differs
// between its two implementations, reads a bundle again for every connection, and with LibreTLS a missing file is no
// error; so hawser always names the place itself.

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>

#include <dirent.h>
#include <fcntl.h>
#include <tls.h>
#include <unistd.h>

#include <hawser/base/result.hpp>
#include <hawser/base/slice.hpp>

namespace hawser::tls::detail {

/// Where to look; a parameter so that tests can look elsewhere. The strings must live during find_trust().
struct trust_sources {
    const char* file_variable = nullptr;             ///< value of SSL_CERT_FILE; nullptr or "" if unset
    const char* directory_variable = nullptr;        ///< value of SSL_CERT_DIR: directories, separated by ':'
    hawser::detail::slice<const char* const> directories{};      ///< tried in order; used if hashed
    hawser::detail::slice<const char* const> bundles{};          ///< tried in order; used if readable
};

/// What was found: exactly one of the two strings is set.
struct trust_location {
    std::string directory;  ///< for tls_config_set_ca_path
    std::string bundle;     ///< for tls_config_set_ca_file
    bool costly = false;    ///< nobody asked for this bundle, and every connection will parse it
};

/// Whether a directory has files named by the hash of a subject ("5ed36f99.0"), as `openssl rehash` makes them;
/// without them libtls finds no authority in it. Cost: reads the directory up to the first such name.
inline bool is_hashed_directory(const char* path) noexcept {
    DIR* directory = ::opendir(path);
    if (!directory) return false;
    bool found = false;
    while (!found) {
        const dirent* entry = ::readdir(directory);
        if (!entry) break;
        const char* c = entry->d_name;
        int digits = 0;
        while (digits < 8 && ((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'f'))) ++c, ++digits;
        found = digits == 8 && c[0] == '.' && c[1] >= '0' && c[1] <= '9' && c[2] == '\0';
    }
    ::closedir(directory);
    return found;
}

/// The same for a list of directories separated by ':', of which one must be hashed.
inline bool is_hashed_list(std::string_view list) {
    for (;;) {
        const std::size_t colon = list.find(':');
        const std::string_view one = list.substr(0, colon);
        if (!one.empty() && is_hashed_directory(std::string{one}.c_str())) return true;
        if (colon == std::string_view::npos) return false;
        list.remove_prefix(colon + 1);
    }
}

/// 0 if the file can be opened for reading, else errno.
inline int open_error(const char* path) noexcept {
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return errno;
    ::close(fd);
    return 0;
}

/// SSL_CERT_FILE, else SSL_CERT_DIR (libtls can use only one of them), else the first hashed directory, else the
/// first readable bundle, else errc::no_trust with the list of what was tried. A variable that is set but leads
/// nowhere is an error that names it: going on would trust other authorities than the user asked for.
inline result<trust_location> find_trust(const trust_sources& sources) {
    const char* file = sources.file_variable;
    if (file && *file) {
        if (const int number = open_error(file)) {
            return error_info::from_errno(number, phase::setup, {}, "the environment variable SSL_CERT_FILE names " + std::string{file});
        }
        return trust_location{{}, file, false};
    }
    const char* listed = sources.directory_variable;
    if (listed && *listed) {
        if (!is_hashed_list(listed)) {
            return error_info{make_error_code(errc::no_trust), phase::setup, {},
                              "the environment variable SSL_CERT_DIR names " + std::string{listed} +
                                  ", where no file is named by the hash of an authority (run `openssl rehash` on it)"};
        }
        return trust_location{listed, {}, false};
    }
    std::string tried;
    for (const char* directory : sources.directories) {
        if (is_hashed_directory(directory)) return trust_location{directory, {}, false};
        tried.append(tried.empty() ? "" : ", ").append(directory).append("/");
    }
    for (const char* bundle : sources.bundles) {
        if (bundle && *bundle && open_error(bundle) == 0) return trust_location{{}, bundle, true};
        if (bundle && *bundle) tried.append(tried.empty() ? "" : ", ").append(bundle);
    }
    return error_info{make_error_code(errc::no_trust), phase::setup, {},
                      "tried " + tried + " (install the package ca-certificates, or set SSL_CERT_FILE, SSL_CERT_DIR or the option ca_file)"};
}

/// The places of this system: the environment (ignored in set-user-ID programs), then what distributions use.
inline result<trust_location> find_system_trust() {
    static constexpr const char* directories[] = {
        "/etc/ssl/certs",                                   // Debian, Ubuntu, Arch, Alpine, Gentoo
        "/etc/pki/ca-trust/extracted/pem/directory-hash",   // Fedora, RHEL
        "/var/lib/ca-certificates/openssl",                 // openSUSE
        "/etc/pki/tls/certs",
    };
    const char* const bundles[] = {
        ::tls_default_ca_cert_file(), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",     "/etc/ssl/cert.pem",
    };
    return find_trust({::secure_getenv("SSL_CERT_FILE"), ::secure_getenv("SSL_CERT_DIR"), directories, bundles});
}

}  // namespace hawser::tls::detail
