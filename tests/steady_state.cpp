// What an echo over TLS costs once it runs: `steady_state MESSAGES` prints our allocations and the turns of the loop.
// Client and server share one reactor, so that every system call of both is seen by whoever counts them.

#include <hawser/hawser.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

extern "C" {
void* __libc_malloc(std::size_t);
extern char __executable_start, etext;
}

namespace {

bool counting = false;
unsigned long allocations = 0;

}  // namespace

// libtls and OpenSSL allocate for each record; what is called from this program, headers and all, is ours.
extern "C" void* malloc(std::size_t size) {
    const char* caller = static_cast<const char*>(__builtin_return_address(0));
    if (counting && caller >= &__executable_start && caller < &etext) ++allocations;
    return __libc_malloc(size);
}
void* operator new(std::size_t size) { return malloc(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace hw = hawser;

namespace {

hw::task<> echo(hw::tls::stream& line) {
    while (auto chunk = co_await line.read()) co_await line.write(*chunk);
}

hw::task<> client(std::string port, std::string ca, long messages) {
    const hw::tls::config trust{{.ca_file = ca}};
    auto line = co_await hw::tls::connect("localhost", port, trust);
    char into[64] = {};
    const std::string message(64, 'x');
    std::uint64_t turns = 0;
    for (long i = -1000; i < messages; ++i) {
        if (i == 0) {  // warm
            counting = true;
            turns = hw::reactor::current()->turns();
        }
        co_await line.write(message);
        co_await hw::read_exactly(line, into);
    }
    counting = false;
    std::printf("%ld messages, %lu allocations, %llu turns\n", messages, allocations,
                static_cast<unsigned long long>(hw::reactor::current()->turns() - turns));
    co_await line.close();
}

hw::task<> both(std::string certificates, long messages) {
    const auto identity = hw::tls::server_config::from_files(certificates + "/server.pem", certificates + "/server.key");
    hw::tls::listener door{identity, hw::endpoint::loopback(0)};
    auto children = [&](hw::scope& s) -> hw::task<> {
        s.spawn([&]() -> hw::task<> { co_await door.serve(echo); });
        co_await client(std::to_string(door.local_endpoint().port()), certificates + "/ca.pem", messages);
        s.request_stop();
    };
    co_await hw::with_scope(children);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return std::fputs("usage: steady_state CERTIFICATES MESSAGES\n", stderr), 2;
    return hw::run_main(both(argv[1], std::atol(argv[2])));
}
