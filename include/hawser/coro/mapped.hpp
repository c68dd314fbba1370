#pragma once
// An operation whose value is made from another's.

#include <hawser/coro/operation.hpp>

namespace hawser::detail {

/// An operation whose value is made from another's.
template <class Op, class F> class mapped {
public:
    using value_type = std::invoke_result_t<F&, typename Op::value_type>;
    mapped(Op op, F f) : op_{std::move(op)}, f_{std::move(f)} {}
    bool start(const environment& env, waiter& w) { return op_.start(env, w); }
    result<value_type> take() {
        auto got = op_.take();
        if (!got) return got.error();
        return f_(*std::move(got));
    }
    void inspect(inspector& to) const { to.show(op_); }

private:
    Op op_;
    F f_;
};

}  // namespace hawser::detail
