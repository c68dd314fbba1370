#pragma once
// run, spawn, sleep, groups and deadlines for Lua.

#include <hawser/lua/running.hpp>
#include <hawser/lua/userdata.hpp>
#include <hawser/reactor/signals.hpp>
#include <hawser/reactor/sleep.hpp>

namespace hawser::lua::detail {

template <> inline constexpr const char* type_name<ref<task>> = "hawser.task";
template <> inline constexpr const char* type_name<ref<group>> = "hawser.group";
template <> inline constexpr const char* type_name<ref<cancel_scope>> = "hawser.cancel_scope";

inline task& task_at(state* L, int index) {
    ref<task>& held = check<ref<task>>(L, index);
    if (!held) luaL_argerror(L, index, "an empty task");
    return *held;
}
inline group& group_at(state* L, int index) {
    ref<group>& held = check<ref<group>>(L, index);
    if (!held) luaL_argerror(L, index, "an empty group");
    return *held;
}
inline void need_loop(state* L, machine& m, const char* what) {
    if (!m.loop()) luaL_error(L, "%s: %s", what, m.message().c_str());
}

/// Pushes a group below `outer`, or below none.
inline ref<group>& push_group(state* L, const ref<cancel_scope>& outer) {
    ref<group>& held = push_new<ref<group>>(L);
    held = ref<group>{new group{ref<cancel_scope>{new cancel_scope{outer}}}};
    return held;
}

/// Spawns the function at `first` with what follows, and pushes its task.
inline int spawn_at(state* L, machine& m, const ref<group>& in, int first) {
    luaL_checktype(L, first, LUA_TFUNCTION);
    need_loop(L, m, "spawn");
    const int arguments = lua_gettop(L) - first;
    ref<task>& held = push_new<ref<task>>(L);
    lua_insert(L, first);
    held = m.spawn(L, in, arguments);
    lua_settop(L, first);
    return 1;
}

/// spawn(f, ...): into the group of the task that runs. Outside of any, by itself: its error is reported at once.
inline int spawn(state* L) {
    machine& m = machine::of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (task* t = m.current()) return spawn_at(L, m, t->member_of(), 1);
    ref<group>& held = push_group(L, {});
    held->unattended = true;
    lua_insert(L, 1);
    return spawn_at(L, m, held, 2);
}

/// group([detached]): below the scope of the task that runs, or below none.
inline int make_group(state* L) {
    machine& m = machine::of(L);
    const bool detached = lua_toboolean(L, 1) != 0;
    push_group(L, detached ? ref<cancel_scope>{} : m.scope());
    return 1;
}
inline int group_spawn(state* L) {
    machine& m = machine::of(L);
    static_cast<void>(group_at(L, 1));
    return spawn_at(L, m, check<ref<group>>(L, 1), 2);
}
/// spawn_parking(group, f, ...): its coroutine.yield() waits for schedule().
inline int group_spawn_parking(state* L) {
    const int results = group_spawn(L);
    task_at(L, -1).may_park = true;
    return results;
}
inline int group_cancel(state* L) { return group_at(L, 1).request_stop(), 0; }
inline int group_size(state* L) {
    lua_pushinteger(L, static_cast<lua_Integer>(group_at(L, 1).size()));
    return 1;
}

/// Pushes nil, the error, its traceback; or nil, "cancelled", ECANCELED.
inline int push_task_error(state* L, const task& t) {
    if (t.now() != task::status::failed) return push_failure(L, "cancelled", ECANCELED);
    lua_pushnil(L);
    if (t.ran_out_of_memory) lua_pushliteral(L, "not enough memory");
    else t.error().push(L);
    push(L, t.traceback());
    return 3;
}
inline int push_task_results(state* L, const task& t) {
    if (t.now() != task::status::done) return push_task_error(L, t);
    lua_pushboolean(L, 1);
    const int count = t.results();
    if (lua_gettop(t.thread()) < count) return push_failure(L, "somebody closed or resumed the coroutine of this task", EINVAL);
    if (!lua_checkstack(L, count) || !lua_checkstack(t.thread(), count)) return luaL_error(L, "too many results");
    const int first = lua_gettop(t.thread()) - count + 1;
    for (int i = 0; i < count; ++i) lua_pushvalue(t.thread(), first + i);
    lua_xmove(t.thread(), L, count);
    return 1 + count;
}

struct give_task {
    ref<task> of;
    int operator()(state* L) const { return push_task_results(L, *of); }
};
inline int task_join(state* L) {
    machine& m = machine::of(L);
    task& of = task_at(L, 1);
    of.joined = true;
    task& t = m.waiting_task(L, "join");
    if (&t == &of) return luaL_error(L, "a task cannot wait for its own end");
    pending* p = make_pending(of.at_end().wait(), give_task{ref<task>{&of}});
    return m.await(L, t, p);
}
inline int task_cancel(state* L) { return task_at(L, 1).request_stop(), 0; }
inline int task_status(state* L) {
    static constexpr const char* names[] = {"queued", "running", "waiting", "parked", "done", "failed", "cancelled"};
    return lua_pushstring(L, names[static_cast<int>(task_at(L, 1).now())]), 1;
}
inline int task_stopped(state* L) { return lua_pushboolean(L, task_at(L, 1).stop_requested()), 1; }
inline int task_thread(state* L) {
    task& t = task_at(L, 1);
    lua_pushthread(t.thread());
    lua_xmove(t.thread(), L, 1);
    return 1;
}
inline int task_tostring(state* L) {
    task& t = task_at(L, 1);
    lua_pushcfunction(L, task_status);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    lua_pushfstring(L, "hawser.task (%s): %p", lua_tostring(L, -1), static_cast<const void*>(&t));
    return 1;
}
/// The task that runs, or nil.
inline int current(state* L) {
    task* t = machine::of(L).current();
    if (!t) return lua_pushnil(L), 1;
    ref<task>& held = push_new<ref<task>>(L);
    held = ref<task>{t};
    return 1;
}

struct give_group {
    ref<group> of;
    int operator()(state* L) const {
        if (of->failed()) return push_task_error(L, *of->failed());
        return lua_pushboolean(L, 1), 1;
    }
};
/// Runs `op` whatever stops the task.
template <class Op> class unstoppable {
public:
    using value_type = typename Op::value_type;
    explicit unstoppable(Op&& op) : op_{std::move(op)} {}
    bool start(const hawser::detail::environment& env, hawser::detail::waiter& w) { return op_.start({env.loop, {}}, w); }
    auto take() { return hawser::detail::collect(op_).take(); }
    void inspect(hawser::detail::inspector& to) const { to.show(op_); }

private:
    Op op_;
};
/// Outside of a task the loop itself may find that this would never end, and has to be able to give up.
inline pending* make_group_join(const task& t, group& of, duration limit) noexcept {
    const auto empty = [&] { return of.when_empty().wait(); };
    const give_group give{ref<group>{&of}};
    if (!t.thread()) return make_limited(empty, limit, give);
    if (limit == duration::max()) return make_pending(unstoppable{empty()}, give);
    return make_pending(unstoppable{with_timeout(limit, empty())}, give);
}
/// join(group [, seconds]): true; or nil, error, traceback of the task that failed first. A stop does not end the waiting:
/// what is in the group is stopped by it, and so ends.
inline int group_join(state* L) {
    machine& m = machine::of(L);
    group& of = group_at(L, 1);
    const duration limit = lua_isnoneornil(L, 2) ? duration::max() : check_seconds(L, 2);
    task& t = m.waiting_task(L, "join");
    if (t.member_of().get() == &of) return luaL_error(L, "a task cannot wait for the group of which it is a part");
    pending* p = make_group_join(t, of, limit);
    return m.await(L, t, p, false);
}

struct give_signal {
    int operator()(state* L, int) const { return lua_pushboolean(L, 1), 1; }
};
inline int sleep(state* L) {
    machine& m = machine::of(L);
    const duration time = check_seconds(L, 1);
    task& t = m.waiting_task(L, "sleep");
    pending* p = make_pending(hawser::detail::sleep_operation{time}, give_true{});
    return m.await(L, t, p);
}
inline int yield(state* L) {
    machine& m = machine::of(L);
    task& t = m.waiting_task(L, "yield");
    pending* p = make_pending(hawser::yield(), give_true{});
    return m.await(L, t, p);
}
/// signal(name): waits for a signal of the process, such as "TERM".
inline int wait_for_signal(state* L) {
    static const char* const names[] = {"INT", "TERM", "HUP", "QUIT", "USR1", "USR2", nullptr};
    static constexpr int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
    machine& m = machine::of(L);
    const int which = luaL_checkoption(L, 1, nullptr, names);
    task& t = m.waiting_task(L, "signal");
    pending* p = make_pending(next_signal(numbers[which]), give_signal{});
    return m.await(L, t, p);
}
/// Seconds since some moment; only differences mean anything.
inline int now(state* L) { return lua_pushnumber(L, static_cast<lua_Number>(clock::now().time_since_epoch().count()) / 1e9), 1; }

/// enter([seconds | group]): what runs until leave() can be stopped by itself, after a time, or with a group.
inline int enter(state* L) {
    machine& m = machine::of(L);
    ref<cancel_scope>& held = push_new<ref<cancel_scope>>(L);
    if (ref<group>* of = test<ref<group>>(L, 1)) {
        held = (*of)->scope();
    } else {
        const duration limit = check_seconds(L, 1);
        need_loop(L, m, "with_timeout");
        held = ref<cancel_scope>{new cancel_scope{m.scope()}};
        if (limit != duration::max()) held->set_limit(*m.loop(), limit);
    }
    m.running_task().enter(held);
    return 1;
}
/// leave(scope): whether its time was over, and whether that cut something short.
inline int leave(state* L) {
    machine& m = machine::of(L);
    const cancel_scope& scope = *check<ref<cancel_scope>>(L, 1);
    m.running_task().leave(scope);
    lua_pushboolean(L, scope.timed_out());
    lua_pushboolean(L, scope.has_cut());
    return 2;
}

/// run(f, ...): runs the loop until f, and everything that was spawned by it, has ended. Its results; or raises its error.
inline int run(state* L) {
    machine& m = machine::of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (m.current()) return luaL_error(L, "hawser.run inside a task: call the function, or give it to hawser.spawn");
    static_cast<void>(m.waiting_task(L, "run"));
    ref<group>& held = push_group(L, {});
    lua_insert(L, 1);
    spawn_at(L, m, held, 2);
    m.run_until(L, held->when_empty(), *held);
    task& t = task_at(L, 2);
    if (const task* failed = held->failed().get()) {
        const int pushed = push_task_error(L, *failed);
        lua_pop(L, pushed - 2);
        if (lua_type(L, -1) == LUA_TSTRING) {
            lua_pushliteral(L, "\n");
            push(L, failed->traceback());
            lua_concat(L, 3);
        }
        return lua_error(L);
    }
    const int pushed = push_task_results(L, t);
    if (t.now() != task::status::done) return pushed;
    return pushed - 1;
}

/// The values for a task that has parked itself: schedule(task, ...). False: it has not.
inline int schedule(state* L) {
    machine& m = machine::of(L);
    task& t = task_at(L, 1);
    const int arguments = lua_gettop(L) - 1;
    lua_pushboolean(L, m.schedule(L, t, arguments));
    return 1;
}
/// note(error [, coroutine or traceback]): remembers where it was raised, for message handlers of xpcall and for who raises
/// the error of another task again. Gives it back.
inline int note(state* L) {
    machine& m = machine::of(L);
    state* of = lua_tothread(L, 2);
    if (lua_type(L, 2) != LUA_TSTRING) {
        lua_settop(L, 1);
        luaL_traceback(L, of ? of : L, nullptr, of ? 0 : 1);
    }
    lua_settop(L, 2);
    m.note_traceback(L);
    return 1;
}
inline int set_on_error(state* L) {
    machine& m = machine::of(L);
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) return m.on_error({}), 0;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    m.on_error(m.take(L));
    return 0;
}
inline int tasks_alive(state* L) {
    lua_pushinteger(L, static_cast<lua_Integer>(machine::of(L).size()));
    return 1;
}

}  // namespace hawser::lua::detail
