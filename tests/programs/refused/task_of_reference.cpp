// because: a task returns a value; return a pointer or std::reference_wrapper instead
#include <hawser/coro/task.hpp>

int number = 0;
#if defined(ALLOWED)
hawser::task<int*> body() { co_return &number; }
#else
hawser::task<int&> body() { co_return number; }
#endif
