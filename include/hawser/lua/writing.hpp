#pragma once
// ios:write(), flush(), shutdown() and close().

#include <hawser/lua/ios.hpp>
#include <hawser/lua/running.hpp>

namespace hawser::lua::detail {

/// The stream at `index`. Raises an error for what is none; nullptr, and pushes the failure, for one that was closed.
inline ios* open_ios(state* L, int index) {
    ref<ios>& held = check<ref<ios>>(L, index);
    if (held && !held->closed) return held.get();
    push_failure(L, "the stream is closed", EBADF);
    return nullptr;
}

/// Sends: no other may meanwhile.
class output_turn {
public:
    explicit output_turn(ref<ios> of) noexcept : of_{std::move(of)} { of_->writing = true; }
    output_turn(output_turn&&) noexcept = default;
    ~output_turn() {
        if (of_) of_->writing = of_->flushing = false;
    }
    ios& line() const noexcept { return *of_; }

private:
    ref<ios> of_;
};

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
    give_written(ref<ios> s, reference handle, reference bytes) noexcept : turn{std::move(s)}, self{std::move(handle)}, text{std::move(bytes)} {}
    int operator()(state* L) const { return self.push(L), 1; }
    int fail(state* L, const failure& why) const {
        if (turn.line().closed) return push_failure(L, "closed", ECANCELED);
        return why.push(L);
    }
    output_turn turn;
    reference self, text;
};

/// Writes what the stream accepts without waiting, as a rule all, and drops it from `bytes`. False: something is left, if
/// only to fail.
inline bool write_at_once(ios& to, const task& t, std::string_view& bytes) noexcept {
    hawser::detail::stream_core* core = to.line().core().get();
    if (!core || t.scope().stop_requested() || core->output_ended() || core->refusal(phase::write, core->writing())) return false;
    const_buffer piece{bytes};
    hawser::detail::write_slot slot;
    slot.pieces = hawser::detail::slice<const_buffer>{&piece, 1};
    const bool ended = core->write(slot, nullptr) && !slot.failure;
    to.bytes_written += slot.moved;
    bytes.remove_prefix(slot.moved);
    return ended;
}

inline bool is_busy_writing(state* L, const ios& to) {
    if (to.writing) push_failure(L, "another task writes to this stream", EBUSY);
    return to.writing;
}

/// Sends the string on top of the stack.
inline pending* make_write(state* L, machine& m, const task& t, ios& to) {
    std::string_view bytes = text_at(L, -1);
    const bool accepted = write_at_once(to, t, bytes);
    reference text = accepted ? reference{} : m.take(L);
    lua_pushvalue(L, 1);
    reference self = m.take(L);
    if (accepted) return make_limited([&] { return to.line().flush(); }, to.write_limit, give_written{ref<ios>{&to}, std::move(self), reference{}});
    return make_limited([&] { return send(ref<ios>{&to}, bytes); }, to.write_limit,
                        give_written{ref<ios>{&to}, std::move(self), std::move(text)});
}

inline int flush_kept(state* L, machine& m, ios& to) {
    task& t = m.waiting_task(L, "flush");
    lua_pushvalue(L, 1);
    pending* p = make_limited([&] { return send_kept(ref<ios>{&to}); }, to.write_limit, give_written{ref<ios>{&to}, m.take(L), reference{}});
    return m.await(L, t, p);
}

inline constexpr std::size_t most_kept = 1 << 20;

inline int ios_write(state* L) {
    machine& m = machine::of(L);
    ios* to = open_ios(L, 1);
    if (!to) return 3;
    const int top = lua_gettop(L);
    for (int i = 2; i <= top; ++i) static_cast<void>(luaL_checkstring(L, i));
    // What a read sends before it waits is no obstacle to what is kept anyway.
    const bool only_keeps = to->flushing && to->mode != ios::buffering::no && to->out.size() < most_kept;
    if (!only_keeps && is_busy_writing(L, *to)) return 3;
    if (top == 1) return 1;
    if (to->mode == ios::buffering::no) {
        if (top > 2) lua_concat(L, top - 1);
        task& t = m.waiting_task(L, "write");
        pending* p = make_write(L, m, t, *to);
        return m.await(L, t, p);
    }
    bool full = false;
    for (int i = 2; i <= top; ++i) {
        const std::string_view text = text_at(L, i);
        to->out += text;
        full = full || (to->mode == ios::buffering::line && text.find('\n') != text.npos);
    }
    if (!only_keeps && (full || to->out.size() >= to->out_limit)) return flush_kept(L, m, *to);
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
    luaL_argcheck(L, size >= 1 && size <= most_kept, 3, "from 1 byte to 1 MiB");
    if (mode == 0 && !to->out.empty() && is_busy_writing(L, *to)) return 3;
    to->mode = static_cast<ios::buffering>(mode);
    to->out_limit = static_cast<std::size_t>(size);
    if (mode == 0 && !to->out.empty()) return flush_kept(L, machine::of(L), *to);
    lua_settop(L, 1);
    return 1;
}

template <class = void> operation<void> end_output(ref<ios> to) {
    if (!to->out.empty()) {
        if (auto sent = co_await as_result(send_kept(to)); !sent) co_return sent.error();
    }
    co_return co_await as_result(to->line().shutdown_send());
}

struct give_shut {
    output_turn turn;
    int operator()(state* L) const { return give_true{}(L); }
    int fail(state* L, const failure& why) const {
        if (turn.line().closed) return push_failure(L, "closed", ECANCELED);
        return why.push(L);
    }
};

inline int ios_shutdown(state* L) {
    machine& m = machine::of(L);
    ios* to = open_ios(L, 1);
    if (!to || is_busy_writing(L, *to)) return 3;
    task& t = m.waiting_task(L, "shutdown");
    pending* p = make_limited([&] { return end_output(ref<ios>{to}); }, to->write_limit, give_shut{output_turn{ref<ios>{to}}});
    return m.await(L, t, p);
}

template <class = void> operation<void> close_ios(ref<ios> line) {
    result<void> sent;
    if (!line->out.empty() && !line->writing) sent = co_await as_result(with_timeout(defaults::close_timeout, send_kept(line)));
    result<void> closed = co_await as_result(line->line().close());
    co_return sent ? closed : sent;
}

struct give_closed {
    ref<ios> line;
    int operator()(state* L) const { return give_true{}(L); }
    /// A stop, too, leaves nothing open.
    int fail(state* L, const failure& why) const {
        line->drop();
        return why.push(L);
    }
};

inline int ios_close(state* L) {
    machine& m = machine::of(L);
    ref<ios>& held = check<ref<ios>>(L, 1);
    if (!held || held->closed) return give_true{}(L);
    task& t = m.waiting_task(L, "close");
    held->closed = true;
    pending* p = make_limited([&] { return close_ios(held); }, duration::max(), give_closed{held});
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
