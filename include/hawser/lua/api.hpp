#pragma once
// The C API of PUC Lua 5.4 and of LuaJIT 2.1 as one.

#include <lua.hpp>

#include <cerrno>
#include <cstddef>
#include <string_view>

#if LUA_VERSION_NUM < 504 && !defined(LUAJIT_VERSION)
#error "hawser's Lua layer needs Lua 5.4 or LuaJIT 2.1: put the directory of their lua.hpp on the include path"
#endif

// How a function that Lua calls is written here. Debian's Lua is C: an error and a yield leave by longjmp(3), past every
// destructor, and an exception that leaves it ends the process. So first the arguments are checked, while nothing lives
// that has a destructor; then functions that raise nothing do the work; last come results, luaL_error or lua_yield.

namespace hawser::lua {

/// The state that require, lua_newthread and the hooks of an embedding program share: all coroutines have one.
using state = lua_State;

namespace detail {

/// Resumes `co` with the `arguments` values on its stack. `results`: how many it has left there.
inline int resume(state* co, [[maybe_unused]] state* from, int arguments, int& results) {
#if LUA_VERSION_NUM >= 504
    return lua_resume(co, from, arguments, &results);
#else
    const int status = lua_resume(co, arguments);
    results = lua_gettop(co);
    return status;
#endif
}

/// Runs what the <close> variables of a coroutine that failed ask for; nothing in it can wait.
inline void close_variables([[maybe_unused]] state* co) {
#if LUA_VERSION_NUM >= 504
    lua_resetthread(co);
#endif
}

inline std::string_view text_at(state* L, int index) {
    std::size_t size = 0;
    const char* text = lua_tolstring(L, index, &size);
    return {text, text ? size : 0};
}
inline void push(state* L, std::string_view text) { lua_pushlstring(L, text.data() ? text.data() : "", text.size()); }

inline void set_field(state* L, const char* name, std::string_view value) {
    push(L, value);
    lua_setfield(L, -2, name);
}
inline void set_field(state* L, const char* name, bool value) {
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}
template <class Number>
    requires(std::is_arithmetic_v<Number> && !std::is_same_v<Number, bool>)
inline void set_field(state* L, const char* name, Number value) {
    if constexpr (std::is_integral_v<Number>) lua_pushinteger(L, static_cast<lua_Integer>(value));
    else lua_pushnumber(L, static_cast<lua_Number>(value));
    lua_setfield(L, -2, name);
}

}  // namespace detail
}  // namespace hawser::lua
