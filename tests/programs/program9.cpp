// A server by hand.
#include <hawser/hawser.hpp>
#include <iostream>
namespace hw = hawser;
using namespace std::chrono_literals;

hw::task<> greet(hw::tls::pending caller) {
    auto line = co_await hw::with_timeout(5s, caller.handshake());
    co_await line.write("hello\n");
    co_await line.close();
}
hw::task<> by_hand(hw::tls::listener& door) {
    co_await hw::with_scope([&](hw::scope& clients) -> hw::task<> {
        for (;;) clients.spawn(greet, co_await door.accept());       // accept() gives a tls::pending: no byte exchanged yet
    });
}
hw::task<> serve() {
    auto certificates = hw::tls::server_config::from_files("cert.pem", "key.pem");
    hw::tls::listener door{certificates, hw::endpoint::loopback(0)};
    std::cout << door.local_endpoint().port() << std::endl;
    co_await by_hand(door);
}
int main() { return hw::run_main(serve()); }
