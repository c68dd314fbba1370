#pragma once
// A check of spawn(f, args...): a parameter by reference must refer to a stored argument, not to a temporary made of it.

#include <tuple>
#include <type_traits>

namespace hawser::detail {

/// An argument A is converted for a parameter P: a reference then outlives what it refers to, for the coroutine runs on
/// when the call has returned.
template <class P, class A> inline constexpr bool refers_to_temporary =
    std::is_reference_v<P> &&
    std::is_same_v<std::unwrap_reference_t<std::remove_cvref_t<A>>, std::remove_cvref_t<A>> &&          // no std::ref
    !std::is_convertible_v<std::remove_cvref_t<A>*, const volatile std::remove_cvref_t<P>*> &&          // nor same or derived
    !std::is_convertible_v<std::remove_cvref_t<A>&, std::remove_cvref_t<P>&>;                           // nor operator P&()

template <class... Ps> struct parameter_list {};
template <class R, class... Ps> parameter_list<Ps...> parameters_of(R (*)(Ps...));
template <class R, class C, class... Ps> parameter_list<C&, Ps...> parameters_of(R (C::*)(Ps...));
template <class R, class C, class... Ps> parameter_list<C&, Ps...> parameters_of(R (C::*)(Ps...) const);
template <class R, class C, class... Ps> parameter_list<C&, Ps...> parameters_of(R (C::*)(Ps...) &);
template <class R, class C, class... Ps> parameter_list<C&, Ps...> parameters_of(R (C::*)(Ps...) const&);

/// True if one of f's parameters would refer to a temporary. `Skip`: parameters and arguments that stand for the object.
template <std::size_t SkipP, std::size_t SkipA, class... Args, class... Ps>
consteval bool any_refers_to_temporary(parameter_list<Ps...>) {
    if constexpr (sizeof...(Ps) - SkipP < sizeof...(Args) - SkipA) {
        return false;  // not a plain call
    } else {
        return []<std::size_t... I>(std::index_sequence<I...>) {
            return (refers_to_temporary<std::tuple_element_t<I + SkipP, std::tuple<Ps...>>,
                                        std::tuple_element_t<I + SkipA, std::tuple<Args...>>> || ...);
        }(std::make_index_sequence<sizeof...(Args) - SkipA>{});
    }
}

/// False if it can be seen that f(args...) would keep a reference to a temporary. Overloaded and generic callables show
/// nothing, and pass.
template <class F, class... Args> consteval bool arguments_are_kept() {
    if constexpr (std::is_member_function_pointer_v<F> && sizeof...(Args) > 0) {
        if constexpr (requires(F f) { detail::parameters_of(f); })
            return !any_refers_to_temporary<1, 1, Args...>(decltype(detail::parameters_of(std::declval<F>())){});
    } else if constexpr (requires(F f) { detail::parameters_of(f); }) {
        return !any_refers_to_temporary<0, 0, Args...>(decltype(detail::parameters_of(std::declval<F>())){});
    } else if constexpr (requires { detail::parameters_of(&F::operator()); }) {
        return !any_refers_to_temporary<1, 0, Args...>(decltype(detail::parameters_of(&F::operator())){});
    }
    return true;
}

}  // namespace hawser::detail
