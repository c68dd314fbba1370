// because: run_main takes a task<> or a task<int>
#include <string>
#include <hawser/reactor/run_main.hpp>

hawser::task<int> status() { co_return 3; }
hawser::task<std::string> text() { co_return "3"; }

int body() {
#if defined(ALLOWED)
    return hawser::run_main(status());
#else
    return hawser::run_main(text());
#endif
}
