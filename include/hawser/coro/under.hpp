#pragma once
// An operation under a stop source that somebody else holds, instead of its task's.

#include <hawser/coro/operation.hpp>

namespace hawser::detail {

template <class Op> class under {
public:
    using value_type = typename Op::value_type;

    under(stop_source& source, Op&& op) : source_{&source}, op_{std::move(op)} {}
    bool start(const environment& env, waiter& w) { return op_.start({env.loop, source_->get_token()}, w); }
    outcome<value_type> collect() { return detail::collect(op_); }
    void inspect(inspector& to) const { to.show(op_); }

private:
    stop_source* source_;
    Op op_;
};

}  // namespace hawser::detail
