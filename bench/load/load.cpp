// load: visits servers with connections, echoes, transfers and handshakes, as commands on standard input say, and answers
// each with a line of JSON: what was done, and what it cost the server in CPU time. While it measures it never sleeps.

#include <CLI/CLI.hpp>

#include <sched.h>

#include <charconv>
#include <iostream>
#include <map>
#include <sstream>

#include "accept.hpp"
#include "bulk.hpp"
#include "echo.hpp"

namespace {

using load::failure;

constexpr const char* commands = R"(Commands, one a line, each answered by a line of JSON:
  open NAME PORT PID COUNT tcp|tls        opens COUNT connections to a server, whose process is PID
  echo NAME MS SIZE [ACTIVE]              one message of SIZE bytes on its way in each of the first ACTIVE connections (all)
  bulk NAME BYTES BLOCK one|both [keep]   each connection has BYTES sent to it, in writes of BLOCK, or sends them and has them
                                          back; received TLS is not decrypted, and so the next command opens the connections
                                          again, unless that is bulk with `keep`
  accept NAME PORT PID MS AT_ONCE full|resumed
                                          connections with a TLS handshake, a 64-byte echo and a goodbye
  close NAME
  quit
An error is answered with {"error": "..."}.)";

/// The words of a command.
class words {
public:
    explicit words(const std::string& line) : rest_{line} {}

    std::string text(const char* what) {
        std::string word;
        if (!(rest_ >> word)) throw failure{std::string{what} + " is missing"};
        return word;
    }
    std::uint64_t number(const char* what, std::uint64_t least, std::uint64_t most) {
        const std::string word = text(what);
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
        if (error != std::errc{} || end != word.data() + word.size() || value < least || value > most) {
            throw failure{std::string{what} + " is " + word + ", and not a number from " + std::to_string(least) + " to " +
                          std::to_string(most)};
        }
        return value;
    }
    /// Whether it is the second of two.
    bool second(const char* first, const char* second) {
        const std::string word = text((std::string{first} + " or " + second).c_str());
        if (word != first && word != second) throw failure{word + " is neither " + first + " nor " + second};
        return word == second;
    }
    bool at_end() { return (rest_ >> std::ws).eof(); }
    void end() {
        if (!at_end()) throw failure{"there are too many words"};
    }

private:
    std::istringstream rest_;
};

class generator {
public:
    explicit generator(std::size_t descriptors) : descriptors_{descriptors} {}

    std::string answer(const std::string& line) {
        words w{line};
        const std::string command = w.text("the command");
        if (command == "open") return open(w);
        if (command == "echo") return echo(w);
        if (command == "bulk") return bulk(w);
        if (command == "accept") return accept(w);
        if (command == "close") return close(w);
        throw failure{"there is no command " + command};
    }

private:
    static constexpr std::uint64_t most_ms = 600'000, most_bytes = std::uint64_t{1} << 40, most_block = 1u << 30;

    std::string open(words& w) {
        const std::string name = w.text("the name");
        const auto port = static_cast<std::uint16_t>(w.number("the port", 1, 65535));
        const auto pid = static_cast<pid_t>(w.number("the process", 1, 1u << 30));
        const std::size_t count = w.number("the count", 1, 10'000'000);
        const bool tls = w.second("tcp", "tls");
        w.end();
        if (sets_.contains(name)) throw failure{name + " is open already"};
        need_descriptors(count);
        const std::uint64_t start = load::now();
        auto set = std::make_unique<load::connection_set>(workshop_, port, pid, tls);
        const auto done = set->open(count);
        if (done.opened == 0) throw failure{done.first_error};
        sets_[name] = std::move(set);
        std::ostringstream text;
        text << "{\"opened\":" << done.opened << ",\"failed\":" << count - done.opened
             << ",\"seconds\":" << static_cast<double>(load::now() - start) / 1e9;
        if (done.failed > 0) text << ",\"first_error\":" << load::json_text(done.first_error);
        return text.str() + '}';
    }

    std::string echo(words& w) {
        const std::string name = w.text("the name");
        auto& set = set_of(name);
        const std::uint64_t ms = w.number("the time", 1, most_ms);
        const std::size_t size = w.number("the size", 1, most_block);
        const std::size_t active = w.at_end() ? set.size() : w.number("how many are active", 1, set.size());
        w.end();
        return using_set(name, [&] {
            if (set.deaf()) set.renew();
            return load::echo{set, size, active}.run(ms * load::millisecond);
        });
    }

    std::string bulk(words& w) {
        const std::string name = w.text("the name");
        auto& set = set_of(name);
        const std::uint64_t bytes = w.number("the size", 1, most_bytes);
        const auto block = static_cast<std::uint32_t>(w.number("the block", 1, most_block));
        const bool both = w.second("one", "both");
        const bool keep = !w.at_end() && w.second("renew", "keep");
        w.end();
        if (both && bytes < block) throw failure{"the transfer is less than a block"};
        return using_set(name, [&] {
            if (!keep && set.deaf()) set.renew();
            return load::bulk{set, bytes, block, both}.run();
        });
    }

    std::string accept(words& w) {
        w.text("the name");
        const auto port = static_cast<std::uint16_t>(w.number("the port", 1, 65535));
        const auto pid = static_cast<pid_t>(w.number("the process", 1, 1u << 30));
        const std::uint64_t ms = w.number("the time", 1, most_ms);
        const std::size_t at_once = w.number("how many at once", 1, 100'000);
        const bool resumed = w.second("full", "resumed");
        w.end();
        need_descriptors(at_once);
        return load::accept{workshop_, port, pid, at_once, resumed}.run(ms * load::millisecond);
    }

    std::string close(words& w) {
        const std::string name = w.text("the name");
        w.end();
        const std::size_t count = set_of(name).alive();
        set_of(name).close();
        sets_.erase(name);
        return "{\"closed\":" + std::to_string(count) + '}';
    }

    load::connection_set& set_of(const std::string& name) {
        const auto found = sets_.find(name);
        if (found == sets_.end()) throw failure{"no connections are called " + name};
        return *found->second;
    }

    /// Connections of which a command failed are given up: nobody knows what is still on its way.
    template <class Act> std::string using_set(const std::string& name, Act&& act) {
        try {
            return act();
        } catch (const failure& e) {
            const bool gone = sets_[name]->server().is_gone();
            const std::string process = std::to_string(sets_[name]->server().pid());
            sets_.erase(name);
            throw failure{e.what() + (gone ? "; process " + process + " is gone" : std::string{}) + "; " + name + " is closed"};
        }
    }

    void need_descriptors(std::size_t more) const {
        std::size_t open = 16;
        for (const auto& [name, set] : sets_) open += set->size() + 2;
        if (open + more <= descriptors_) return;
        throw failure{"that needs " + std::to_string(open + more) + " descriptors, and this process may have " +
                      std::to_string(descriptors_)};
    }

    std::size_t descriptors_;
    load::workshop workshop_;
    std::map<std::string, std::unique_ptr<load::connection_set>> sets_;
};

/// What the harness may also do from outside. It is only said if the system does not allow it.
void place(int cpu, bool fifo) {
    const auto warn = [](const char* what) { std::cerr << "load: " << load::because(what, errno) << '\n'; };
    if (cpu >= 0) {
        cpu_set_t only;
        CPU_ZERO(&only);
        CPU_SET(static_cast<unsigned>(cpu), &only);
        if (::sched_setaffinity(0, sizeof only, &only) != 0) warn("sched_setaffinity");
    }
    if (fifo) {
        const sched_param priority{10};
        if (::sched_setscheduler(0, SCHED_FIFO, &priority) != 0) warn("sched_setscheduler");
    }
}

}  // namespace

int main(int argc, char** argv) {
    int cpu = -1;
    bool fifo = false;
    CLI::App app{"Loads servers and says what that cost them."};
    app.add_option("--cpu", cpu, "The CPU to run on")->check(CLI::Range(0, CPU_SETSIZE - 1));
    app.add_flag("--fifo", fifo, "Run under SCHED_FIFO");
    app.footer(commands);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : 2;
    }
    place(cpu, fifo);
    try {
        generator visit{load::descriptor_limit()};
        for (std::string line; std::getline(std::cin, line) && line != "quit";) {
            try {
                std::cout << visit.answer(line) << std::endl;
            } catch (const failure& e) {
                std::cout << "{\"error\":" << load::json_text(e.what()) << '}' << std::endl;
            }
        }
    } catch (const failure& e) {
        std::cerr << "load: " << e.what() << '\n';
        return 1;
    }
}
