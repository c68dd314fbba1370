rockspec_format = "3.0"
package = "hawser"
version = "scm-1"

-- `luarocks make` in a clone, which is how to build it, does not look here.
source = { url = "git+https://hawser.invalid/hawser.git" }

description = {
  summary = "TCP and TLS streams as coroutines on io_uring and libtls",
  detailed = [[
Connect, handshake, read, write, accept and close suspend the task that calls them and nothing else. Certificates and names
are verified unless it is said otherwise, and a stream cut short is told from one that has ended.]],
  license = "MIT",
}

supported_platforms = { "linux" }

-- LuaJIT is taken for 5.1; PUC Lua 5.1 to 5.3 are not supported.
dependencies = { "lua >= 5.1, < 5.5" }

external_dependencies = {
  TLS = { header = "tls.h", library = "tls" },
  URING = { header = "liburing.h", library = "uring" },
  CARES = { header = "ares.h", library = "cares" },
}

-- The core is one source file of C++20; liblua is not linked, its symbols come from the program that loads the module.
build = {
  type = "command",
  build_command = [[mkdir -p build/luarocks && ${CXX:-g++} -std=c++20 -O2 -fPIC -shared -fvisibility=hidden -pthread -Iinclude -I"$(LUA_INCDIR)" -I"$(TLS_INCDIR)" \
    -I"$(URING_INCDIR)" -I"$(CARES_INCDIR)" lua/core.cpp -o build/luarocks/core.so -L"$(TLS_LIBDIR)" -L"$(URING_LIBDIR)" -L"$(CARES_LIBDIR)" \
    -ltls -luring -lcares]],
  install = {
    lua = {
      ["hawser"] = "lua/hawser.lua",
      ["hawser.compat"] = "lua/hawser/compat.lua",
    },
    lib = {
      ["hawser.core"] = "build/luarocks/core.so",
    },
  },
  copy_directories = { "docs", "examples" },
}
