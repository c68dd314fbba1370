#pragma once
// ios:write(), flush(), shutdown() and close().

#include <hawser/lua/ios.hpp>
#include <hawser/lua/running.hpp>

namespace hawser::lua::detail {

/// Pushes a userdata for a stream, an address, ...
template <class T> T& push_new_ref(state* L, ref<T> object) {
    ref<T>& held = push_new<ref<T>>(L);
    held = std::move(object);
    return *held;
}

/// The stream at `index`. Raises an error for what is none; nullptr, and pushes the failure, for one that was closed.
inline ios* open_ios(state* L, int index) {
    ref<ios>& held = check<ref<ios>>(L, index);
    if (held && !held->closed) return held.get();
    push_failure(L, "the stream is closed", EBADF);
    return nullptr;
}

/// Gives `bytes` to the kernel, all of them.
template <class = void> operation<void> send(ref<ios> to, std::string_view bytes) {
    auto n = co_await as_result(to->line().write(bytes));
    to->bytes_written += n ? *n : n.error().transferred();
    if (!n) co_return n.error();
    co_return co_await as_result(to->line().flush());
}

/// Gives what setvbuf() made write() keep to the kernel.
template <class = void> operation<void> send_kept(ref<ios> to) {
    const std::string kept = std::exchange(to->out, {});
    co_return co_await as_result(send(to, kept));
}

/// A call of write(): gives the stream itself, which it keeps alive together with the string.
struct give_written {
    give_written(ref<ios> s, reference handle, reference bytes) noexcept : to{std::move(s)}, self{std::move(handle)}, text{std::move(bytes)} {
        to->writing = true;
    }
    give_written(give_written&&) noexcept = default;
    ~give_written() {
        if (to) to->writing = false;
    }
    int operator()(state* L) const { return self.push(L), 1; }
    int fail(state* L, const failure& why) const {
        if (to->closed) return push_failure(L, "closed", ECANCELED);
        return why.push(L);
    }
    ref<ios> to;
    reference self, text;
};

inline bool is_busy_writing(state* L, const ios& to) {
    if (to.writing) push_failure(L, "another task writes to this stream", EBUSY);
    return to.writing;
}

/// Sends the string on top of the stack.
inline pending* make_write(state* L, machine& m, ios& to) {
    const std::string_view bytes = text_at(L, -1);
    reference text = m.take(L);
    lua_pushvalue(L, 1);
    reference self = m.take(L);
    return make_limited([&] { return send(ref<ios>{&to}, bytes); }, to.write_limit,
                        give_written{ref<ios>{&to}, std::move(self), std::move(text)});
}

inline int flush_kept(state* L, machine& m, ios& to) {
    task& t = m.waiting_task(L, "flush");
    lua_pushvalue(L, 1);
    pending* p = make_limited([&] { return send_kept(ref<ios>{&to}); }, to.write_limit, give_written{ref<ios>{&to}, m.take(L), reference{}});
    return m.await(L, t, p);
}

inline int ios_write(state* L) {
    machine& m = machine::of(L);
    ios* to = open_ios(L, 1);
    if (!to) return 3;
    const int top = lua_gettop(L);
    for (int i = 2; i <= top; ++i) static_cast<void>(luaL_checkstring(L, i));
    if (is_busy_writing(L, *to)) return 3;
    if (top == 1) return 1;
    if (to->mode == ios::buffering::no) {
        if (top > 2) lua_concat(L, top - 1);
        task& t = m.waiting_task(L, "write");
        pending* p = make_write(L, m, *to);
        return m.await(L, t, p);
    }
    bool full = false;
    for (int i = 2; i <= top; ++i) {
        const std::string_view text = text_at(L, i);
        to->out += text;
        full = full || (to->mode == ios::buffering::line && text.find('\n') != text.npos);
    }
    if (full || to->out.size() >= to->out_limit) return flush_kept(L, m, *to);
    lua_settop(L, 1);
    return 1;
}

inline int ios_flush(state* L) {
    machine& m = machine::of(L);
    ios* to = open_ios(L, 1);
    if (!to || is_busy_writing(L, *to)) return 3;
    lua_settop(L, 1);
    return to->out.empty() ? 1 : flush_kept(L, m, *to);
}

inline int ios_setvbuf(state* L) {
    static const char* const names[] = {"no", "line", "full", nullptr};
    ios* to = open_ios(L, 1);
    if (!to) return 3;
    const int mode = luaL_checkoption(L, 2, nullptr, names);
    const lua_Number size = luaL_optnumber(L, 3, 4096);
    luaL_argcheck(L, size >= 1 && size <= 1 << 20, 3, "from 1 byte to 1 MiB");
    to->mode = static_cast<ios::buffering>(mode);
    to->out_limit = static_cast<std::size_t>(size);
    if (mode == 0 && !to->out.empty() && !is_busy_writing(L, *to)) return flush_kept(L, machine::of(L), *to);
    lua_settop(L, 1);
    return 1;
}

template <class = void> operation<void> end_output(ref<ios> to) {
    if (!to->out.empty()) {
        if (auto sent = co_await as_result(send_kept(to)); !sent) co_return sent.error();
    }
    co_return co_await as_result(to->line().shutdown_send());
}

inline int ios_shutdown(state* L) {
    machine& m = machine::of(L);
    ios* to = open_ios(L, 1);
    if (!to || is_busy_writing(L, *to)) return 3;
    task& t = m.waiting_task(L, "shutdown");
    pending* p = make_limited([&] { return end_output(ref<ios>{to}); }, to->write_limit, give_true{});
    return m.await(L, t, p);
}

template <class = void> operation<void> close_ios(ref<ios> line) {
    result<void> sent;
    if (!line->out.empty() && !line->writing) sent = co_await as_result(with_timeout(defaults::close_timeout, send_kept(line)));
    result<void> closed = co_await as_result(line->line().close());
    co_return sent ? closed : sent;
}

inline int ios_close(state* L) {
    machine& m = machine::of(L);
    ref<ios>& held = check<ref<ios>>(L, 1);
    if (!held || held->closed) return give_true{}(L);
    task& t = m.waiting_task(L, "close");
    held->closed = true;
    pending* p = make_limited([&] { return close_ios(held); }, duration::max(), give_true{});
    return m.await(L, t, p);
}

/// Lets go at once, without close_notify: the peer sees a cut message as cut. What was written is still sent.
inline int ios_abort(state* L) {
    ref<ios>& held = check<ref<ios>>(L, 1);
    if (held) held->drop();
    return 0;
}

/// Of a variable that was declared <close>: where nothing may wait the stream is dropped, and what was written still sent.
inline int ios_leave_scope(state* L) {
    machine& m = machine::of(L);
    if (m.current() && !lua_isyieldable(L)) {
        return ios_abort(L);
    }
    return ios_close(L);
}

}  // namespace hawser::lua::detail
