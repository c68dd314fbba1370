#pragma once
// What an ios tells of itself: addresses, counters, and of a TLS one the session and the peer's certificate.

#include <hawser/lua/writing.hpp>
#include <hawser/lua/address.hpp>

namespace hawser::lua::detail {

inline ios& any_ios(state* L) {
    ref<ios>& held = check<ref<ios>>(L, 1);
    if (!held) luaL_error(L, "this stream was handed over");
    return *held;
}

inline int ios_remote(state* L) { return push_address(L, any_ios(L).remote()); }
inline int ios_local(state* L) { return push_address(L, any_ios(L).local()); }
inline int ios_peer_name(state* L) { return push(L, any_ios(L).peer()), 1; }
inline int ios_fileno(state* L) { return lua_pushinteger(L, any_ios(L).descriptor()), 1; }
inline int ios_counters(state* L) {
    const ios& line = any_ios(L);
    lua_pushinteger(L, static_cast<lua_Integer>(line.bytes_read));
    lua_pushinteger(L, static_cast<lua_Integer>(line.bytes_written));
    return 2;
}
inline int ios_is_open(state* L) { return lua_pushboolean(L, !any_ios(L).closed), 1; }
inline int ios_is_tls(state* L) { return lua_pushboolean(L, any_ios(L).engine() != nullptr), 1; }
/// Waits for input with nothing left to send: nobody is harmed if it is closed now.
inline int ios_is_idle(state* L) {
    ios& line = any_ios(L);
    lua_pushboolean(L, line.reading && !line.writing && line.unread().empty() && line.out.empty() && line.line().unsent() == 0);
    return 1;
}

/// settimeout(seconds) for both directions, settimeout(read, write) for each; nil: no limit.
inline int ios_settimeout(state* L) {
    ios& line = any_ios(L);
    const duration read = lua_isnoneornil(L, 2) ? duration::max() : check_seconds(L, 2);
    const duration write = lua_isnone(L, 3) ? read : lua_isnil(L, 3) ? duration::max() : check_seconds(L, 3);
    line.read_limit = read;
    line.write_limit = write;
    lua_settop(L, 1);
    return 1;
}

inline int ios_setlimits(state* L) {
    ios& line = any_ios(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    const auto field = [L](const char* name, std::size_t& to) {
        lua_getfield(L, 2, name);
        if (!lua_isnil(L, -1)) {
            const lua_Number n = luaL_checknumber(L, -1);
            luaL_argcheck(L, n >= 1 && n <= 4.0e9, 2, "a limit is from 1 to 4e9 bytes");
            to = static_cast<std::size_t>(n);
        }
        lua_pop(L, 1);
    };
    field("line", line.limits.line);
    field("header", line.limits.header);
    field("all", line.limits.all);
    lua_getfield(L, 2, "strict");
    if (!lua_isnil(L, -1)) line.strict = lua_toboolean(L, -1) != 0;
    lua_settop(L, 1);
    return 1;
}

inline void set_time(state* L, const char* name, tls::certificate_time at) {
    if (at == tls::certificate_time{}) return;
    set_field(L, name, static_cast<long long>(std::chrono::system_clock::to_time_t(at)));
}

/// The engine of a TLS stream; nil and no results for a plain one.
inline tls::detail::engine* engine_of(state* L) {
    tls::detail::engine* e = any_ios(L).engine();
    if (!e) lua_pushnil(L);
    return e;
}

inline int ios_session(state* L) {
    const auto* e = engine_of(L);
    if (!e) return 1;
    lua_createtable(L, 0, 6);
    ::tls* native = e->native();
    const auto text = [L](const char* name, const char* value) {
        if (value) set_field(L, name, std::string_view{value});
    };
    text("version", ::tls_conn_version(native));
    text("cipher", ::tls_conn_cipher(native));
    set_field(L, "cipher_strength", ::tls_conn_cipher_strength(native));
    text("alpn", ::tls_conn_alpn_selected(native));
    text("servername", ::tls_conn_servername(native));
    set_field(L, "resumed", ::tls_conn_session_resumed(native) == 1);
    return 1;
}

inline int ios_certificate(state* L) {
    const auto* e = engine_of(L);
    if (!e) return 1;
    lua_createtable(L, 0, 7);
    ::tls* native = e->native();
    const bool provided = ::tls_peer_cert_provided(native) == 1;
    set_field(L, "provided", provided);
    if (!provided) return 1;
    const auto text = [L](const char* name, const char* value) {
        if (value) set_field(L, name, std::string_view{value});
    };
    text("subject", ::tls_peer_cert_subject(native));
    text("issuer", ::tls_peer_cert_issuer(native));
    text("hash", ::tls_peer_cert_hash(native));
    set_time(L, "not_before", tls::detail::time_of(::tls_peer_cert_notbefore(native)));
    set_time(L, "not_after", tls::detail::time_of(::tls_peer_cert_notafter(native)));
    std::size_t size = 0;
    const auto* chain = reinterpret_cast<const char*>(::tls_peer_cert_chain_pem(native, &size));
    if (chain) set_field(L, "chain_pem", std::string_view{chain, size});
    return 1;
}

inline int ios_contains_name(state* L) {
    const char* name = luaL_checkstring(L, 2);
    const auto* e = engine_of(L);
    if (!e) return 1;
    ::tls* native = e->native();
    lua_pushboolean(L, *name != '\0' && ::tls_peer_cert_provided(native) == 1 && ::tls_peer_cert_contains_name(native, name) == 1);
    return 1;
}

inline int ios_ocsp(state* L) {
    static constexpr const char* statuses[] = {"good", "revoked", "unknown"};
    static constexpr const char* responses[] = {"successful", "malformed", "internal error", "try later", "signature required", "unauthorized"};
    const auto* e = engine_of(L);
    if (!e) return 1;
    lua_createtable(L, 0, 9);
    ::tls* native = e->native();
    if (const char* url = ::tls_peer_ocsp_url(native)) set_field(L, "url", std::string_view{url});
    const int response = ::tls_peer_ocsp_response_status(native);
    set_field(L, "present", response >= 0);
    if (response < 0) return 1;
    if (response < 6) set_field(L, "response_status", std::string_view{responses[response]});
    const int status = ::tls_peer_ocsp_cert_status(native);
    if (status >= 0 && status < 3) set_field(L, "status", std::string_view{statuses[status]});
    if (status == 1) {
        set_field(L, "reason", ::tls_peer_ocsp_crl_reason(native));
        set_time(L, "revocation_time", tls::detail::time_of(::tls_peer_ocsp_revocation_time(native)));
    }
    set_time(L, "this_update", tls::detail::time_of(::tls_peer_ocsp_this_update(native)));
    set_time(L, "next_update", tls::detail::time_of(::tls_peer_ocsp_next_update(native)));
    if (const char* result = ::tls_peer_ocsp_result(native)) set_field(L, "result", std::string_view{result});
    return 1;
}

inline int ios_tostring(state* L) {
    const ref<ios>& held = check<ref<ios>>(L, 1);
    if (!held) return lua_pushliteral(L, "hawser.ios (handed over)"), 1;
    lua_pushfstring(L, "hawser.ios (%s%s%s)", held->engine() ? "TLS, " : "", held->peer().c_str(), held->closed ? ", closed" : "");
    return 1;
}

}  // namespace hawser::lua::detail
