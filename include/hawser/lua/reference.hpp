#pragma once
// reference: a Lua value that C++ holds.

#include <utility>

#include <hawser/base/intrusive.hpp>
#include <hawser/lua/api.hpp>

namespace hawser::lua {

namespace detail {

/// Whether a Lua state is still open, for what may outlive it.
struct life : hawser::detail::ref_counted {
    explicit life(state* L) noexcept : main{L} {}
    state* main;  // a thread that lives as long as the state; nullptr when that is closed
};

}  // namespace detail

/// A Lua value that the garbage collector leaves alone as long as this exists. Move-only, cheap; belongs to the thread of
/// its Lua state. When the state is closed it becomes nil.
class reference {
public:
    reference() noexcept = default;
    /// Takes the value on top of `L`'s stack off it. May raise a Lua error for want of memory: call it under lua_pcall
    /// where there is an allocator that refuses.
    reference(hawser::detail::ref<detail::life> of, state* L) : life_{std::move(of)}, key_{luaL_ref(L, LUA_REGISTRYINDEX)} {}
    reference(reference&& other) noexcept : life_{std::move(other.life_)}, key_{std::exchange(other.key_, LUA_NOREF)} {}
    reference& operator=(reference&& other) noexcept {
        std::swap(life_, other.life_);
        std::swap(key_, other.key_);
        return *this;
    }
    ~reference() { reset(); }

    void reset() noexcept {
        if (life_ && life_->main && key_ >= 0) luaL_unref(life_->main, LUA_REGISTRYINDEX, key_);
        life_ = {};
        key_ = LUA_NOREF;
    }
    /// Pushes the value on the stack of `L`, a coroutine of the same Lua state.
    void push(state* L) const {
        if (life_ && life_->main && key_ >= 0) lua_rawgeti(L, LUA_REGISTRYINDEX, key_);
        else lua_pushnil(L);
    }
    /// False for nil and for an empty reference.
    explicit operator bool() const noexcept { return life_ && life_->main && key_ >= 0; }
    /// The main thread of its Lua state, or nullptr.
    state* main() const noexcept { return life_ ? life_->main : nullptr; }

private:
    hawser::detail::ref<detail::life> life_;
    int key_ = LUA_NOREF;
};

}  // namespace hawser::lua
