#pragma once
// open: the module hawser.core, on which the Lua files of hawser stand.

#include <csignal>

#include <hawser/lua/channels.hpp>
#include <hawser/lua/info.hpp>
#include <hawser/lua/listening.hpp>
#include <hawser/lua/tasks.hpp>
#include <hawser/lua/url.hpp>

namespace hawser::lua {

namespace detail {

inline void make_types(state* L, machine& m) {
    if (luaL_newmetatable(L, type_name<ref<ios>>) == 0) return lua_pop(L, 1);  // there are
    lua_pop(L, 1);
    static constexpr luaL_Reg stream[] = {{"read", ios_read},
                                            {"write", ios_write},
                                            {"flush", ios_flush},
                                            {"close", ios_close},
                                            {"shutdown", ios_shutdown},
                                            {"abort", ios_abort},
                                            {"setvbuf", ios_setvbuf},
                                            {"settimeout", ios_settimeout},
                                            {"setlimits", ios_setlimits},
                                            {"remote", ios_remote},
                                            {"localaddr", ios_local},
                                            {"peer_name", ios_peer_name},
                                            {"fileno", ios_fileno},
                                            {"counters", ios_counters},
                                            {"is_open", ios_is_open},
                                            {"is_tls", ios_is_tls},
                                            {"is_idle", ios_is_idle},
                                            {"session", ios_session},
                                            {"peer", ios_certificate},
                                            {"peer_contains_name", ios_contains_name},
                                            {"ocsp", ios_ocsp},
                                            {nullptr, nullptr}};
    static constexpr luaL_Reg stream_meta[] = {{"__tostring", ios_tostring}, {"__close", ios_leave_scope}, {nullptr, nullptr}};
    make_type<ref<ios>>(L, m, stream, stream_meta);

    static constexpr luaL_Reg listener[] = {{"accept", listener_accept},   {"close", listener_close},   {"address", listener_address},
                                              {"fileno", listener_fileno},   {"is_tls", listener_is_tls}, {"is_open", listener_is_open}, {"reload", listener_reload},
                                              {nullptr, nullptr}};
    static constexpr luaL_Reg listener_meta[] = {{"__tostring", listener_tostring}, {"__close", listener_close}, {nullptr, nullptr}};
    make_type<ref<door>>(L, m, listener, listener_meta);
    static constexpr luaL_Reg guests[] = {{"handshake", guest_handshake}, {"remote", guest_remote}, {nullptr, nullptr}};
    make_type<guest>(L, m, guests, nullptr);

    static constexpr luaL_Reg tasks[] = {{"join", task_join},       {"cancel", task_cancel},  {"status", task_status},
                                           {"is_stopped", task_stopped}, {"thread", task_thread}, {nullptr, nullptr}};
    static constexpr luaL_Reg task_meta[] = {{"__tostring", task_tostring}, {nullptr, nullptr}};
    make_type<ref<task>>(L, m, tasks, task_meta);
    static constexpr luaL_Reg groups[] = {{"spawn", group_spawn}, {"cancel", group_cancel}, {"join", group_join}, {nullptr, nullptr}};
    static constexpr luaL_Reg group_meta[] = {{"__len", group_size}, {nullptr, nullptr}};
    make_type<ref<group>>(L, m, groups, group_meta);
    static constexpr luaL_Reg none[] = {{nullptr, nullptr}};
    make_type<ref<cancel_scope>>(L, m, none, nullptr);

    static constexpr luaL_Reg client[] = {{"has_certificate", config_has_certificate}, {nullptr, nullptr}};
    make_type<client_config>(L, m, client, nullptr);
    make_type<server_settings>(L, m, none, nullptr);
    make_address_type(L, m);
    make_channel_type(L, m);
    make_url_type(L, m);
}

/// Numbers of errors by their names, those that an operation may give.
inline void push_error_numbers(state* L) {
    static constexpr struct {
        const char* name;
        int value;
    } numbers[] = {{"EACCES", EACCES}, {"EADDRINUSE", EADDRINUSE}, {"EADDRNOTAVAIL", EADDRNOTAVAIL}, {"EBADF", EBADF}, {"EBUSY", EBUSY},
                   {"ECANCELED", ECANCELED}, {"ECONNABORTED", ECONNABORTED}, {"ECONNREFUSED", ECONNREFUSED}, {"ECONNRESET", ECONNRESET},
                   {"EHOSTUNREACH", EHOSTUNREACH}, {"EINVAL", EINVAL}, {"EIO", EIO}, {"EMFILE", EMFILE}, {"EMSGSIZE", EMSGSIZE},
                   {"ENETUNREACH", ENETUNREACH}, {"ENFILE", ENFILE}, {"ENOENT", ENOENT}, {"ENOMEM", ENOMEM}, {"ENOSYS", ENOSYS},
                   {"ENOTCONN", ENOTCONN}, {"EPERM", EPERM}, {"EPIPE", EPIPE}, {"EPROTO", EPROTO}, {"ESPIPE", ESPIPE},
                   {"ETIMEDOUT", ETIMEDOUT}, {"EAI_NONAME", EAI_NONAME}, {"EAI_AGAIN", EAI_AGAIN}};
    lua_newtable(L);
    for (const auto& n : numbers) set_field(L, n.name, n.value);
}

inline int open_core(state* L) {
    machine& m = machine::make(L);
    lua_newtable(L);
    static constexpr luaL_Reg functions[] = {{"run", run},
                                               {"spawn", spawn},
                                               {"spawn_parking", group_spawn_parking},
                                               {"schedule", schedule},
                                               {"group", make_group},
                                               {"current", current},
                                               {"tasks", tasks_alive},
                                               {"sleep", sleep},
                                               {"yield", yield},
                                               {"signal", wait_for_signal},
                                               {"now", now},
                                               {"enter", enter},
                                               {"leave", leave},
                                               {"note", note},
                                               {"on_error", set_on_error},
                                               {"channel", make_channel},
                                               {"resolve", dns_resolve},
                                               {"address", make_address},
                                               {"connect_tcp", connect_tcp},
                                               {"connect_tls", connect_tls},
                                               {"handshake_tls", handshake_tls},
                                               {"accept_tls", accept_tls},
                                               {"listen", listen},
                                               {"client_config", make_client_config},
                                               {"server_config", make_server_config},
                                               {"tls_options", tls_options},
                                               {"url", make_url},
                                               {"percent_encode", encode_percent},
                                               {"percent_decode", decode_percent},
                                               {nullptr, nullptr}};
    set_functions(L, m, functions);
    make_types(L, m);
    push_error_numbers(L);
    lua_setfield(L, -2, "errno");
    m.push_inner_coroutines(L);
    lua_setfield(L, -2, "inner");
    lua_pushlightuserdata(L, machine::tag());
    lua_setfield(L, -2, "tag");
    lua_newtable(L);
    for (const char* name : {type_name<ref<ios>>, type_name<ref<door>>, type_name<guest>, type_name<ref<task>>, type_name<ref<group>>}) {
        lua_getfield(L, LUA_REGISTRYINDEX, name);
        lua_getfield(L, -1, "__index");
        lua_setfield(L, -3, name);
        lua_pop(L, 1);
    }
    lua_setfield(L, -2, "methods");
    luaL_getmetatable(L, type_name<ref<group>>);
    lua_setfield(L, -2, "group_meta");
    return 1;
}

}  // namespace detail

/// Makes `require "hawser.core"` work in a Lua state of the program's own; the files hawser.lua and hawser/*.lua must be on
/// its package.path. Inside hawser::run() Lua then uses the reactor of that thread; outside it makes one of its own. The
/// state belongs to one thread. Raises a Lua error for want of memory.
inline void open(state* L) {
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, detail::open_core);
    lua_setfield(L, -2, "hawser.core");
    lua_pop(L, 2);
    detail::make_types(L, detail::machine::make(L));
}

}  // namespace hawser::lua
