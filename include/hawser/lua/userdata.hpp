#pragma once
// Objects of C++ in userdata of Lua.

#include <new>
#include <string>

#include <hawser/lua/machine.hpp>

namespace hawser::lua::detail {

/// What a class is called in Lua, which is also the key of its metatable: a specialisation for each.
template <class T> inline constexpr const char* type_name = nullptr;

/// Pushes a T in its initial state, which then belongs to the garbage collector. May raise a Lua error, so make it before
/// anything that has a destructor.
template <class T> T& push_new(state* L) {
    void* memory = lua_newuserdata(L, sizeof(T));
    lua_getfield(L, LUA_REGISTRYINDEX, type_name<T>);
    T* made = ::new (memory) T{};
    lua_setmetatable(L, -2);
    return *made;
}

template <class T> T* test(state* L, int index) { return static_cast<T*>(luaL_testudata(L, index, type_name<T>)); }
/// Raises a Lua error that names what was expected.
template <class T> T& check(state* L, int index) { return *static_cast<T*>(luaL_checkudata(L, index, type_name<T>)); }

template <class T> int collect_garbage(state* L) {
    T* object = static_cast<T*>(lua_touserdata(L, 1));
    object->~T();
    ::new (object) T{};  // a finalizer may run twice where somebody calls it by hand
    return 0;
}

/// Adds functions that find `m` by machine::of to the table on top.
inline void set_functions(state* L, machine& m, const luaL_Reg* functions) {
    lua_pushlightuserdata(L, &m);
    luaL_setfuncs(L, functions, 1);
}

/// Makes the metatable of T: `methods` by name, `meta` as metamethods. Leaves the stack as it was.
template <class T> void make_type(state* L, machine& m, const luaL_Reg* methods, const luaL_Reg* meta) {
    luaL_newmetatable(L, type_name<T>);
    lua_pushstring(L, type_name<T>);
    lua_setfield(L, -2, "__name");
    lua_pushcfunction(L, &collect_garbage<T>);
    lua_setfield(L, -2, "__gc");
    lua_pushliteral(L, "hawser");
    lua_setfield(L, -2, "__metatable");
    lua_newtable(L);
    set_functions(L, m, methods);
    lua_setfield(L, -2, "__index");
    if (meta) set_functions(L, m, meta);
    lua_pop(L, 1);
}

/// The same for a type with fields: `meta` has an __index that gives those, and for every other name push_method().
template <class T> void make_type_with_fields(state* L, machine& m, const luaL_Reg* methods, const luaL_Reg* meta) {
    make_type<T>(L, m, methods, nullptr);
    luaL_getmetatable(L, type_name<T>);
    lua_getfield(L, -1, "__index");
    lua_setfield(L, -2, "methods");
    set_functions(L, m, meta);
    lua_pop(L, 1);
}
/// The method whose name is the second argument, of the object that is the first.
inline int push_method(state* L) {
    lua_getmetatable(L, 1);
    lua_getfield(L, -1, "methods");
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
}

/// Seconds, as Lua has them: a number that is not negative, or infinity for "no limit".
inline duration check_seconds(state* L, int index) {
    const lua_Number seconds = luaL_checknumber(L, index);
    luaL_argcheck(L, seconds >= 0, index, "a time is a number of seconds that is not negative");
    if (seconds > 9.0e9) return duration::max();
    return duration{static_cast<duration::rep>(seconds * 1e9)};
}

}  // namespace hawser::lua::detail
