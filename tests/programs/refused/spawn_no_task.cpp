// because: spawn(f, args...): f must return a hawser::task
#include <hawser/coro/with_scope.hpp>

hawser::task<> task_child(int) { co_return; }
int plain_function(int i) { return i; }

hawser::task<> body() {
    co_await hawser::with_scope([](hawser::scope& s) {
#if defined(ALLOWED)
        s.spawn(task_child, 1);
#else
        s.spawn(plain_function, 1);
#endif
    });
}
