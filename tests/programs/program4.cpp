// Deadlines and first-of, against an echo server. Nothing is lost.
#include <hawser/hawser.hpp>
#include <iostream>
namespace hw = hawser;
using namespace std::chrono_literals;

hw::task<std::string> ask(hw::tls::stream& line) {
    char buffer[100];
    std::size_t n = co_await line.read_some(buffer);
    co_return std::string(buffer, n);
}

hw::task<> deadlines(std::string host, std::string service) {
    auto line = co_await hw::tls::connect(host, service);
    char buffer[100];
    try {
        auto n = co_await hw::with_timeout(50ms, line.read_some(buffer));
        std::cout << "read " << n << '\n';
    } catch (const hw::error& e) {
        std::cout << "thrown: " << e.code().message() << ' ' << (e.code() == hw::errc::timed_out) << '\n';
    }
    auto maybe = co_await hw::as_result(hw::with_timeout(50ms, line.read_some(buffer)));
    std::cout << "result: " << (maybe ? "data" : maybe.error().code().message()) << '\n';

    co_await line.write("late");
    auto n = co_await hw::with_timeout(5s, line.read_some(buffer));
    std::cout << "in time: " << std::string_view(buffer, n) << '\n';

    auto first = co_await hw::tls::connect(host, service);
    auto second = co_await hw::tls::connect(host, service);
    co_await first.write("one");
    co_await second.write("two");
    auto both = co_await hw::when_all(ask(first), ask(second));
    auto& [a, b] = both;
    std::cout << "both: " << a << ' ' << b << '\n';

    co_await second.write("winner");
    auto race = co_await hw::when_any(ask(first), ask(second));
    std::cout << "race: " << race.index << ' ' << std::get<1>(race.results)->value() << ' ' << std::get<0>(race.results).has_value() << '\n';
    co_await first.write("loser, asked again");
    std::cout << "later: " << co_await ask(first) << '\n';
}

int main(int, char** argv) { return hw::run_main(deadlines(argv[1], argv[2])); }
