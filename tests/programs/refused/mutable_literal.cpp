// because: mutable_buffer
#include <hawser/net/any_stream.hpp>

hawser::task<> body(hawser::any_stream& line) {
#if defined(ALLOWED)
    char into[10];
    co_await line.read_some(into);
#else
    co_await line.read_some("read-only");
#endif
}
