// refused by: g++ 12
// because: g++ before 13 destroys this closure twice
#include <hawser/tls/listener.hpp>

hawser::task<> body(hawser::tls::listener& door, std::string name) {
    auto handler = [name](hawser::tls::stream& line) -> hawser::task<> { co_await line.write(name); };
#if defined(ALLOWED)
    co_await door.serve(handler);
#else
    co_await door.serve([name](hawser::tls::stream& line) -> hawser::task<> { co_await line.write(name); });
#endif
}
