// Tests of one's own protocol code, without sockets and without sleeping.
#include <hawser/hawser.hpp>
#include <hawser/test/stream.hpp>
#include <iostream>
namespace hw = hawser;
using namespace std::chrono_literals;

hw::task<std::string> my_client(hw::any_stream& line) {
    hw::buffered in{line};
    try {
        co_await line.write("what is the answer?\n");
        auto answer = co_await hw::with_timeout(60s, in.read_line());
        co_return answer ? *answer : "no answer";
    } catch (const hw::error& e) {
        co_return e.what();
    }
}
template <hw::stream S> hw::task<> my_server(S& line) {
    hw::buffered in{line};
    try {
        while (co_await in.read_line()) co_await line.write("the answer ", "is 42", "\n");
    } catch (const hw::error&) {
        // A broken client is no reason to fail.
    }
}

template <class Disturb> void converse(const char* what, Disturb disturb) {
    for (auto seed : hw::test::seeds(50)) {
        hw::test::reactor r{seed};                                          // deterministic; time moves only when all tasks wait
        auto [near, far] = hw::test::stream_pair(r);
        disturb(near, far);                                                 // faults
        auto client = [&line = near]() -> hw::task<std::string> {
            auto said = co_await my_client(line);
            co_await line.close();
            co_return said;
        };
        auto server = [&line = far]() -> hw::task<> {
            co_await my_server(line);                                       // my_client takes hw::any_stream&, my_server a concept
            co_await line.close();
        };
        auto [said, nothing] = r.run(hw::when_all(client(), server()));
        static_cast<void>(nothing);
        const std::string line = std::string{what} + ": " + said + " (" + std::to_string(r.elapsed() / 1ms) + " ms)";
        static std::string last;
        if (line != last) std::cout << line << '\n';                        // once for all seeds
        last = line;
    }
}

int main() {
    converse("good", [](auto&, auto&) {});
    converse("slow", [](auto& near, auto& far) { near.cut(2), far.delay(3s); });
    converse("cut", [](auto&, auto& far) { far.truncate_after(17); });
    converse("cut earlier", [](auto&, auto& far) { far.truncate_after(10); });
    converse("reset", [](auto& near, auto& far) { far.truncate_after(17), far.delay(3s), near.reset_after(2s); });
    converse("silent", [](auto& near, auto& far) { near.cut(5), far.stall(); });
    return 0;
}
