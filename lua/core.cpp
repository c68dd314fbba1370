// The module hawser.core, for require.

#include <hawser/lua/open.hpp>

extern "C" [[gnu::visibility("default")]] int luaopen_hawser_core(lua_State* L) { return hawser::lua::detail::open_core(L); }
