#pragma once
// How the contenders over libtls set it up. Where they fail they say why, and exit.

#include <tls.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace libtls {

[[noreturn]] inline void give_up(const std::string& what, const char* why) {
    std::fprintf(stderr, "%s: %s\n", what.c_str(), why ? why : "out of memory");
    std::_Exit(1);
}

struct free_config {
    void operator()(tls_config* config) const { ::tls_config_free(config); }
};
using config_ptr = std::unique_ptr<tls_config, free_config>;

inline config_ptr new_config() {
    config_ptr config{::tls_config_new()};
    if (!config) give_up("tls_config_new", nullptr);
    return config;
}

inline tls* server_context(const std::string& cert, const std::string& key) {
    const config_ptr config = new_config();
    if (::tls_config_set_keypair_file(config.get(), cert.c_str(), key.c_str()) != 0) {
        give_up("certificate and key", ::tls_config_error(config.get()));
    }
    tls* context = ::tls_server();
    if (!context) give_up("tls_server", nullptr);
    if (::tls_configure(context, config.get()) != 0) give_up("tls_configure", ::tls_error(context));
    return context;
}

/// Reads the file at once; every connection parses what is in it.
inline void trust_file(tls_config& config, const std::string& ca) {
    if (::tls_config_set_ca_file(&config, ca.c_str()) != 0) give_up("certificate authority " + ca, ::tls_config_error(&config));
}

/// A context of its own for each client connection, as libtls wants it.
inline tls* client_context(tls_config* config) {
    tls* context = ::tls_client();
    if (!context) give_up("tls_client", nullptr);
    if (::tls_configure(context, config) != 0) give_up("tls_configure", ::tls_error(context));
    return context;
}

}  // namespace libtls
