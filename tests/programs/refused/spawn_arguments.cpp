// because: spawn(f, args...): f cannot be called with these arguments
#include <string>
#include <hawser/coro/with_scope.hpp>

hawser::task<> child(std::string, int) { co_return; }

hawser::task<> body() {
    co_await hawser::with_scope([](hawser::scope& s) {
#if defined(ALLOWED)
        s.spawn(child, "text", 1);
#else
        s.spawn(child, 1, "text");
#endif
    });
}
