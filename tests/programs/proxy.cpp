// A CONNECT proxy behind TLS, for program 6.
#include <hawser/hawser.hpp>
#include <iostream>
namespace hw = hawser;

hw::task<> upstream(hw::buffered<hw::tls::stream&>& in, hw::tcp::stream& out) {
    co_await hw::copy(in, out);
    co_await out.shutdown_send();
}
hw::task<> downstream(hw::tcp::stream& in, hw::tls::stream& out) {
    co_await hw::copy(in, out);
    co_await out.shutdown_send();
}
hw::task<> relay(hw::tls::stream& client) {
    hw::buffered in{client};
    std::string head = co_await in.read_until("\r\n\r\n");
    // "CONNECT origin.example:443 HTTP/1.1": every origin is on this machine.
    std::string port = head.substr(head.find(':') + 1);
    port = port.substr(0, port.find(' '));
    auto origin = co_await hw::tcp::connect("127.0.0.1", port);
    co_await client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    co_await hw::when_all(upstream(in, origin), downstream(origin, client));
}
hw::task<> serve() {
    auto certificates = hw::tls::server_config::from_files("cert.pem", "key.pem");
    hw::tls::listener door{certificates, hw::endpoint::loopback(0)};
    std::cout << door.local_endpoint().port() << std::endl;
    co_await door.serve(relay);
}
int main() { return hw::run_main(serve()); }
