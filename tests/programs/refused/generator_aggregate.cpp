// refused by: g++ 12
// because: g++ before 13 destroys a temporary of this aggregate twice in a co_yield expression: give it a constructor
#include <string>
#include <hawser/coro/generator.hpp>

struct order {
    std::string what;
};

hawser::generator<order> body() {
#if defined(ALLOWED)
    order some{"tea"};
    co_yield some;
#else
    co_yield order{"tea"};
#endif
}
