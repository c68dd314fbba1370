// because: it would refer to a temporary that is gone when the task runs
#include <string>
#include <hawser/coro/with_scope.hpp>

hawser::task<> child(const std::string&) { co_return; }

hawser::task<> body() {
    co_await hawser::with_scope([](hawser::scope& s) {
#if defined(ALLOWED)
        s.spawn(child, std::string{"text"});
#else
        s.spawn(child, "text");
#endif
    });
}
