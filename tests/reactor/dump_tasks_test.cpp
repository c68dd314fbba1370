#include <cstdio>
#include <sstream>

#include <hawser/hawser.hpp>
#include <hawser/test/fake_backend.hpp>

#include "support/doctest.hpp"
#include "support/memory_stream.hpp"

namespace hw = hawser;
using namespace std::chrono_literals;

namespace {

/// A line of the tree with its places cut down to the file's name.
std::vector<std::string> lines_of(const std::string& tree) {
    std::vector<std::string> lines;
    std::istringstream in{tree};
    for (std::string line; std::getline(in, line);) {
        for (std::size_t slash; (slash = line.find('/')) != line.npos;) {
            const std::size_t begin = line.rfind(' ', slash) + 1;
            line.erase(begin, slash + 1 - begin);
        }
        lines.push_back(line);
    }
    return lines;
}
bool has(const std::string& line, std::string_view part) { return line.find(part) != line.npos; }
std::size_t indent(const std::string& line) { return line.find_first_not_of(' '); }

hw::task<> sleeper(hw::duration d) { co_await hw::sleep_for(d); }
hw::task<> waits_for(hw::event& e) { co_await e.wait(); }
hw::task<> parent_of(hw::event& e) { co_await waits_for(e); }

hw::task<> reader(hw::any_stream& line) {
    char buffer[8];
    co_await hw::with_timeout(1h, line.read_some(buffer));
}

TEST_CASE("dump_tasks shows each task with its place, what it awaits, where and for how long") {
    hw::test::fake_backend io;
    std::string tree;
    unsigned scope_line = 0;
    auto everything = [&]() -> hw::task<> {
        hw::event never;
        auto in_scope = [&](hw::scope& all) {
            all.spawn(sleeper, 3s);
            all.spawn(parent_of, std::ref(never));
            all.spawn([&]() -> hw::task<> {
                co_await hw::sleep_for(1500ms);
                tree = hw::task_tree();
                all.request_stop();
            });
        };
        scope_line = __LINE__ + 1;
        co_await hw::with_scope(in_scope);
    };
    hw::test::run_on(io, everything());

    const std::vector<std::string> lines = lines_of(tree);
    REQUIRE(lines.size() == 5);
    INFO(tree);
    CHECK(has(lines[0], " awaits with_scope, running: 3 at dump_tasks_test.cpp:" + std::to_string(scope_line) + ", 1.500 s"));
    CHECK(indent(lines[0]) == 0);
    CHECK(has(lines[1], "sleeper("));
    CHECK(has(lines[1], ") at dump_tasks_test.cpp:"));
    CHECK(has(lines[1], " awaits sleep at dump_tasks_test.cpp:"));
    CHECK(has(lines[1], ", 1.500 s"));
    CHECK(indent(lines[1]) == 2);
    CHECK(has(lines[2], "parent_of("));
    CHECK(has(lines[2], " awaits a task at dump_tasks_test.cpp:"));
    CHECK(has(lines[3], "waits_for("));
    CHECK(has(lines[3], " awaits event at "));
    CHECK(indent(lines[3]) == 4);
    CHECK(has(lines[4], " runs"));  // a lambda, which each compiler names in its way
    CHECK(indent(lines[4]) == 2);
}

TEST_CASE("dump_tasks names the peer, and looks through time-outs, as_result and groups") {
    hw::test::fake_backend io;
    std::string tree;
    auto program = [&]() -> hw::task<> {
        auto line = hw::tcp::stream::make(*hw::reactor::current(), hw::detail::unique_fd{io.descriptor(1)},
                                          hw::endpoint{hw::ip_address::loopback_v4(), 443}, "example.org");
        io.when_idle([&] {
            tree = hw::task_tree();
            io.end(io.descriptor(1));
        });
        co_await hw::when_any(reader(line), hw::as_result(hw::sleep_for(5s)));
    };
    hw::test::run_on(io, program());
    const std::vector<std::string> lines = lines_of(tree);
    INFO(tree);
    REQUIRE(lines.size() == 3);
    CHECK(has(lines[0], "awaits when_any, running: 2"));
    CHECK(has(lines[1], "awaits with_timeout of read from example.org (127.0.0.1:443) at"));
    CHECK(lines[2] == "  sleep");
}

TEST_CASE("dump_tasks shows what was spawned and has not started, and writes to streams and files") {
    hw::test::fake_backend io;
    std::ostringstream out;
    auto program = [&]() -> hw::task<> {
        auto in_scope = [&](hw::scope& all) {
            all.spawn(sleeper, 1s);
            hw::dump_tasks(out);
        };
        co_await hw::with_scope(in_scope);
    };
    hw::test::run_on(io, program());
    CHECK(has(out.str(), "a task that was spawned and has not started\n"));
    CHECK(out.str().back() == '\n');
    CHECK(hw::task_tree() == "no reactor runs on this thread");

    std::FILE* file = std::tmpfile();
    REQUIRE(file);
    hw::dump_tasks(file);
    CHECK(std::ftell(file) == static_cast<long>(hw::task_tree().size() + 1));
    std::fclose(file);
}

TEST_CASE("an operation that failed to start leaves nothing for dump_tasks") {
    struct throws {
        using value_type = void;
        bool start(const hw::detail::environment&, hw::detail::waiter&) { throw 1; }
        hw::result<void> take() { return {}; }
        void inspect(hw::detail::inspector&) const { CHECK(false); }
    };
    hw::test::fake_backend io;
    std::string tree;
    auto program = [&]() -> hw::task<> {
        try {
            co_await throws{};
        } catch (int) {
            tree = hw::task_tree();
        }
    };
    hw::test::run_on(io, program());
    CHECK(has(tree, " runs"));
}

TEST_CASE("a wrapped stream's pumps are shown as work of their own") {
    hw::test::fake_backend io;
    std::string tree;
    auto program = [&]() -> hw::task<> {
        auto wrapped = hw::make_any_stream(hawser_test::memory_stream{{"abc"}});
        co_await hw::yield();
        tree = hw::task_tree();
    };
    hw::test::run_on(io, program());
    CHECK(lines_of(tree).size() == 3);
    CHECK(has(tree, "send_loop"));
}

}  // namespace
