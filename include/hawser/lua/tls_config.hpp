#pragma once
// hawser.tls.config and hawser.tls.server_config: tables of options become tls::config and tls::server_config.

#include <cmath>
#include <optional>

#include <hawser/lua/userdata.hpp>
#include <hawser/tls/config.hpp>

namespace hawser::lua::detail {

using client_config = std::optional<tls::config>;
using server_settings = std::optional<tls::server_config>;
template <> inline constexpr const char* type_name<client_config> = "hawser.tls.config";
template <> inline constexpr const char* type_name<server_settings> = "hawser.tls.server_config";

/// An option by its name; exactly one of the pointers is set.
template <class Options> struct option {
    const char* name;
    std::string_view Options::*text = nullptr;
    bool Options::*flag = nullptr;
    int Options::*number = nullptr;
};

inline constexpr option<tls::client_options> client_option_list[] = {
    {"ca_file", &tls::client_options::ca_file},
    {"ca_path", &tls::client_options::ca_path},
    {"ca_pem", &tls::client_options::ca_pem},
    {"crl_file", &tls::client_options::crl_file},
    {"cert_file", &tls::client_options::cert_file},
    {"key_file", &tls::client_options::key_file},
    {"cert_pem", &tls::client_options::cert_pem},
    {"key_pem", &tls::client_options::key_pem},
    {"alpn", &tls::client_options::alpn},
    {"ciphers", &tls::client_options::ciphers},
    {"curves", &tls::client_options::curves},
    {"protocols", &tls::client_options::protocols},
    {"verify_depth", nullptr, nullptr, &tls::client_options::verify_depth},
    {"require_ocsp_stapling", nullptr, &tls::client_options::require_ocsp_stapling},
    {"insecure_no_verify_certificate", nullptr, &tls::client_options::insecure_no_verify_certificate},
    {"insecure_no_verify_name", nullptr, &tls::client_options::insecure_no_verify_name},
    {"insecure_no_verify_time", nullptr, &tls::client_options::insecure_no_verify_time},
};

inline constexpr option<tls::server_options> server_option_list[] = {
    {"client_ca_file", &tls::server_options::client_ca_file},
    {"client_ca_pem", &tls::server_options::client_ca_pem},
    {"client_crl_file", &tls::server_options::client_crl_file},
    {"ocsp_staple_file", &tls::server_options::ocsp_staple_file},
    {"alpn", &tls::server_options::alpn},
    {"ciphers", &tls::server_options::ciphers},
    {"curves", &tls::server_options::curves},
    {"protocols", &tls::server_options::protocols},
    {"dhe_params", &tls::server_options::dhe_params},
    {"verify_depth", nullptr, nullptr, &tls::server_options::verify_depth},
    {"require_client_certificate", nullptr, &tls::server_options::require_client_certificate},
    {"request_client_certificate", nullptr, &tls::server_options::request_client_certificate},
    {"prefer_client_ciphers", nullptr, &tls::server_options::prefer_client_ciphers},
};

/// A certificate with its key, as files or as PEM text.
struct keypair_options {
    std::string_view cert_file{}, key_file{}, cert_pem{}, key_pem{}, ocsp_staple_file{};
};
inline constexpr option<keypair_options> keypair_option_list[] = {
    {"cert_file", &keypair_options::cert_file}, {"key_file", &keypair_options::key_file},
    {"cert_pem", &keypair_options::cert_pem},   {"key_pem", &keypair_options::key_pem},
    {"ocsp_staple_file", &keypair_options::ocsp_staple_file},
};

/// Sets the option whose name is at -2 to the value at -1. False: there is none of that name.
template <class Options, std::size_t N> bool set_option(state* L, const option<Options> (&list)[N], Options& into) {
    const std::string_view name = text_at(L, -2);
    for (const option<Options>& o : list) {
        if (name != o.name) continue;
        const int type = lua_type(L, -1);
        if (o.text) {
            if (type != LUA_TSTRING) luaL_error(L, "tls option %s is a string, not a %s", o.name, lua_typename(L, type));
            into.*o.text = text_at(L, -1);
        } else if (o.flag) {
            if (type != LUA_TBOOLEAN) luaL_error(L, "tls option %s is true or false, not a %s", o.name, lua_typename(L, type));
            into.*o.flag = lua_toboolean(L, -1) != 0;
        } else {
            if (type != LUA_TNUMBER) luaL_error(L, "tls option %s is a number, not a %s", o.name, lua_typename(L, type));
            const lua_Number n = lua_tonumber(L, -1);
            if (!(n == std::floor(n) && n >= -1e9 && n <= 1e9)) luaL_error(L, "tls option %s is a whole number, not %f", o.name, n);
            into.*o.number = static_cast<int>(n);
        }
        return true;
    }
    return false;
}

/// Calls `set(name)` for each pair of the table at `index`, with the value on top; it returns whether it knew it.
template <class Set> void for_each_option(state* L, int index, Set set) {
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "tls options are named: write tls.config{ca_file = \"...\"}");
        if (!set()) luaL_error(L, "there is no tls option %s here", lua_tostring(L, -2));
    }
}

/// Runs `make()`, which may throw. The number of its failure, and what() in `why`; or 0.
template <class Make> int attempt(std::string& why, Make make) noexcept {
    try {
        make();
        return 0;
    } catch (const error& e) {
        why = e.what();
        return number_of(e.info());
    } catch (const std::exception& e) {
        why = e.what();
        return EINVAL;
    }
}

/// Which errors are Lua's to raise and which come as nil, message, number? What a file or PEM text holds is run-time failure.
inline int make_client_config(state* L) {
    machine& m = machine::of(L);
    tls::client_options options;
    if (!lua_isnoneornil(L, 1)) {
        luaL_checktype(L, 1, LUA_TTABLE);
        for_each_option(L, 1, [&] { return set_option(L, client_option_list, options); });
    }
    client_config& made = push_new<client_config>(L);
    const int failed = attempt(m.scratch(), [&] { made.emplace(options); });
    return failed == 0 ? 1 : push_failure(L, m.scratch(), failed);
}

inline tls::server_config made_from(const keypair_options& pair, const tls::server_options& options) {
    if (!pair.cert_file.empty() || !pair.key_file.empty()) return tls::server_config::from_files(pair.cert_file, pair.key_file, options);
    return tls::server_config::from_pem(pair.cert_pem, pair.key_pem, options);
}

inline int make_server_config(state* L) {
    machine& m = machine::of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    tls::server_options options;
    keypair_options first;
    bool has_more = false;
    for_each_option(L, 1, [&] {
        if (text_at(L, -2) == "keypairs") return has_more = true;
        // The staple belongs to the first certificate, of which the options of the server speak.
        return set_option(L, server_option_list, options) || set_option(L, keypair_option_list, first);
    });
    if (first.cert_file.empty() && first.cert_pem.empty()) {
        return luaL_error(L, "a server needs a certificate: cert_file and key_file, or cert_pem and key_pem");
    }
    server_settings& made = push_new<server_settings>(L);
    if (const int failed = attempt(m.scratch(), [&] { made = made_from(first, options); })) return push_failure(L, m.scratch(), failed);
    if (!has_more) return 1;
    lua_getfield(L, 1, "keypairs");
    luaL_checktype(L, -1, LUA_TTABLE);
    for (int i = 1;; ++i) {
        lua_rawgeti(L, -1, i);
        if (lua_isnil(L, -1)) break;
        luaL_checktype(L, -1, LUA_TTABLE);
        keypair_options pair;
        for_each_option(L, lua_gettop(L), [&] { return set_option(L, keypair_option_list, pair); });
        const int failed = attempt(m.scratch(), [&] {
            made = pair.cert_file.empty() && pair.key_file.empty()
                       ? made->with_keypair_pem(pair.cert_pem, pair.key_pem)
                       : made->with_keypair_files(pair.cert_file, pair.key_file, pair.ocsp_staple_file);
        });
        if (failed != 0) return push_failure(L, m.scratch(), failed);
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
    return 1;
}

inline int config_has_certificate(state* L) {
    const client_config& c = check<client_config>(L, 1);
    return lua_pushboolean(L, c && c->has_certificate()), 1;
}

/// The names of all options, for whoever wants to know what this version has.
template <class Options, std::size_t N> void push_names(state* L, const option<Options> (&list)[N], const char* field) {
    lua_createtable(L, static_cast<int>(N), 0);
    int i = 0;
    for (const option<Options>& o : list) {
        lua_pushstring(L, o.name);
        lua_rawseti(L, -2, ++i);
    }
    lua_setfield(L, -2, field);
}
inline int tls_options(state* L) {
    lua_createtable(L, 0, 3);
    push_names(L, client_option_list, "client");
    push_names(L, server_option_list, "server");
    push_names(L, keypair_option_list, "keypair");
    return 1;
}

}  // namespace hawser::lua::detail
