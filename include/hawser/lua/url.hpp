#pragma once
// hawser::url for Lua.

#include <optional>

#include <hawser/http/url.hpp>
#include <hawser/lua/userdata.hpp>

namespace hawser::lua::detail {

using parsed_url = std::optional<url>;
template <> inline constexpr const char* type_name<parsed_url> = "hawser.url";

inline const url& url_at(state* L, int index) {
    const parsed_url& held = check<parsed_url>(L, index);
    if (!held) luaL_argerror(L, index, "an empty url");
    return *held;
}

/// Fills the url on top of the stack; or pushes nil, message, number.
template <class Make> int give_url(state* L, Make make) {
    machine& m = machine::of(L);
    parsed_url& held = push_new<parsed_url>(L);
    int number = 0;
    const auto work = [&]() noexcept {
        try {
            result<url> made = make();
            if (made) return void(held.emplace(*std::move(made)));
            m.scratch() = made.error().detail();
            number = number_of(made.error());
        } catch (const std::exception& e) {
            m.scratch() = e.what();
            number = ENOMEM;
        }
    };
    work();
    return number == 0 ? 1 : push_failure(L, m.scratch(), number);
}

/// url(text [, base]): base is a url or a text.
inline int make_url(state* L) {
    luaL_checkstring(L, 1);
    if (lua_isnoneornil(L, 2)) return give_url(L, [&] { return url::parse(text_at(L, 1)); });
    if (test<parsed_url>(L, 2)) return give_url(L, [&] { return url_at(L, 2).resolve(text_at(L, 1)); });
    luaL_checkstring(L, 2);
    return give_url(L, [&]() -> result<url> {
        result<url> base = url::parse(text_at(L, 2));
        if (!base) return base;
        return base->resolve(text_at(L, 1));
    });
}
inline int url_resolve(state* L) {
    const url& base = url_at(L, 1);
    luaL_checkstring(L, 2);
    return give_url(L, [&] { return base.resolve(text_at(L, 2)); });
}

inline int url_segments(state* L) {
    const url& u = url_at(L, 1);
    lua_newtable(L);
    std::string_view rest = u.path();
    for (int i = 1; !rest.empty(); ++i) {
        rest.remove_prefix(1);
        const std::size_t end = rest.find('/');
        push(L, rest.substr(0, end));
        lua_rawseti(L, -2, i);
        rest = end == rest.npos ? std::string_view{} : rest.substr(end);
    }
    return 1;
}
inline int url_origin(state* L) {
    const url& u = url_at(L, 1);
    push(L, u.scheme());
    lua_pushliteral(L, "://");
    push(L, u.host_header());
    lua_concat(L, 3);
    return 1;
}

inline int push_optional(state* L, const std::optional<std::string_view>& text) {
    if (text) push(L, *text);
    else lua_pushnil(L);
    return 1;
}

/// The fields of a url, all percent-encoded as they stand in it; else a method.
inline int url_index(state* L) {
    const url& u = url_at(L, 1);
    const std::string_view name = text_at(L, 2);
    if (name == "scheme") return push(L, u.scheme()), 1;
    if (name == "user") return u.username().empty() ? (lua_pushnil(L), 1) : (push(L, u.username()), 1);
    if (name == "password") return u.password().empty() ? (lua_pushnil(L), 1) : (push(L, u.password()), 1);
    if (name == "host") return push(L, u.host()), 1;
    if (name == "port") return lua_pushinteger(L, u.port()), 1;
    if (name == "path") return push(L, u.path()), 1;
    if (name == "query") return push_optional(L, u.query());
    if (name == "fragment") return push_optional(L, u.fragment());
    if (name == "target") return push(L, u.target()), 1;
    if (name == "host_header") return push(L, u.host_header()), 1;
    if (name == "origin") return url_origin(L);
    return push_method(L);
}
inline int url_tostring(state* L) { return push(L, url_at(L, 1).to_string()), 1; }
inline int url_equal(state* L) { return lua_pushboolean(L, url_at(L, 1) == url_at(L, 2)), 1; }

/// percent_encode(text [, set])
inline int encode_percent(state* L) {
    static const char* const names[] = {"fragment", "query", "path", "userinfo", "component", nullptr};
    static constexpr percent_set sets[] = {percent_set::fragment, percent_set::query, percent_set::path, percent_set::userinfo, percent_set::component};
    machine& m = machine::of(L);
    luaL_checkstring(L, 1);
    const int set = luaL_checkoption(L, 2, "component", names);
    m.scratch() = percent_encode(text_at(L, 1), sets[set]);
    return push(L, m.scratch()), 1;
}
inline int decode_percent(state* L) {
    machine& m = machine::of(L);
    luaL_checkstring(L, 1);
    m.scratch() = percent_decode(text_at(L, 1));
    return push(L, m.scratch()), 1;
}

inline void make_url_type(state* L, machine& m) {
    static constexpr luaL_Reg methods[] = {{"resolve", url_resolve}, {"segments", url_segments}, {nullptr, nullptr}};
    static constexpr luaL_Reg meta[] = {{"__tostring", url_tostring}, {"__eq", url_equal}, {"__index", url_index}, {nullptr, nullptr}};
    make_type_with_fields<parsed_url>(L, m, methods, meta);
}

}  // namespace hawser::lua::detail
