#pragma once
// Names, connects and handshakes for Lua.

#include <hawser/lua/address.hpp>
#include <hawser/lua/reading.hpp>
#include <hawser/lua/tls_config.hpp>
#include <hawser/tls/connect.hpp>

namespace hawser::lua::detail {

struct give_endpoints {
    int operator()(state* L, const std::vector<endpoint>& found) const {
        lua_createtable(L, static_cast<int>(found.size()), 0);
        int i = 0;
        for (const endpoint& at : found) {
            push_address(L, at);
            lua_rawseti(L, -2, ++i);
        }
        return 1;
    }
};

/// resolve(host, service, family): "any", "ip" or "ip6".
inline int dns_resolve(state* L) {
    static const char* const families[] = {"any", "ip", "ip6", nullptr};
    static constexpr address_family wanted[] = {address_family::any, address_family::v4, address_family::v6};
    machine& m = machine::of(L);
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    const int family = luaL_checkoption(L, 3, "any", families);
    const duration limit = lua_isnoneornil(L, 4) ? defaults::resolve_timeout : check_seconds(L, 4);
    task& t = m.waiting_task(L, "resolve");
    const auto make = [&] { return resolve(text_at(L, 1), text_at(L, 2), {.timeout = limit, .family = wanted[family]}); };
    pending* p = make_limited(make, duration::max(), give_endpoints{});
    return m.await(L, t, p);
}

/// A stream that is open becomes an ios. Made before it is pushed, because that may raise an error.
struct give_stream {
    template <class Stream> int operator()(state* L, Stream& line) const {
        ref<ios>& held = push_new<ref<ios>>(L);
        held = ref<ios>{new ios{std::move(line)}};
        return 1;
    }
};

inline duration optional_limit(state* L, int index) { return lua_isnoneornil(L, index) ? duration::max() : check_seconds(L, index); }

template <class = void> operation<tls::stream> secured(operation<tcp::stream> line, std::string name, std::optional<tls::config> settings) {
    auto connected = co_await as_result(std::move(line));
    if (!connected) co_return connected.error();
    if (!settings) settings.emplace();
    co_return co_await as_result(tls::handshake(*std::move(connected), std::move(name), *std::move(settings)));
}

/// Of the config at `index`; nothing: the system's, which is found when it is first needed, and then may fail.
inline std::optional<tls::config> optional_config(state* L, int index) {
    if (lua_isnoneornil(L, index)) return std::nullopt;
    return *test<client_config>(L, index);
}
inline void check_config(state* L, int index) {
    if (!lua_isnoneornil(L, index) && !check<client_config>(L, index)) luaL_argerror(L, index, "an empty config");
}

/// connect_tcp(address, timeout) or connect_tcp(host, service, timeout)
inline operation<tcp::stream> connecting(state* L) {
    if (const endpoint* to = test<endpoint>(L, 1)) return tcp::connect(*to);
    return tcp::connect(std::string{text_at(L, 1)}, std::string{text_at(L, 2)});
}
inline void check_target(state* L) {
    if (test<endpoint>(L, 1)) return;
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
}

inline int connect_tcp(state* L) {
    machine& m = machine::of(L);
    check_target(L);
    const duration limit = optional_limit(L, 3);
    task& t = m.waiting_task(L, "connect");
    pending* p = make_limited([&] { return connecting(L); }, limit, give_stream{});
    return m.await(L, t, p);
}

/// connect_tls(address or host, service, timeout, name, config)
inline int connect_tls(state* L) {
    machine& m = machine::of(L);
    check_target(L);
    const duration limit = optional_limit(L, 3);
    luaL_checkstring(L, 4);
    check_config(L, 5);
    task& t = m.waiting_task(L, "connect");
    pending* p = make_limited([&] { return secured(connecting(L), std::string{text_at(L, 4)}, optional_config(L, 5)); }, limit, give_stream{});
    return m.await(L, t, p);
}

/// The stream of an ios that is handed over: that ios is closed for Lua, with what it had read ahead.
inline buffered<any_stream> taken(ios& from) {
    from.closed = true;
    return std::move(from.in);
}
inline ios* idle_ios(state* L, int index) {
    ios* line = open_ios(L, index);
    if (!line) return nullptr;
    if (line->reading || line->writing) return push_failure(L, "a task reads from or writes to this stream", EBUSY), nullptr;
    return line;
}

template <class = void>
operation<tls::stream> shaken(buffered<any_stream> line, std::string name, std::optional<tls::config> settings, duration limit) {
    if (!settings) settings.emplace();
    co_return co_await as_result(tls::handshake(std::move(line), std::move(name), *std::move(settings), {.timeout = limit}));
}

/// handshake_tls(ios, name, config, timeout): becomes the client of a stream that is open.
inline int handshake_tls(state* L) {
    machine& m = machine::of(L);
    ios* line = idle_ios(L, 1);
    if (!line) return 3;
    luaL_checkstring(L, 2);
    check_config(L, 3);
    const duration limit = lua_isnoneornil(L, 4) ? defaults::handshake_timeout : check_seconds(L, 4);
    task& t = m.waiting_task(L, "handshake");
    const auto make = [&] { return shaken(taken(*line), std::string{text_at(L, 2)}, optional_config(L, 3), limit); };
    pending* p = make_limited(make, duration::max(), give_stream{});
    return m.await(L, t, p);
}

/// accept_tls(ios, server_config, timeout): becomes its server.
inline int accept_tls(state* L) {
    machine& m = machine::of(L);
    ios* line = idle_ios(L, 1);
    if (!line) return 3;
    if (!check<server_settings>(L, 2)) return luaL_argerror(L, 2, "an empty config");
    const duration limit = lua_isnoneornil(L, 3) ? defaults::handshake_timeout : check_seconds(L, 3);
    task& t = m.waiting_task(L, "handshake");
    const auto make = [&] { return tls::accept(taken(*line), **test<server_settings>(L, 2), {.timeout = limit}); };
    pending* p = make_limited(make, duration::max(), give_stream{});
    return m.await(L, t, p);
}

}  // namespace hawser::lua::detail
