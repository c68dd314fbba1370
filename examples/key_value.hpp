#pragma once
// A small protocol of one's own: a store of names and values, asked in lines. protocol_test.cpp tests it.
//
//   SET name value    OK
//   GET name          VALUE value, or NONE
//
// Everything is written on hawser::any_stream, so the same code runs on TCP, on TLS, and in tests on test::stream.

#include <map>
#include <optional>
#include <stdexcept>
#include <string>

#include <hawser/reactor/with_timeout.hpp>
#include <hawser/stream/buffered.hpp>

namespace key_value {

using store = std::map<std::string, std::string>;

/// What a server says to one line.
inline std::string answer(store& values, const std::string& line) {
    const std::size_t first = line.find(' '), second = line.find(' ', first + 1);
    const std::string command = line.substr(0, first);
    const std::string name = first == line.npos ? "" : line.substr(first + 1, second == line.npos ? line.npos : second - first - 1);
    if (command == "SET" && second != line.npos) {
        values[name] = line.substr(second + 1);
        return "OK\n";
    }
    if (command == "GET" && !name.empty()) {
        const auto found = values.find(name);
        return found == values.end() ? "NONE\n" : "VALUE " + found->second + "\n";
    }
    return "ERROR say SET name value, or GET name\n";
}

/// Serves one client until it ends. read_until, and not read_line, which takes what comes before the end for a line: half
/// a command of a client that has vanished must not be obeyed.
inline hawser::task<> serve(hawser::any_stream& line, store& values) {
    hawser::buffered in{line};
    for (;;) {
        auto command = co_await hawser::as_result(in.read_until("\n"));
        if (!command && command.error() == hawser::errc::end_of_stream) break;
        std::string text = std::move(command).value();
        text.pop_back();
        const std::string said = answer(values, text);
        co_await line.write(said);
    }
    co_await line.close();
}

/// Asks a server. Once a question has failed its answer may still come, and would be taken for that of the next; so a
/// client that has failed asks no more.
class client {
public:
    explicit client(hawser::any_stream& line) : in_{line} {}

    /// The value, or nothing. Throws hawser::error when the line fails or the answer takes more than 5 seconds.
    hawser::task<std::optional<std::string>> get(std::string name) {
        const std::string said = co_await ask("GET " + name + "\n");
        if (said == "NONE") co_return std::nullopt;
        if (!said.starts_with("VALUE ")) throw std::runtime_error{"the server said: " + said};
        co_return said.substr(6);
    }
    hawser::task<> set(std::string name, std::string value) {
        const std::string said = co_await ask("SET " + name + " " + value + "\n");
        if (said != "OK") throw std::runtime_error{"the server said: " + said};
    }

private:
    hawser::task<std::string> ask(std::string question) {
        if (failed_) throw std::runtime_error{"this client has failed before"};
        failed_ = true;
        co_await in_.write(question);
        std::string said = co_await hawser::with_timeout(std::chrono::seconds{5}, in_.read_until("\n"));
        failed_ = false;
        said.pop_back();
        co_return said;
    }
    hawser::buffered<hawser::any_stream&> in_;
    bool failed_ = false;
};

}  // namespace key_value
