// Certificates renewed without a restart; connections in flight keep the old ones. (Here: when the files have changed.)
#include <hawser/hawser.hpp>
#include <filesystem>
#include <iostream>
namespace hw = hawser;
using namespace std::chrono_literals;

hw::task<> echo(hw::tls::stream& line) {
    while (auto chunk = co_await line.read()) co_await line.write(*chunk);
}
hw::task<> renew(hw::tls::listener& door) {
    auto used = std::filesystem::last_write_time("cert.pem");
    for (;;) {
        co_await hw::sleep_for(20ms);
        auto now = std::filesystem::last_write_time("cert.pem");
        if (now == used) continue;
        used = now;
        door.reload(hw::tls::server_config::from_files("cert.pem", "key.pem"));
        std::cout << "reloaded" << std::endl;
    }
}
hw::task<> serve() {
    hw::tls::listener door{hw::tls::server_config::from_files("cert.pem", "key.pem"), hw::endpoint::loopback(0)};
    std::cout << door.local_endpoint().port() << std::endl;
    co_await hw::when_all(door.serve(echo), renew(door));
}
int main() { return hw::run_main(serve()); }
