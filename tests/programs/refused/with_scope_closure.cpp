// refused by: g++ 12
// because: g++ before 13 destroys this closure twice
#include <string>
#include <hawser/coro/with_scope.hpp>

hawser::task<> body() {
#if defined(ALLOWED)
    auto children = [s = std::string{}](hawser::scope&) {};
    co_await hawser::with_scope(children);
#else
    co_await hawser::with_scope([s = std::string{}](hawser::scope&) {});
#endif
}
