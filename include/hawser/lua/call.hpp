#pragma once
// call: a C++ task awaits a Lua function.

#include <tuple>

#include <hawser/lua/convert.hpp>
#include <hawser/lua/tasks.hpp>

namespace hawser::lua {

namespace detail {

/// The results of a function that has ended, from the stack of its coroutine.
template <class R> struct results_as {
    static R get(state* L, int first, int) {
        check<R>(L, first);
        return convert<R>::get(L, first);
    }
    template <class T> static void check(state* L, int i) {
        if (!convert<T>::is(L, i)) luaL_error(L, "the function returned a value of type %s where C++ expects %s", luaL_typename(L, i), convert<T>::name);
    }
};
template <class... Rs> struct results_as<std::tuple<Rs...>> {
    static std::tuple<Rs...> get(state* L, int first, int) { return get(L, first, std::index_sequence_for<Rs...>{}); }
    template <std::size_t... I> static std::tuple<Rs...> get(state* L, int first, std::index_sequence<I...>) {
        (results_as<Rs>::template check<Rs>(L, first + static_cast<int>(I)), ...);
        return std::tuple<Rs...>{convert<Rs>::get(L, first + static_cast<int>(I))...};
    }
};
template <> struct results_as<std::vector<reference>> {
    static std::vector<reference> get(state* L, int first, int count) {
        std::vector<reference> all;
        all.reserve(static_cast<std::size_t>(count));
        for (int i = 0; i < count; ++i) all.push_back(convert<reference>::get(L, first + i));
        return all;
    }
};

template <class R, class... Args> class call_operation {
public:
    using value_type = R;

    call_operation(const reference& f, Args&&... arguments) : main_{f.main()}, arguments_{std::forward<Args>(arguments)...} {
        if (!main_) throw script_error{"a call of a function whose Lua state is closed", {}};
        f.push(main_);
        function_ = machine::find(main_)->take(main_);
    }

    bool start(const hawser::detail::environment& env, hawser::detail::waiter& w) {
        machine& m = *machine::find(main_);
        if (m.loop() != env.loop) throw script_error{"a call of Lua from a task of another reactor: " + m.message(), {}};
        scope_ = ref<cancel_scope>{new cancel_scope{env.stop}};
        group_ = ref<group>{new group{scope_}};
        std::string why;
        auto work = [&](state* L) {
            luaL_checkstack(L, static_cast<int>(sizeof...(Args)) + 4, "arguments");
            function_.push(L);
            std::apply([L](auto&... a) { (convert<std::decay_t<decltype(a)>>::push(L, std::move(a)), ...); }, arguments_);
            for (int i = -static_cast<int>(sizeof...(Args)); i < 0; ++i) {
                if (const ref<ios>* line = test<ref<ios>>(L, i)) given_.push_back(*line);
            }
            task_ = m.spawn(L, group_, static_cast<int>(sizeof...(Args)));
        };
        if (!guarded(main_, why, work)) throw script_error{why, {}};
        task_->joined = true;
        wait_.emplace(group_->when_empty().wait());
        // Not under env.stop: the scope passes that on to the Lua tasks, and they are waited for.
        return wait_->start({env.loop, {}}, w);
    }
    hawser::detail::outcome<R> collect() {
        try {
            scope_->unfollow();
            if (group_->failed() || task_->now() != task::status::done) {
                for (const ref<ios>& line : given_) line->drop();
            }
            if (const task* failed = group_->failed().get()) return std::make_exception_ptr(error_of(*failed));
            if (task_->now() != task::status::done) return result<R>{errc::cancelled};
            if constexpr (std::is_void_v<R>) {
                return result<void>{};
            } else {
                std::optional<R> got;
                std::string why;
                auto work = [&](state* L) {
                    const int pushed = push_task_results(L, *task_);
                    got.emplace(results_as<R>::get(L, lua_gettop(L) - pushed + 2, pushed - 1));
                };
                if (!guarded(main_, why, work)) throw script_error{why, {}};
                return result<R>{*std::move(got)};
            }
        } catch (...) {
            return std::current_exception();
        }
    }
    void inspect(hawser::detail::inspector& to) const {
        if (task_) task_->inspect(to);
        else to.say("a call of Lua");
    }

private:
    script_error error_of(const task& failed) const {
        std::string message = failed.ran_out_of_memory ? "not enough memory" : "nil";
        auto work = [&](state* L) {
            failed.error().push(L);
            const char* text = lua_tostring(L, -1);
            if (text) message = text;
            else if (!lua_isnil(L, -1)) message = "an error that is no string";
        };
        std::string why;
        guarded(main_, why, work);
        return script_error{message, failed.traceback()};
    }

    state* main_;
    std::tuple<std::decay_t<Args>...> arguments_;
    reference function_;
    ref<cancel_scope> scope_;
    ref<group> group_;
    ref<task> task_;
    std::vector<ref<ios>> given_;
    std::optional<decltype(std::declval<event&>().wait())> wait_;
};

}  // namespace detail

/// Runs the Lua function `f` with these arguments as a Lua task, and ends when it, and every task that it has spawned, has
/// ended. Arguments and results are what get() knows, streams by move; R: void, one such type, a std::tuple of them, or
/// std::vector<reference> for all results. A stream that was given to a function that fails is closed, without close_notify:
/// nobody would do so before the next garbage collection. Throws script_error, with the traceback, for an error in Lua or results of other
/// types. A stop of the awaiting task stops the Lua task, whose operations then return nil, "cancelled", ECANCELED; the
/// call waits for its end all the same. Use it on the reactor to which the Lua state belongs.
template <class R = void, class... Args> [[nodiscard]] auto call(const reference& f, Args&&... arguments) {
    return detail::call_operation<R, std::decay_t<Args>...>{f, std::decay_t<Args>(std::forward<Args>(arguments))...};
}

/// The function that a file of Lua is, not run yet. Throws script_error for one that cannot be read or compiled.
inline reference load_file(state* L, const std::string& path) {
    reference made;
    std::string why;
    auto work = [&](state* inner) {
        if (luaL_loadfile(inner, path.c_str()) != 0) lua_error(inner);
        made = detail::machine::make(inner).take(inner);
    };
    if (!detail::guarded(L, why, work)) throw script_error{why, {}};
    return made;
}

/// The same of text; `name` stands in messages.
inline reference load_text(state* L, std::string_view text, const std::string& name = "text") {
    reference made;
    std::string why;
    auto work = [&](state* inner) {
        if (luaL_loadbuffer(inner, text.data(), text.size(), ("=" + name).c_str()) != 0) lua_error(inner);
        made = detail::machine::make(inner).take(inner);
    };
    if (!detail::guarded(L, why, work)) throw script_error{why, {}};
    return made;
}

/// A global variable; an empty reference where it is nil.
inline reference global(state* L, const char* name) {
    reference made;
    std::string why;
    auto work = [&](state* inner) {
        lua_getglobal(inner, name);
        made = detail::machine::make(inner).take(inner);
    };
    if (!detail::guarded(L, why, work)) throw script_error{why, {}};
    return made;
}

}  // namespace hawser::lua
