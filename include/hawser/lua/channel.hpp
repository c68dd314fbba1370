#pragma once
// lua::channel: values between tasks of C++ and tasks of Lua.

#include <hawser/coro/mapped.hpp>
#include <hawser/lua/convert.hpp>

namespace hawser::lua {

/// A hawser.channel of Lua that C++ uses too. Copies are handles to the same one. It belongs to the thread of its Lua state,
/// and the state must outlive it.
class channel {
public:
    /// With room for `capacity` values; 0: a send waits until somebody receives.
    channel(state* L, std::size_t capacity) : main_{L}, shared_{new detail::value_channel{capacity}} {}

    /// Waits until the value is taken. As hawser::channel::send; the channel must outlive the await.
    template <class T> [[nodiscard]] auto send(T&& value) { return shared_->values.send(make_reference(main_, std::forward<T>(value))); }
    /// Waits for a value, which must be a T (see get()). Empty when the channel is closed. As hawser::channel::receive.
    template <class T = reference> [[nodiscard]] auto receive() { return hawser::detail::mapped{shared_->values.receive(), as<T>{}}; }
    void close() noexcept { shared_->values.close(); }

    /// For Lua: pass the channel to call(), or return it from a function.
    const detail::ref<detail::value_channel>& shared() const noexcept { return shared_; }
    channel(state* L, detail::ref<detail::value_channel> shared) noexcept : main_{L}, shared_{std::move(shared)} {}

private:
    template <class T> struct as {
        std::optional<T> operator()(std::optional<reference> value) const {
            if (!value) return std::nullopt;
            if constexpr (std::is_same_v<T, reference>) return value;
            else return get<T>(*value);
        }
    };
    state* main_;
    detail::ref<detail::value_channel> shared_;
};

namespace detail {

template <> struct convert<channel> {
    static constexpr const char* name = "a hawser.channel";
    static bool is(state* L, int i) { return test<ref<value_channel>>(L, i) != nullptr; }
    static channel get(state* L, int i) { return {machine::find(L)->alive()->main, *test<ref<value_channel>>(L, i)}; }
    static void push(state* L, const channel& value) { push_new<ref<value_channel>>(L) = value.shared(); }
};

}  // namespace detail
}  // namespace hawser::lua
