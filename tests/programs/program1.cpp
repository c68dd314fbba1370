// Downloads the first page of every host named on the command line, all at once.
#include <hawser/hawser.hpp>
#include <iostream>
namespace hw = hawser;

hw::task<> fetch(std::string host) {
    auto line = co_await hw::tls::connect(host, "https");
    co_await line.write("GET / HTTP/1.0\r\nHost: ", host, "\r\n\r\n");
    std::string page = co_await hw::read_all(line);
    std::cout << host << ' ' << page.size() << '\n';
}

hw::task<> everything(std::vector<std::string> hosts) {
    co_await hw::with_scope([&](hw::scope& all) {
        for (auto& host : hosts) all.spawn(fetch, host);
    });
}

int main(int argc, char** argv) { return hw::run_main(everything({argv + 1, argv + argc})); }
