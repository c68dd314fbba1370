#pragma once
// An IP address with its port, as Lua has it.

#include <hawser/lua/userdata.hpp>
#include <hawser/net/endpoint.hpp>

namespace hawser::lua::detail {

template <> inline constexpr const char* type_name<endpoint> = "hawser.address";

inline int push_address(state* L, const endpoint& at) { return push_new<endpoint>(L) = at, 1; }

inline int push_text(state* L, const endpoint& at, bool with_port) {
    char text[128];
    const std::string made = with_port ? at.to_string() : at.address().to_string();
    const std::size_t size = made.copy(text, sizeof text);
    return push(L, std::string_view{text, size}), 1;
}

/// The fields addr, port, family ("ip" or "ip6") and bytes, else a method.
inline int address_index(state* L) {
    const endpoint& at = check<endpoint>(L, 1);
    const std::string_view name = text_at(L, 2);
    if (name == "addr") return push_text(L, at, false);
    if (name == "port") return lua_pushinteger(L, at.port()), 1;
    if (name == "family") return lua_pushstring(L, at.address().is_v6() ? "ip6" : "ip"), 1;
    if (name == "bytes") {
        const auto bytes = hawser::detail::bytes_of(at.address());
        return push(L, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}), 1;
    }
    return push_method(L);
}

/// Without the port where it is this one, as URLs have it.
inline int address_display(state* L) {
    const endpoint& at = check<endpoint>(L, 1);
    return push_text(L, at, luaL_optnumber(L, 2, -1) != static_cast<lua_Number>(at.port()));
}
inline int address_tostring(state* L) { return push_text(L, check<endpoint>(L, 1), true); }
inline int address_equal(state* L) { return lua_pushboolean(L, check<endpoint>(L, 1) == check<endpoint>(L, 2)), 1; }
inline int address_less(state* L) { return lua_pushboolean(L, check<endpoint>(L, 1) < check<endpoint>(L, 2)), 1; }
inline int address_less_equal(state* L) { return lua_pushboolean(L, check<endpoint>(L, 1) <= check<endpoint>(L, 2)), 1; }

/// address(text [, port]): "192.0.2.1:80", or an IP address and a port; raises nothing for what is no address.
inline int make_address(state* L) {
    const std::string_view text = (luaL_checkstring(L, 1), text_at(L, 1));
    if (lua_isnoneornil(L, 2)) {
        if (auto made = endpoint::parse(text)) return push_address(L, *made);
        return push_failure(L, "no address with a port: write 192.0.2.1:80 or [2001:db8::1]:80", EINVAL);
    }
    const lua_Number port = luaL_checknumber(L, 2);
    luaL_argcheck(L, port >= 0 && port <= 65535, 2, "a port from 0 to 65535");
    ip_address address;
    if (const char* wrong = hawser::detail::parse_ip(text, address)) return push_failure(L, wrong, EINVAL);
    return push_address(L, endpoint{address, static_cast<std::uint16_t>(port)});
}

inline void make_address_type(state* L, machine& m) {
    static constexpr luaL_Reg methods[] = {{"display", address_display}, {nullptr, nullptr}};
    static constexpr luaL_Reg meta[] = {{"__tostring", address_tostring}, {"__eq", address_equal},   {"__lt", address_less},
                                          {"__le", address_less_equal},     {"__index", address_index}, {nullptr, nullptr}};
    make_type_with_fields<endpoint>(L, m, methods, meta);
}

}  // namespace hawser::lua::detail
