// Full duplex on one TLS stream, against an echo server: one task writes while the other reads.
#include <hawser/hawser.hpp>
#include <iostream>
namespace hw = hawser;

std::size_t received = 0;
bool same = true;

hw::task<> pump_in(hw::tls::stream& line) {
    while (auto chunk = co_await line.read()) {
        for (std::byte b : *chunk) same = same && static_cast<std::size_t>(b) == received++ % 251;
    }
}
hw::task<> pump_out(hw::tls::stream& line) {
    std::string text(16'000'000, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i % 251);
    co_await line.write(text);
    co_await line.shutdown_send();
}
hw::task<> chat(hw::tls::stream& line) { co_await hw::when_all(pump_in(line), pump_out(line)); }

hw::task<> connect_and_chat(std::string host, std::string service) {
    auto line = co_await hw::tls::connect(host, service);
    co_await chat(line);
    std::cout << received << (same ? " the same" : " not the same") << '\n';
}

int main(int, char** argv) { return hw::run_main(connect_and_chat(argv[1], argv[2])); }
