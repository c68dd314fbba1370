// because: a task does nothing until it is awaited or spawned
#include <hawser/coro/task.hpp>

hawser::task<> child() { co_return; }

hawser::task<> body() {
#if defined(ALLOWED)
    co_await child();
#else
    child();
#endif
    co_return;
}
