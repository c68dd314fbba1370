#pragma once
// How Lua tasks run: who may wait, how they are resumed, and what becomes of their errors.

#include <hawser/lua/interrupts.hpp>
#include <hawser/lua/machine.hpp>

namespace hawser::lua::detail {

inline task& machine::waiting_task(state* L, const char* what) {
    if (current_) {
        if (L != current_->thread() && !is_inner_coroutine(L)) {
            luaL_error(L, "%s has to wait, in a coroutine that is not hawser's: make it by hawser.wrap or hawser.coroutine.create, "
                            "which hand the waiting on to the task", what);
        }
        if (!lua_isyieldable(L)) {
            luaL_error(L, "%s has to wait, inside a C function that calls back into Lua (table.sort, string.gsub, require, a metamethod): "
                            "nothing can yield across it. Do it before or after that call", what);
        }
        return *current_;
    }
    if (!loop()) luaL_error(L, "%s: %s", what, message_.c_str());
    if (runs_) luaL_error(L, "%s has to wait, in a finalizer or a hook that runs inside the loop: use hawser.spawn there", what);
    if (embedded()) luaL_error(L, "%s has to wait, outside of a task: the C++ program runs the loop. Call it by hawser::lua::call, or use hawser.spawn", what);
    return *stand_in_;
}

/// Whether everything from `L` down to the task hands operations on: each coroutine is listed with the one that resumed it.
inline bool machine::is_inner_coroutine(state* L) {
    push_inner_coroutines(L);
    lua_pushthread(L);
    state* by = L;
    for (int depth = 0; by && by != current_->thread() && depth < 200; ++depth) {
        lua_rawget(L, -2);
        by = lua_tothread(L, -1);
    }
    lua_pop(L, 2);
    return by == current_->thread();
}

inline int machine::await(state* L, task& t, pending* p, bool stoppable) {
    if (!p) return luaL_error(L, "not enough memory");
    if (stoppable && t.scope().stop_requested() && t.ignores_stop()) {
        delete p;
        return luaL_error(L, "this task was stopped, and goes on to begin operations: leave when one returns nil, \"cancelled\"");
    }
    if (t.waits_) {
        delete p;
        return luaL_error(L, "this task waits for something else already: its coroutine was resumed by somebody");
    }
    t.hold(p);
    if (t.start()) {
        if (&t == stand_in_.get()) return await_here(L, p);
        t.status_ = task::status::waiting;
        lua_pushlightuserdata(L, tag());
        return lua_yield(L, 1);
    }
    const int results = p->give(L);
    t.hold(nullptr);
    return results;
}

inline int machine::finish(state* L, pending* p) {
    if (!p) return luaL_error(L, "not enough memory");
    task& t = running_task();
    t.hold(p);
    static_cast<void>(t.start());
    const int results = p->give(L);
    t.hold(nullptr);
    return results;
}

/// Runs the loop until the operation of the stand-in has ended.
inline int machine::await_here(state* L, pending* p) {
    bool done = false;
    stand_in_->done_ = &done;
    ending how = turn_until(L, done, true);
    if (how != ending::done) {
        ref<cancel_scope> outside = stand_in_->scope_;
        stand_in_->scope_->request_stop();
        static_cast<void>(turn_until(L, done, false));
        // The next operation is none of this one's.
        stand_in_->base_ = stand_in_->scope_ = ref<cancel_scope>{new cancel_scope{ref<cancel_scope>{}}};
        outside = {};
        if (how == ending::interrupted) return lua_error(L);
        return luaL_error(L, "this would wait for ever: no task, timer or connection is left that could end it");
    }
    const int results = p->give(L);
    stand_in_->hold(nullptr);
    return results;
}

inline void task::operation_ended() noexcept {
    waits_ = false;
    ref<task> last{this};
    drop_ref();
    if (!machine_) return hold(nullptr);
    held_->end(*scope_);
    if (done_) *std::exchange(done_, nullptr) = true;
    else machine_->wake(*this);
}

inline machine::ending machine::turn_until(state* L, const bool& done, bool gives_up) noexcept {
    runs_ = true;
    ending how = ending::done;
    interrupts sigint{gives_up && own_};
    // A signal that comes just before the wait does not end it.
    struct : hawser::detail::timer {} look;
    look.fire = [](hawser::detail::timer&) noexcept {};
    while (!done) {
        if (gives_up && !loop_->can_wake()) {
            how = ending::stuck;
        } else {
            if (sigint.active()) loop_->set_timer(look, loop_->now() + std::chrono::milliseconds{200});
            loop_->turn();
            if (hawser::detail::timer_heap::is_set(look)) loop_->cancel_timer(look);
            sigint.hand_over();
            if (gives_up && lua_gethook(L) && interrupted(L)) how = ending::interrupted;
        }
        if (how != ending::done) break;
    }
    runs_ = false;
    return how;
}

/// A hook was set, as the lua program does at Ctrl-C: it is for Lua code to run into it. True: that raised an error,
/// which is on the stack of `L` now.
inline bool machine::interrupted(state* L) noexcept {
    if (!lua_checkstack(L, 2)) return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, nothing_);
    return lua_pcall(L, 0, 0, 0) != 0;
}

inline void machine::run_until(state* L, event& done, group& of) {
    bool is_done = false;
    struct watcher : hawser::detail::waiter {
        bool* done;
    } watch{};
    watch.done = &is_done;
    watch.run = [](hawser::detail::waiter& w) noexcept { *static_cast<watcher&>(w).done = true; };
    ending how = ending::done;
    {
        auto wait = done.wait();
        if (wait.start({loop_, {}}, watch)) {
            how = turn_until(L, is_done, true);
            if (how != ending::done) {
                of.request_stop();
                static_cast<void>(turn_until(L, is_done, false));
            }
        }
    }
    if (how == ending::interrupted) lua_error(L);
    if (how == ending::stuck) {
        luaL_error(L, "hawser.run: all tasks wait for each other; no timer or connection is left that could wake one of them");
    }
}

inline ref<task> machine::spawn(state* L, const ref<group>& in, int arguments) {
    state* co = lua_newthread(L);
    if (!lua_checkstack(co, arguments + 1)) luaL_error(L, "too many arguments");
    lua_insert(L, -arguments - 2);
    lua_xmove(L, co, arguments + 1);
    reference thread = take(L);
    ref<task> made{new task{*this, in, std::move(thread), co, arguments}};
    made->turn_.run = [](hawser::detail::waiter& w) noexcept {
        task& t = *static_cast<task::node&>(w).self;
        if (t.machine_) t.machine_->wake(t);
    };
    made->add_ref();  // until its end
    tasks_.push_back(*made);
    ++size_;
    in->begun();
    loop_->make_ready(made->turn_);
    return made;
}

inline bool machine::schedule(state* L, task& t, int arguments) {
    if (t.status_ != task::status::parked || !lua_checkstack(t.co_, arguments)) return false;
    lua_xmove(L, t.co_, arguments);
    t.stop_while_parked_.unlink();
    t.arguments_ = arguments;
    t.status_ = task::status::queued;
    loop_->make_ready(t.turn_);
    return true;
}

/// Resumes a task from the loop. Whatever Lua raises meanwhile, for want of memory as a rule, is caught here.
inline void machine::wake(task& t) noexcept {
    const ref<task> alive{&t};
    if (closed_ || t.ended()) return end(t, task::status::cancelled);
    state* L = life_->main;
    lua_rawgeti(L, LUA_REGISTRYINDEX, step_);
    lua_pushlightuserdata(L, &t);
    if (lua_pcall(L, 1, 0, 0) == 0) return;
    current_ = nullptr;
    std::fprintf(stderr, "hawser: a Lua task was ended: %s\n", lua_tostring(L, -1));
    lua_settop(L, 0);
    t.ran_out_of_memory = true;
    end(t, task::status::failed);
}

inline int machine::step(state* L) {
    task& t = *static_cast<task*>(lua_touserdata(L, 1));
    machine& m = *t.machine_;
    int arguments = t.arguments_;
    // coroutine.close() of somebody else's, or a resume, may have taken the coroutine away.
    const bool is_there = t.began_ ? lua_status(t.co_) == LUA_YIELD : lua_status(t.co_) == 0 && lua_gettop(t.co_) == arguments + 1;
    if (!is_there) return m.end(t, task::status::cancelled), 0;
    t.began_ = true;
    if (std::exchange(t.cut_while_parked_, false)) {
        if (cancel_scope* cause = t.scope().cause()) t.scope().cut(*cause);
        if (!lua_checkstack(t.co_, 3)) return luaL_error(L, "not enough memory");
        arguments = push_failure(L, "cancelled", ECANCELED);
        lua_xmove(L, t.co_, arguments);
    }
    if (t.status_ == task::status::waiting) {
        arguments = t.held_->give(L);
        if (!lua_checkstack(t.co_, arguments)) return luaL_error(L, "too many results");
        lua_xmove(L, t.co_, arguments);
        t.hold(nullptr);
    }
    t.arguments_ = 0;
    t.status_ = task::status::running;
    m.current_ = &t;
    int count = 0;
    const int status = resume(t.co_, L, arguments, count);
    m.current_ = nullptr;
    m.settle(L, t, status, count);
    return 0;
}

/// Until schedule(), or a stop, which then is what the yield gives: nil, "cancelled", ECANCELED.
inline void machine::park(task& t) noexcept {
    t.status_ = task::status::parked;
    t.stop_while_parked_.invoke = [](hawser::detail::stop_callback& c) noexcept {
        task& stopped = *static_cast<task::stop_node&>(c).self;
        stopped.cut_while_parked_ = true;
        stopped.status_ = task::status::queued;
        stopped.machine_->loop_->make_ready(stopped.turn_);
    };
    if (t.scope().stop_requested()) t.stop_while_parked_.invoke(t.stop_while_parked_);
    else stop_source::attach(t.scope().token(), t.stop_while_parked_);
}

/// What a coroutine that has been resumed has come to.
inline void machine::settle(state* L, task& t, int status, int count) {
    if (status == LUA_YIELD) {
        const bool waits = count == 1 && lua_touserdata(t.co_, -1) == tag();
        lua_pop(t.co_, count);
        if (waits && t.status_ == task::status::waiting) return;
        if (t.may_park) {
            if (!t.scope().stop_requested() || !t.ignores_stop()) return park(t);
        }
        const bool ignores = t.scope().stop_requested() && t.ignores_stop();
        if (count == 0 && !ignores) {  // to let others run
            t.status_ = task::status::queued;
            return loop_->make_ready(t.turn_);
        }
        if (count == 0) lua_pushliteral(L, "this task was stopped, and goes on to yield: leave when an operation returns nil, \"cancelled\"");
        else lua_pushliteral(L, "coroutine.yield(...) in a task gives its values to nobody: in a generator use hawser.wrap, to pass values to "
                             "another task hawser.channel");
    } else if (status == 0) {
        t.results_ = count;
        return end(t, task::status::done);
    } else {
        lua_xmove(t.co_, L, 1);
    }
    // The error is on the stack of L; where it came from first, if that was another coroutine or a protected call.
    noted_error_.push(L);
    const bool noted = noted_error_ && lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    luaL_traceback(L, t.co_, nullptr, 0);
    const std::string_view own = text_at(L, -1);
    t.traceback_.assign(noted ? noted_traceback_ : std::string{});
    if (noted) t.traceback_ += '\n';
    t.traceback_ += own;
    lua_pop(L, 1);
    noted_error_.reset();
    t.error_ = take(L);
    current_ = &t;
    close_variables(t.co_);
    current_ = nullptr;
    const bool quiet = t.stop_requested() && t.base_->has_cut();
    const bool unattended = t.group_->unattended && !t.joined && !quiet;
    end(t, quiet ? task::status::cancelled : task::status::failed);
    if (unattended) report(L, t);
}

inline void machine::end(task& t, task::status how) noexcept {
    if (t.ended()) return;
    t.status_ = how;
    t.leave(*t.base_);
    t.base_->clear_limit();
    if (!t.waits_) t.hold(nullptr);
    t.stop_while_parked_.unlink();
    t.unlink();
    --size_;
    const ref<group> was_in = std::move(t.group_);  // which may keep the task, for its error
    was_in->ended(t);
    t.at_end_.set();
    t.drop_ref();
}

inline void machine::note_traceback(state* L) {
    noted_error_.push(L);
    const bool known = noted_error_ && lua_rawequal(L, -1, -3);
    lua_pop(L, 1);
    if (known) noted_traceback_ += '\n';
    else noted_traceback_.clear();
    noted_traceback_ += text_at(L, -1);
    lua_pop(L, 1);
    if (known) return;
    lua_pushvalue(L, -1);
    noted_error_ = take(L);
}

/// Tells of an error for which nobody waits.
inline void machine::report(state* L, task& t) {
    if (on_error_) {
        on_error_.push(L);
        t.error_.push(L);
        push(L, t.traceback_);
        lua_call(L, 2, 0);
        return;
    }
    t.error_.push(L);
    const char* text = lua_tostring(L, -1);
    std::fprintf(stderr, "hawser: a task failed: %s\n%s\n", text ? text : "(an error that is no string)", t.traceback_.c_str());
    lua_pop(L, 1);
}

}  // namespace hawser::lua::detail
