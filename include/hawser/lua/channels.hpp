#pragma once
// Channels between tasks: of Lua, and of C++ around it.

#include <hawser/coro/channel.hpp>
#include <hawser/lua/running.hpp>
#include <hawser/lua/userdata.hpp>

namespace hawser::lua::detail {

/// A channel of Lua values that Lua and C++ share.
class value_channel final : public hawser::detail::ref_counted {
public:
    explicit value_channel(std::size_t capacity) : values{capacity} {}
    channel<reference> values;
};
template <> inline constexpr const char* type_name<ref<value_channel>> = "hawser.channel";

inline int make_channel(state* L) {
    const lua_Number capacity = luaL_optnumber(L, 1, 0);
    luaL_argcheck(L, capacity >= 0 && capacity <= 1e6, 1, "from 0 to 1000000 values");
    ref<value_channel>& held = push_new<ref<value_channel>>(L);
    held = ref<value_channel>{new value_channel{static_cast<std::size_t>(capacity)}};
    return 1;
}

inline value_channel& channel_at(state* L) { return *check<ref<value_channel>>(L, 1); }

struct give_sent {
    ref<value_channel> on;
    int operator()(state* L) const { return lua_pushboolean(L, 1), 1; }
};
struct give_received {
    ref<value_channel> on;
    int operator()(state* L, const std::optional<reference>& value) const {
        if (!value) return push_failure(L, "the channel is closed", EPIPE);
        return value->push(L), 1;
    }
};

/// send(value): any value but nil, which says that the channel is closed.
inline int channel_send(state* L) {
    machine& m = machine::of(L);
    value_channel& to = channel_at(L);
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "a value that is not nil");
    lua_settop(L, 2);
    task& t = m.waiting_task(L, "send");
    pending* p = make_pending(to.values.send(m.take(L)), give_sent{ref<value_channel>{&to}});
    return m.await(L, t, p);
}
inline int channel_receive(state* L) {
    machine& m = machine::of(L);
    value_channel& from = channel_at(L);
    task& t = m.waiting_task(L, "receive");
    pending* p = make_pending(from.values.receive(), give_received{ref<value_channel>{&from}});
    return m.await(L, t, p);
}
inline int channel_try_send(state* L) {
    machine& m = machine::of(L);
    value_channel& to = channel_at(L);
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "a value that is not nil");
    lua_settop(L, 2);
    lua_pushboolean(L, to.values.try_send(m.take(L)));
    return 1;
}
inline int channel_try_receive(state* L) {
    value_channel& from = channel_at(L);
    const auto push_one = [&] {
        const std::optional<reference> value = from.values.try_receive();
        if (value) value->push(L);
        return value.has_value();
    };
    if (!push_one()) lua_pushnil(L);
    return 1;
}
inline int channel_close(state* L) {
    channel_at(L).values.close();
    return 0;
}
inline int channel_size(state* L) {
    lua_pushinteger(L, static_cast<lua_Integer>(channel_at(L).values.size()));
    return 1;
}
inline int channel_is_closed(state* L) { return lua_pushboolean(L, channel_at(L).values.is_closed()), 1; }

inline void make_channel_type(state* L, machine& m) {
    static constexpr luaL_Reg methods[] = {{"send", channel_send},         {"receive", channel_receive}, {"try_send", channel_try_send},
                                             {"try_receive", channel_try_receive}, {"close", channel_close},     {"is_closed", channel_is_closed},
                                             {nullptr, nullptr}};
    static constexpr luaL_Reg meta[] = {{"__len", channel_size}, {"__close", channel_close}, {nullptr, nullptr}};
    make_type<ref<value_channel>>(L, m, methods, meta);
}

}  // namespace hawser::lua::detail
