// because: write takes its pieces one by one
#include <string>
#include <hawser/net/any_stream.hpp>

hawser::task<> body(hawser::any_stream& line, std::string host) {
#if defined(ALLOWED)
    co_await line.write("Host: ", host);
#else
    co_await line.write({"Host: ", host});
#endif
}
