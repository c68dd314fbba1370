// because: the handler takes a tls::stream& and returns a task
#include <hawser/tls/listener.hpp>

hawser::task<> takes_it(hawser::tls::stream&) { co_return; }
hawser::task<> takes_a_number(int) { co_return; }

hawser::task<> body(hawser::tls::listener& door) {
#if defined(ALLOWED)
    co_await door.serve(takes_it);
#else
    co_await door.serve(takes_a_number);
#endif
}
