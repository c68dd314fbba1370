// Holds many idle TLS connections to a server in another process: `idle_connections PORT CA COUNT [SILENT]`.
// Opens COUNT connections and echoes 64 bytes on each once; then SILENT more that connect and say nothing; then measures
// echoes on one of the first while all the others are idle. The server is `echo_server --tls`.

#include <hawser/hawser.hpp>

#include <cstdio>
#include <cstdlib>
#include <deque>

namespace hw = hawser;

namespace {

struct load {
    std::string port;
    hw::tls::config trust;
    std::deque<hw::tls::stream> open;
    std::deque<hw::tcp::stream> silent;
    std::size_t next = 0;
};

// One address of 127.0.0.0/8 has 28,000 ports towards a server; spreading keeps clear of that.
hw::connect_options from_address(std::size_t n) {
    hw::connect_options how;
    how.local_endpoint = hw::endpoint{hw::ip_address::v4(127, 0, 0, static_cast<std::uint8_t>(1 + n % 8)), 0};
    how.address = hw::endpoint::loopback(0);
    return how;
}

hw::task<> echo_once(hw::tls::stream& line) {
    char into[64] = {};
    const std::string message(sizeof into, 'x');
    co_await line.write(message);
    co_await hw::read_exactly(line, into);
}

hw::task<> open_some(load* all, std::size_t count) {
    while (all->next < count) {
        hw::tls::connect_options how;
        how.tcp = from_address(all->next++);
        how.tcp.address = how.tcp.address->with_port(static_cast<std::uint16_t>(std::stoul(all->port)));
        auto line = co_await hw::tls::connect("localhost", all->port, all->trust, how);
        co_await echo_once(line);
        all->open.push_back(std::move(line));
    }
}

hw::task<> run(std::string port, std::string ca, std::size_t count, std::size_t silent) {
    load all{std::move(port), hw::tls::config{{.ca_file = ca}}, {}, {}, 0};
    const auto begin = hw::clock::now();
    auto open = [&](hw::scope& s) {
        for (int i = 0; i < 64; ++i) s.spawn(open_some, &all, count);
    };
    co_await hw::with_scope(open);
    const std::chrono::duration<double> opened = hw::clock::now() - begin;
    std::printf("%zu connections open after %.1f s\n", all.open.size(), opened.count());
    for (std::size_t i = 0; i < silent; ++i) {
        auto how = from_address(i);
        const auto to = how.address->with_port(static_cast<std::uint16_t>(std::stoul(all.port)));
        all.silent.push_back(co_await hw::tcp::connect(to, how));
    }
    std::printf("%zu silent ones beside them\n", all.silent.size());
    const auto echo_begin = hw::clock::now();
    constexpr int echoes = 2000;
    for (int i = 0; i < echoes; ++i) co_await echo_once(all.open.front());
    const std::chrono::duration<double, std::micro> echoed = hw::clock::now() - echo_begin;
    std::printf("%.1f us per echo among them\n", echoed.count() / echoes);
    // Every one of them still answers.
    for (hw::tls::stream& line : all.open) co_await echo_once(line);
    std::printf("all %zu answered again\n", all.open.size());
    std::fflush(stdout);
    for (hw::tls::stream& line : all.open) co_await line.close();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) return std::fputs("usage: idle_connections PORT CA COUNT [SILENT]\n", stderr), 2;
    const std::size_t silent = argc > 4 ? std::strtoul(argv[4], nullptr, 10) : 0;
    return hw::run_main(run(argv[1], argv[2], std::strtoul(argv[3], nullptr, 10), silent));
}
