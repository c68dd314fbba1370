#pragma once
// when_any: several operations at once, until the first has ended.

#include <hawser/coro/group.hpp>

namespace hawser {

/// What when_any gives: the index of the operation that ended first, and every result that arrived. A loser that was
/// stopped before it had done anything has none.
template <class... Ts> class any_result {
public:
    std::size_t index = 0;
    std::tuple<std::optional<result<Ts>>...> results;
};

namespace detail {

template <class... Ops> class any_of : public group {
public:
    using value_type = any_result<typename Ops::value_type...>;

    explicit any_of(Ops&&... ops) : members_{member<Ops>{std::move(ops)}...} {}

    bool start(const environment& env, waiter& parent) {
        any_ = true;
        parent_stop_ = env.stop;
        open(env, parent, sizeof...(Ops));
        std::size_t index = 0;
        std::apply([&](auto&... m) { (m.begin(*this, environment_, index++), ...); }, members_);
        return opened();
    }
    outcome<value_type> collect() {
        try {
            value_type value;
            value.index = first_;
            gather(value, std::index_sequence_for<Ops...>{});
            // A stop of the task that ended everything with nothing to show must not look like a result to a loop.
            if (!has_news_ && parent_stop_.stop_requested()) return {result<value_type>{errc::cancelled}};
            return {result<value_type>{std::move(value)}};
        } catch (...) {
            return {std::current_exception()};
        }
    }

    void inspect(inspector& to) const {
        say_running(to, "when_any");
        std::apply([&](const auto&... m) { (m.inspect(to), ...); }, members_);
    }

private:
    template <std::size_t... I> void gather(value_type& value, std::index_sequence<I...>) {
        (gather_one<I>(std::get<I>(value.results)), ...);
    }
    template <std::size_t I, class T> void gather_one(std::optional<result<T>>& into) {
        result<T> ended = std::move(std::get<I>(members_).ending()).take();
        const bool empty = !ended && ended.error() == errc::cancelled && ended.error().transferred() == 0;
        if (!empty) has_news_ = true;
        if (!empty || I == first_) into.emplace(std::move(ended));
    }

    stop_token parent_stop_;
    bool has_news_ = false;
    std::tuple<member<Ops>...> members_;
};

}  // namespace detail

/// Runs all operations at once until the first has ended, well or badly; stops and joins the others. Every result
/// that arrived before its stop took effect is handed over, so no data is lost. An exception that is not hawser's
/// is rethrown. Throws `cancelled` when the task was stopped and there is nothing to hand over. Takes ownership of the
/// operations; allocates nothing itself.
template <awaitable... Ops>
    requires(sizeof...(Ops) > 0 && (!std::is_lvalue_reference_v<Ops> && ...))
[[nodiscard]] auto when_any(Ops&&... ops) {
    return detail::any_of<Ops...>{std::move(ops)...};
}

}  // namespace hawser
