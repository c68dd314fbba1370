#pragma once
// Listeners for Lua.

#include <hawser/lua/connecting.hpp>
#include <hawser/tls/listener.hpp>

namespace hawser::lua::detail {

/// A listening socket, with or without TLS.
class door final : public hawser::detail::ref_counted {
public:
    explicit door(const endpoint& at) : plain_{std::in_place, at} {}
    door(const endpoint& at, const tls::server_config& certificates) : secure_{std::in_place, certificates, at} {}

    endpoint local() const noexcept { return secure_ ? secure_->local_endpoint() : plain_ ? plain_->local_endpoint() : endpoint{}; }
    int descriptor() const noexcept { return secure_ ? secure_->native_handle() : plain_ ? plain_->native_handle() : -1; }
    tcp::listener* plain() noexcept { return plain_ ? &*plain_ : nullptr; }
    tls::listener* secure() noexcept { return secure_ ? &*secure_ : nullptr; }
    bool is_open() const noexcept { return open_; }
    void close() noexcept {
        open_ = false;
        if (plain_) plain_->close();
        if (secure_) secure_->close();
    }

private:
    ~door() override = default;
    std::optional<tcp::listener> plain_;
    std::optional<tls::listener> secure_;
    bool open_ = true;
};

/// An accepted TLS connection before its handshake.
struct guest {
    std::optional<tls::pending> line;
};

template <> inline constexpr const char* type_name<ref<door>> = "hawser.listener";
template <> inline constexpr const char* type_name<guest> = "hawser.pending";

/// What serves at an address: an address userdata, or a host and a service that have been resolved.
inline int listen(state* L) {
    machine& m = machine::of(L);
    const endpoint at = check<endpoint>(L, 1);
    const bool secure = !lua_isnoneornil(L, 2);
    if (secure && !check<server_settings>(L, 2)) return luaL_argerror(L, 2, "an empty config");
    if (!m.loop()) return luaL_error(L, "listen: %s", m.message().c_str());
    ref<door>& held = push_new<ref<door>>(L);
    const int failed = attempt(m.scratch(), [&] { held = ref<door>{secure ? new door{at, **test<server_settings>(L, 2)} : new door{at}}; });
    return failed == 0 ? 1 : push_failure(L, m.scratch(), failed);
}

inline door& door_at(state* L) {
    ref<door>& held = check<ref<door>>(L, 1);
    if (!held) luaL_error(L, "this listener is no more");
    return *held;
}

struct give_guest {
    ref<door> from;  // lives as long as somebody waits there
    int operator()(state* L, tls::pending& line) const {
        guest& made = push_new<guest>(L);
        made.line.emplace(std::move(line));
        return 1;
    }
};
struct give_client {
    ref<door> from;
    int operator()(state* L, tcp::stream& line) const { return give_stream{}(L, line); }
};

/// Gives an ios, or of a TLS listener one whose handshake() is to be called, in a task of its own as a rule.
inline int listener_accept(state* L) {
    machine& m = machine::of(L);
    door& from = door_at(L);
    task& t = m.waiting_task(L, "accept");
    pending* p = from.secure() ? make_limited([&] { return from.secure()->accept(); }, duration::max(), give_guest{ref<door>{&from}})
                               : make_limited([&] { return from.plain()->accept(); }, duration::max(), give_client{ref<door>{&from}});
    return m.await(L, t, p);
}
inline int listener_close(state* L) {
    door_at(L).close();
    return give_true{}(L);
}
inline int listener_address(state* L) { return push_address(L, door_at(L).local()); }
inline int listener_is_open(state* L) { return lua_pushboolean(L, door_at(L).is_open()), 1; }
inline int listener_fileno(state* L) { return lua_pushinteger(L, door_at(L).descriptor()), 1; }
inline int listener_is_tls(state* L) { return lua_pushboolean(L, door_at(L).secure() != nullptr), 1; }
inline int listener_tostring(state* L) {
    door& d = door_at(L);
    push_text(L, d.local(), true);
    lua_pushfstring(L, "hawser.listener (%s%s)", d.secure() ? "TLS, " : "", lua_tostring(L, -1));
    return 1;
}
/// New certificates for connections from now on.
inline int listener_reload(state* L) {
    machine& m = machine::of(L);
    door& d = door_at(L);
    const server_settings& settings = check<server_settings>(L, 2);
    if (!settings || !d.secure()) return luaL_error(L, "reload is for a TLS listener and a server_config");
    const int failed = attempt(m.scratch(), [&] { d.secure()->reload(*settings); });
    return failed == 0 ? give_true{}(L) : push_failure(L, m.scratch(), failed);
}

inline int guest_handshake(state* L) {
    machine& m = machine::of(L);
    guest& who = check<guest>(L, 1);
    if (!who.line) return push_failure(L, "the handshake of this connection was run already", EBADF);
    task& t = m.waiting_task(L, "handshake");
    pending* p = make_limited([&] { return who.line->handshake(); }, duration::max(), give_stream{});
    who.line.reset();
    return m.await(L, t, p);
}
inline int guest_remote(state* L) {
    const guest& who = check<guest>(L, 1);
    return who.line ? push_address(L, who.line->remote_endpoint()) : 0;
}

}  // namespace hawser::lua::detail
