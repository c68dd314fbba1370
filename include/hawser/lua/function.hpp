#pragma once
// C++ functions that Lua calls: plain ones, and coroutines for which the Lua task waits.

#include <tuple>

#include <hawser/lua/convert.hpp>

namespace hawser::lua {

namespace detail {

template <class F> struct signature : signature<decltype(&F::operator())> {};
template <class R, class... Args> struct signature<R (*)(Args...)> {
    using result = R;
    using arguments = std::tuple<std::decay_t<Args>...>;
    static constexpr int count = sizeof...(Args);
};
template <class R, class... Args> struct signature<R (*)(Args...) noexcept> : signature<R (*)(Args...)> {};
template <class C, class R, class... Args> struct signature<R (C::*)(Args...)> : signature<R (*)(Args...)> {};
template <class C, class R, class... Args> struct signature<R (C::*)(Args...) const> : signature<R (*)(Args...)> {};
template <class C, class R, class... Args> struct signature<R (C::*)(Args...) noexcept> : signature<R (*)(Args...)> {};
template <class C, class R, class... Args> struct signature<R (C::*)(Args...) const noexcept> : signature<R (*)(Args...)> {};

/// A plain function's value as an operation that has ended.
template <class R> struct ended {
    using value_type = R;
    result<R> value;
    bool start(const hawser::detail::environment&, hawser::detail::waiter&) noexcept { return false; }
    result<R> take() { return std::move(value); }
};

struct give_value {
    int operator()(state* L) const { return lua_pushboolean(L, 1), 1; }
    template <class T> int operator()(state* L, T& value) const { return give(L, value); }
    template <class T> static int give(state* L, T& value) { return convert<T>::push(L, std::move(value)), 1; }
    template <class... Ts> static int give(state* L, std::tuple<Ts...>& values) {
        std::apply([L](Ts&... v) { (convert<Ts>::push(L, std::move(v)), ...); }, values);
        return static_cast<int>(sizeof...(Ts));
    }
};

/// A callable in a userdata, called with the arguments on the stack.
template <class F> class bound_function {
    using how = signature<F>;
    using arguments = typename how::arguments;
    using returned = typename how::result;
    using indices = std::make_index_sequence<static_cast<std::size_t>(how::count)>;

public:
    static int call(state* L) {
        machine& m = machine::of(L);
        check(L, indices{});
        if constexpr (awaitable<returned>) {
            task& t = m.waiting_task(L, "this function");
            pending* p = begin(L, indices{});
            return m.await(L, t, p);
        } else {
            if (!m.loop()) return luaL_error(L, "%s", m.message().c_str());
            pending* p = begin(L, indices{});
            return m.finish(L, p);
        }
    }
    static int collect(state* L) {
        static_cast<F*>(lua_touserdata(L, 1))->~F();
        return 0;
    }

private:
    template <std::size_t... I> static void check([[maybe_unused]] state* L, std::index_sequence<I...>) { (check_one<std::tuple_element_t<I, arguments>>(L, static_cast<int>(I) + 1), ...); }
    template <class T> static void check_one(state* L, int i) {
        if (!convert<T>::is(L, i)) luaL_argerror(L, i, convert<T>::name);
    }
    /// Everything that has a destructor is made and gone in here.
    template <std::size_t... I> static pending* begin([[maybe_unused]] state* L, std::index_sequence<I...>) noexcept {
        F& f = *static_cast<F*>(lua_touserdata(L, lua_upvalueindex(2)));
        try {
            if constexpr (awaitable<returned>) {
                return make_pending(f(convert<std::tuple_element_t<I, arguments>>::get(L, static_cast<int>(I) + 1)...), give_value{});
            } else if constexpr (std::is_void_v<returned>) {
                f(convert<std::tuple_element_t<I, arguments>>::get(L, static_cast<int>(I) + 1)...);
                return make_pending(ended<void>{{}}, give_value{});
            } else {
                return make_pending(ended<returned>{f(convert<std::tuple_element_t<I, arguments>>::get(L, static_cast<int>(I) + 1)...)}, give_value{});
            }
        } catch (const error& e) {
            return make_pending(ended<void>{e.info()}, give_value{});
        } catch (const cancelled&) {
            return make_pending(ended<void>{errc::cancelled}, give_value{});
        } catch (const std::exception& e) {
            return make_pending(ended<void>{error_info{std::error_code{EIO, std::system_category()}, phase::none, {}, e.what()}}, give_value{});
        } catch (...) {
            return make_pending(ended<void>{error_info::from_errno(EIO, phase::none, {}, "an exception that is no std::exception")}, give_value{});
        }
    }
};

}  // namespace detail

/// A C++ function as a value of Lua: `f` is copied and lives as long as Lua refers to it. Its parameters and its result are
/// what get() knows; a std::tuple gives several results. If it returns a task or another awaitable, the Lua task that calls
/// it waits for its end, and a stop of that task stops it. Arguments of other types raise an error in Lua; what it throws
/// comes as nil, message, number.
template <class F> reference make_function(state* L, F f) {
    reference made;
    std::string why;
    auto work = [&](state* inner) {
        detail::machine& m = detail::machine::make(inner);
        lua_pushlightuserdata(inner, &m);
        void* memory = lua_newuserdata(inner, sizeof(F));
        lua_createtable(inner, 0, 1);
        lua_pushcfunction(inner, &detail::bound_function<F>::collect);
        lua_setfield(inner, -2, "__gc");
        ::new (memory) F(std::move(f));
        lua_setmetatable(inner, -2);
        lua_pushcclosure(inner, &detail::bound_function<F>::call, 2);
        made = m.take(inner);
    };
    if (!detail::guarded(L, why, work)) throw script_error{why, {}};
    return made;
}

/// The same as a global variable.
template <class F> void set_function(state* L, const char* name, F f) {
    const reference made = make_function(L, std::move(f));
    std::string why;
    auto work = [&](state* inner) {
        made.push(inner);
        lua_setglobal(inner, name);
    };
    if (!detail::guarded(L, why, work)) throw script_error{why, {}};
}

}  // namespace hawser::lua
