#pragma once
// ios:read().

#include <hawser/lua/writing.hpp>

namespace hawser::lua::detail {

/// Receives until what was asked for is there. No coroutine: nearly every read comes here.
class receiving : hawser::detail::waiter {
public:
    using value_type = void;

    explicit receiving(ref<ios> from) noexcept : from_{std::move(from)} {}
    receiving(receiving&& other) noexcept : from_{std::move(other.from_)} {}  // before it is started
    bool start(const hawser::detail::environment& env, hawser::detail::waiter& w) {
        env_ = env;
        outer_ = &w;
        run = [](hawser::detail::waiter& self) noexcept { static_cast<receiving&>(self).received(); };
        return read_more();
    }
    result<void> take() {
        if (failure_) return std::move(failure_);
        return {};
    }
    void inspect(hawser::detail::inspector& to) const {
        if (chunk_) to.show(*chunk_);
    }

private:
    /// True: it waits for more.
    bool read_more() {
        do {
            if (chunk_.emplace(from_->line().read()).start(env_, *this)) return true;
        } while (!take_chunk());
        return false;
    }
    /// True: the read has its results.
    bool take_chunk() {
        auto chunk = chunk_->take();
        if (chunk && *chunk) {
            if (!from_->in.append(**chunk)) return failure_ = error_info::from_errno(ENOMEM, phase::read), true;
            from_->bytes_read += (*chunk)->size();
        } else if (!chunk && (chunk.error() == errc::cancelled || chunk.error() == errc::closed)) {
            failure_ = chunk.error();
            return true;
        } else {
            from_->end_input(chunk ? error_info::none() : chunk.error());
        }
        return from_->scan();
    }
    void received() noexcept {
        try {
            if (!take_chunk() && read_more()) return;
        } catch (...) {
            failure_ = error_info::from_errno(ENOMEM, phase::read);
        }
        if (outer_->handle) outer_->handle.resume();
        else outer_->run(*outer_);
    }

    ref<ios> from_;
    hawser::detail::environment env_;
    hawser::detail::waiter* outer_ = nullptr;
    std::optional<hawser::detail::lend_operation> chunk_;
    error_info failure_ = error_info::none();
};

/// The same, after what write() has kept was sent.
template <class = void> operation<void> receive(ref<ios> from) {
    while (!from->out.empty() && !from->writing) {  // the peer may wait for it before it answers
        const output_turn turn{from};
        from->flushing = true;
        if (auto sent = co_await as_result(send_kept(from)); !sent) co_return sent.error();
    }
    if (from->scan()) co_return result<void>{};
    co_return co_await as_result(receiving{from});
}

/// Converts what stands for a number.
inline bool push_number(state* L, std::string_view text) {
    push(L, text);
    if (!lua_isnumber(L, -1)) return lua_pop(L, 1), lua_pushnil(L), false;
#if LUA_VERSION_NUM >= 504
    const char* copy = lua_tostring(L, -1);
    if (lua_stringtonumber(L, copy) == 0) lua_pushnil(L);
#else
    lua_pushnumber(L, lua_tonumber(L, -1));
#endif
    lua_remove(L, -2);
    return !lua_isnil(L, -1);
}

/// The results of a read that has ended, one way or the other. Drops from the buffer what it has pushed.
inline int push_read(state* L, ios& from, const failure& why) {
    using outcome = read_format::outcome;
    const std::string_view have = from.unread();
    const read_request& asked = from.request;
    luaL_checkstack(L, read_request::most + 4, "read");
    int pushed = 0;
    for (int i = 0; i < asked.done(); ++i) {
        const read_format& f = asked[i];
        if (f.how != outcome::found) break;
        ++pushed;
        if (f.what != read_format::kind::number) push(L, have.substr(f.begin, f.size));
        else if (!push_number(L, have.substr(f.begin, f.size))) return from.in.consume(f.next), pushed;
    }
    std::size_t used = asked.consumed();
    if (const read_format* f = asked.unfinished()) {
        const auto rest = have.substr(f->begin);
        const bool gives_partial = f->what == read_format::kind::all || f->how == outcome::too_long || f->how == outcome::cut_short;
        if (f->how == outcome::too_long) push_failure(L, "more than the limit without an end: see setlimits()", EMSGSIZE);
        else if (f->how == outcome::cut_short) from.ending ? from.ending.push(L) : push_failure(L, "end of the stream in a header", EPROTO);
        else if (f->how == outcome::invalid) lua_pushnil(L), pushed -= 2;
        else if (why) why.push(L);
        else if (from.ending) from.ending.push(L);
        else lua_pushnil(L), pushed -= 2;
        pushed += 3;
        if (gives_partial) {
            push(L, rest);
            ++pushed;
            used = have.size();
        }
    } else if (asked.done() > 0 && asked[asked.done() - 1].what == read_format::kind::all && from.ending) {
        // All there was; but whether that was all, nobody has said.
        if (!from.truncated || from.strict) {
            push_failure(L, from.ending.message(), from.ending.number());
            lua_pushvalue(L, -4);
            lua_remove(L, -5);
            pushed += 3;
        } else {
            push(L, from.ending.message());
            lua_pushinteger(L, from.ending.number());
            pushed += 2;
        }
    }
    from.in.consume(used);
    return pushed;
}

struct give_read {
    ref<ios> from;
    give_read(ref<ios> f) noexcept : from{std::move(f)} { from->reading = true; }
    give_read(give_read&& other) noexcept = default;
    ~give_read() {
        if (from) from->reading = false;
    }
    int operator()(state* L) const { return push_read(L, *from, {}); }
    int fail(state* L, const failure& why) const {
        if (from->closed) return push_failure(L, "closed", ECANCELED);
        return push_read(L, *from, why);
    }
};

inline int ios_read(state* L) {
    machine& m = machine::of(L);
    ios* from = open_ios(L, 1);
    if (!from) return 3;
    if (from->reading) return push_failure(L, "another task reads from this stream", EBUSY);
    from->request.parse(L, 2);
    if (from->out.empty() && from->scan()) return push_read(L, *from, {});
    task& t = m.waiting_task(L, "read");
    ref<ios> held{from};
    pending* p = from->out.empty() ? make_limited([&] { return receiving{held}; }, from->read_limit, give_read{held})
                                   : make_limited([&] { return receive(held); }, from->read_limit, give_read{held});
    held = {};  // Lua does not come back through here
    return m.await(L, t, p);
}

}  // namespace hawser::lua::detail
