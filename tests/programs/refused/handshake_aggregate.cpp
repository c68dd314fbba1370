// refused by: g++ 12
// because: g++ before 13 destroys a temporary of this stream class twice: give it a constructor
#include <memory>
#include <hawser/tls/stream.hpp>

struct my_stream {
#if defined(ALLOWED)
    explicit my_stream(std::unique_ptr<int> it) : device{std::move(it)} {}
#endif
    std::unique_ptr<int> device;
    hawser::task<std::size_t> read_some(hawser::mutable_buffer) { co_return 0; }
    hawser::task<std::size_t> write(hawser::const_buffer from) { co_return from.size(); }
};

hawser::task<> body() { co_await hawser::tls::handshake(my_stream{std::make_unique<int>(1)}, "localhost"); }
