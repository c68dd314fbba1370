// because: this is not an awaitable of hawser
#include <hawser/coro/task.hpp>
#include <hawser/reactor/sleep.hpp>

hawser::task<> body() {
#if defined(ALLOWED)
    co_await hawser::yield();
#else
    co_await std::suspend_always{};
#endif
}
