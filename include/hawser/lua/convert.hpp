#pragma once
// Values of C++ as values of Lua, and back.

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <hawser/lua/channels.hpp>
#include <hawser/lua/connecting.hpp>
#include <hawser/lua/url.hpp>

namespace hawser::lua {

namespace detail {

/// How a type crosses: `is(L, i)` whether the value at i is one, `get(L, i)` after that was true, `push(L, value)`, and
/// `name` for messages. None of get() leaves anything on the stack. push() may raise a Lua error.
template <class T> struct convert;

template <> struct convert<bool> {
    static constexpr const char* name = "a boolean";
    static bool is(state* L, int i) { return lua_type(L, i) == LUA_TBOOLEAN; }
    static bool get(state* L, int i) { return lua_toboolean(L, i) != 0; }
    static void push(state* L, bool value) { lua_pushboolean(L, value); }
};
template <class T>
    requires std::is_integral_v<T>
struct convert<T> {
    static constexpr const char* name = "an integer in range";
    static bool is(state* L, int i) {
        if (lua_type(L, i) != LUA_TNUMBER) return false;
        const lua_Number n = lua_tonumber(L, i);
        // As numbers, in which both ends have a double that is exact or just outside.
        return n >= static_cast<lua_Number>(std::numeric_limits<T>::min()) && n <= static_cast<lua_Number>(std::numeric_limits<T>::max()) &&
               n == static_cast<lua_Number>(lua_tointeger(L, i));
    }
    static T get(state* L, int i) { return static_cast<T>(lua_tointeger(L, i)); }
    static void push(state* L, T value) { lua_pushinteger(L, static_cast<lua_Integer>(value)); }
};
template <class T>
    requires std::is_floating_point_v<T>
struct convert<T> {
    static constexpr const char* name = "a number";
    static bool is(state* L, int i) { return lua_type(L, i) == LUA_TNUMBER; }
    static T get(state* L, int i) { return static_cast<T>(lua_tonumber(L, i)); }
    static void push(state* L, T value) { lua_pushnumber(L, static_cast<lua_Number>(value)); }
};
template <> struct convert<std::string> {
    static constexpr const char* name = "a string";
    static bool is(state* L, int i) { return lua_type(L, i) == LUA_TSTRING; }
    static std::string get(state* L, int i) { return std::string{text_at(L, i)}; }
    static void push(state* L, std::string_view value) { detail::push(L, value); }
};
template <> struct convert<std::string_view> : convert<std::string> {};
template <> struct convert<const char*> : convert<std::string> {};
template <> struct convert<std::nullptr_t> {
    static constexpr const char* name = "nil";
    static bool is(state* L, int i) { return lua_isnoneornil(L, i); }
    static std::nullptr_t get(state*, int) { return nullptr; }
    static void push(state* L, std::nullptr_t) { lua_pushnil(L); }
};
template <class T> struct convert<std::optional<T>> {
    static constexpr const char* name = convert<T>::name;
    static bool is(state* L, int i) { return lua_isnoneornil(L, i) || convert<T>::is(L, i); }
    static std::optional<T> get(state* L, int i) {
        if (lua_isnoneornil(L, i)) return std::nullopt;
        return convert<T>::get(L, i);
    }
    template <class U> static void push(state* L, U&& value) {
        if (value) convert<T>::push(L, *std::forward<U>(value));
        else lua_pushnil(L);
    }
};
template <class T> struct convert<std::vector<T>> {
    static constexpr const char* name = "a table";
    static bool is(state* L, int i) { return lua_type(L, i) == LUA_TTABLE; }
    static void push(state* L, std::vector<T>& values) {
        lua_createtable(L, static_cast<int>(values.size()), 0);
        int i = 0;
        for (T& value : values) {
            convert<T>::push(L, std::move(value));
            lua_rawseti(L, -2, ++i);
        }
    }
    static void push(state* L, std::vector<T>&& values) { push(L, values); }
};
/// Any value at all.
template <> struct convert<reference> {
    static constexpr const char* name = "a value";
    static bool is(state*, int) { return true; }
    static reference get(state* L, int i) {
        lua_pushvalue(L, i);
        return machine::find(L)->take(L);
    }
    static void push(state* L, const reference& value) { value.push(L); }
};
template <> struct convert<endpoint> {
    static constexpr const char* name = "a hawser.address";
    static bool is(state* L, int i) { return test<endpoint>(L, i) != nullptr; }
    static endpoint get(state* L, int i) { return *test<endpoint>(L, i); }
    static void push(state* L, const endpoint& value) { push_address(L, value); }
};
/// A stream changes hands: the side that gave it has none any more. What Lua had read ahead goes along.
template <> struct convert<any_stream> {
    static constexpr const char* name = "a hawser.ios that is open and not in use";
    static bool is(state* L, int i) {
        const ref<ios>* held = test<ref<ios>>(L, i);
        return held && *held && !(*held)->closed && !(*held)->reading && !(*held)->writing;
    }
    static any_stream get(state* L, int i) {
        ios& from = **test<ref<ios>>(L, i);
        const bool read_ahead = !from.unread().empty();
        buffered<any_stream> line = taken(from);
        if (read_ahead) return make_any_stream(std::move(line));
        return std::move(line.next_layer());
    }
    static void push(state* L, any_stream&& value) { push_stream(L, value); }
    template <class Stream> static void push_stream(state* L, Stream& value) { give_stream{}(L, value); }
};
template <> struct convert<tcp::stream> : convert<any_stream> {
    static void push(state* L, tcp::stream&& value) { push_stream(L, value); }
};
template <> struct convert<tls::stream> : convert<any_stream> {
    static void push(state* L, tls::stream&& value) { push_stream(L, value); }
};
template <> struct convert<url> {
    static constexpr const char* name = "a hawser.url";
    static bool is(state* L, int i) {
        const parsed_url* held = test<parsed_url>(L, i);
        return held && *held;
    }
    static url get(state* L, int i) { return **test<parsed_url>(L, i); }
    static void push(state* L, const url& value) { push_new<parsed_url>(L) = value; }
};

/// Runs `work()`, which may raise Lua errors, under lua_pcall on `L`. False: it raised one, and `why` is its text. `work`
/// must keep what has a destructor outside of itself.
template <class Work> bool guarded(state* L, std::string& why, Work& work) {
    if (!lua_checkstack(L, 4)) return why = "not enough memory", false;
    const int top = lua_gettop(L);
    const auto call = [](state* inner) {
        (*static_cast<Work*>(lua_touserdata(inner, 1)))(inner);
        return 0;
    };
    lua_pushcfunction(L, call);
    lua_pushlightuserdata(L, &work);
    const bool works = lua_pcall(L, 1, 0, 0) == 0;
    if (!works) {
        const char* text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : nullptr;
        why = text ? text : "an error that is no string";
    }
    lua_settop(L, top);
    return works;
}

}  // namespace detail

/// An error that was raised in Lua. what() is its message; traceback() says where, through every wait.
class script_error : public std::runtime_error {
public:
    script_error(const std::string& message, std::string traceback) : std::runtime_error{message}, traceback_{std::move(traceback)} {}
    const std::string& traceback() const noexcept { return traceback_; }

private:
    std::string traceback_;
};

/// What a reference refers to as a T: bool, a number, std::string, endpoint, url, any_stream (which is taken away from
/// Lua), std::optional of these, or another reference. Throws script_error if it is something else.
template <class T> T get(const reference& value) {
    state* L = value.main();
    std::optional<T> got;
    std::string why = "the Lua state is closed";
    auto work = [&](state* inner) {
        value.push(inner);
        if (!detail::convert<T>::is(inner, -1)) {
            luaL_error(inner, "expected %s, got a value of type %s", detail::convert<T>::name, luaL_typename(inner, -1));
        }
        got.emplace(detail::convert<T>::get(inner, lua_gettop(inner)));
    };
    if (!L || !detail::guarded(L, why, work)) throw script_error{why, {}};
    return *std::move(got);
}

/// A reference to `value` as a value of Lua. Throws script_error for want of memory, and where open() was not called.
template <class T> reference make_reference(state* L, T&& value) {
    reference made;
    std::string why;
    auto work = [&](state* inner) {
        detail::machine& m = detail::machine::make(inner);
        detail::convert<std::decay_t<T>>::push(inner, std::forward<T>(value));
        made = m.take(inner);
    };
    if (!detail::guarded(L, why, work)) throw script_error{why, {}};
    return made;
}

}  // namespace hawser::lua
