#pragma once
// What a task may ask about itself.

#include <hawser/coro/operation.hpp>

namespace hawser {

namespace detail {

class stop_token_operation {
public:
    using value_type = stop_token;
    bool start(const environment& env, waiter&) noexcept {
        token_ = env.stop;
        return false;
    }
    result<stop_token> take() const noexcept { return token_; }

private:
    stop_token token_;
};

}  // namespace detail

/// `co_await get_stop_token()` gives the stop token of this task, for long computations that look at it between
/// waits. Never suspends and never throws, also when the task was stopped.
[[nodiscard]] inline auto get_stop_token() noexcept { return detail::stop_token_operation{}; }

}  // namespace hawser
