#pragma once
// when_all: several operations at once, all of their values.

#include <vector>

#include <hawser/coro/group.hpp>

namespace hawser {

/// Stands for the value of a task<void> among others.
struct nothing {
    friend bool operator==(nothing, nothing) = default;
};

namespace detail {

template <class T> using value_or_nothing = std::conditional_t<std::is_void_v<T>, nothing, T>;

template <class T> value_or_nothing<T> unwrap(outcome<T>& ended) {
    if constexpr (std::is_void_v<T>) return std::move(ended).get(), nothing{};
    else return std::move(ended).get();
}

template <class... Ops> class all_of : public group {
    static constexpr bool all_void = (std::is_void_v<typename Ops::value_type> && ...);

public:
    using value_type = std::conditional_t<all_void, void, std::tuple<value_or_nothing<typename Ops::value_type>...>>;

    explicit all_of(Ops&&... ops) : members_{member<Ops>{std::move(ops)}...} {}

    bool start(const environment& env, waiter& parent) {
        open(env, parent, sizeof...(Ops));
        std::size_t index = 0;
        std::apply([&](auto&... m) { (m.begin(*this, environment_, index++), ...); }, members_);
        return opened();
    }
    outcome<value_type> collect() {
        try {
            rethrow_first();
            if constexpr (all_void) return {result<void>{}};
            else return {result<value_type>{std::apply([](auto&... m) { return value_type{unwrap(m.ending())...}; }, members_)}};
        } catch (...) {
            return {std::current_exception()};
        }
    }

    void inspect(inspector& to) const {
        say_running(to, "when_all");
        std::apply([&](const auto&... m) { (m.inspect(to), ...); }, members_);
    }

private:
    void rethrow_first() {
        std::size_t index = 0;
        std::apply([&](auto&... m) { ((index++ == first_ ? static_cast<void>(unwrap(m.ending())) : void()), ...); }, members_);
    }
    std::tuple<member<Ops>...> members_;
};

template <class Op> class all_of_range : public group {
    using item = typename Op::value_type;

public:
    using value_type = std::conditional_t<std::is_void_v<item>, void, std::vector<value_or_nothing<item>>>;

    explicit all_of_range(std::vector<Op>&& ops) {
        members_.reserve(ops.size());
        for (Op& op : ops) members_.emplace_back(std::move(op));
    }
    bool start(const environment& env, waiter& parent) {
        open(env, parent, members_.size());
        for (std::size_t i = 0; i < members_.size(); ++i) members_[i].begin(*this, environment_, i);
        return opened();
    }
    outcome<value_type> collect() {
        try {
            if (first_ != none) unwrap(members_[first_].ending());
            if constexpr (std::is_void_v<item>) {
                return {result<void>{}};
            } else {
                value_type values;
                values.reserve(members_.size());
                for (auto& m : members_) values.push_back(unwrap(m.ending()));
                return {result<value_type>{std::move(values)}};
            }
        } catch (...) {
            return {std::current_exception()};
        }
    }

    void inspect(inspector& to) const {
        say_running(to, "when_all");
        for (const auto& m : members_) m.inspect(to);
    }

private:
    std::vector<member<Op>> members_;
};

}  // namespace detail

/// Runs all operations at once and gives their values as a std::tuple (void becomes `nothing`; all void gives void).
/// On the first failure the others are stopped; all are joined, then the first failure is rethrown. Takes ownership
/// of the operations; allocates nothing itself.
template <awaitable... Ops>
    requires(sizeof...(Ops) > 0 && (!std::is_lvalue_reference_v<Ops> && ...))
[[nodiscard]] auto when_all(Ops&&... ops) {
    return detail::all_of<Ops...>{std::move(ops)...};
}

/// The same for any number of operations of one type: gives a std::vector of their values, in order.
template <awaitable Op> [[nodiscard]] auto when_all(std::vector<Op> ops) { return detail::all_of_range<Op>{std::move(ops)}; }

}  // namespace hawser
