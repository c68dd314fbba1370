// A TLS echo server on several threads, stopped cleanly by SIGINT/SIGTERM. A broken client ends its own connection, never
// the server. (Port and threads may be given.)
#include <hawser/hawser.hpp>
#include <thread>
namespace hw = hawser;

std::uint16_t port = 8443;

hw::task<> echo(hw::tls::stream& line) {
    while (auto chunk = co_await line.read()) co_await line.write(*chunk);
}
hw::task<> serve() {
    auto certificates = hw::tls::server_config::from_files("cert.pem", "key.pem");
    hw::tls::listener door{certificates, hw::endpoint::any(port)};
    co_await door.serve(echo);
}
int main(int argc, char** argv) {
    if (argc > 1) port = static_cast<std::uint16_t>(std::stoi(argv[1]));
    const unsigned threads = argc > 2 ? static_cast<unsigned>(std::stoi(argv[2])) : std::thread::hardware_concurrency();
    return hw::run_main_on_threads(threads, serve);
}
