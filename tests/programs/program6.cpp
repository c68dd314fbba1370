// TLS over anything that is a stream: TLS inside TLS, through a proxy.
#include <hawser/hawser.hpp>
#include <iostream>
namespace hw = hawser;

hw::task<> fetch(std::string proxy_host, std::string proxy_port, std::string origin_host, std::string origin_port) {
    hw::tls::config config;
    std::string target = origin_host + ":" + origin_port;
    auto proxy = co_await hw::tls::connect(proxy_host, proxy_port);
    co_await proxy.write("CONNECT ", target, " HTTP/1.1\r\nHost: ", target, "\r\n\r\n");
    hw::buffered in{proxy};
    co_await in.read_until("\r\n\r\n");
    auto origin = co_await hw::tls::handshake(std::move(in), origin_host, config);   // bytes already buffered go to the engine

    co_await origin.write("through the tunnel");
    co_await origin.shutdown_send();
    std::cout << co_await hw::read_all(origin) << ' ' << origin.peer().subject << ' ' << origin.session().version << '\n';
}

int main(int, char** argv) { return hw::run_main(fetch(argv[1], argv[2], argv[3], argv[4])); }
