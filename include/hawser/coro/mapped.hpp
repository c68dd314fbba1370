#pragma once
// An operation whose value is made from another's.

#include <hawser/coro/operation.hpp>

namespace hawser::detail {

template <class Op, class F> class mapped {
public:
    using value_type = std::invoke_result_t<F&, typename Op::value_type>;
    mapped(Op op, F f) : op_{std::move(op)}, f_{std::move(f)} {}
    bool start(const environment& env, waiter& w) { return op_.start(env, w); }
    outcome<value_type> collect() {
        try {
            auto got = detail::collect(op_).take();
            if (!got) return result<value_type>{got.error()};
            return result<value_type>{f_(*std::move(got))};
        } catch (...) {
            return std::current_exception();
        }
    }
    result<value_type> take() { return collect().take(); }
    void inspect(inspector& to) const { to.show(op_); }

private:
    Op op_;
    F f_;
};

}  // namespace hawser::detail
