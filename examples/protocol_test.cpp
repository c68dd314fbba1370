// How a protocol of one's own is tested with hawser::test: without sockets, without sleeping, on lines that are slow, cut
// into pieces, cut short, reset or silent. Any framework of tests will do; this one is a function.

#include <iostream>
#include <string_view>

#include <hawser/coro/when_all.hpp>
#include <hawser/test/stream.hpp>

#include "key_value.hpp"

namespace hw = hawser;
using namespace std::chrono_literals;

namespace {

int failures = 0;

void check(bool holds, std::string_view what, const hw::test::reactor& r) {
    if (holds) return;
    ++failures;
    std::cerr << "failed: " << what << "; replay with HAWSER_TEST_SEED=" << r.seed() << '\n';
}

/// A server that must survive whatever its client does.
hw::task<> serve(hw::any_stream& line, key_value::store& values) {
    try {
        co_await key_value::serve(line, values);
    } catch (const hw::error&) {
    }
}

/// The same questions on every kind of line get the same answers.
void conversation(std::uint64_t seed) {
    hw::test::reactor r{seed};
    auto [near, far] = hw::test::stream_pair(r);
    hw::test::random choice{seed};
    near.cut(choice.between(1, 20));
    far.cut(choice.between(1, 20));
    far.delay(std::chrono::milliseconds{choice.below(4900)});
    far.window(choice.between(30, 1000));

    key_value::store values;
    auto client = [](hw::any_stream& line, const hw::test::reactor& on) -> hw::task<> {
        key_value::client asks{line};
        check(!co_await asks.get("colour"), "nothing is there at first", on);
        co_await asks.set("colour", "dark green");
        co_await asks.set("shape", "round");
        check(co_await asks.get("colour") == "dark green", "a value comes back", on);
        check(co_await asks.get("shape") == "round", "the other one too", on);
        co_await line.close();
    };
    r.run(hw::when_all(client(near, r), serve(far, values)));
    check(values.size() == 2, "the server keeps both", r);
}

/// An answer that takes too long fails at the deadline, and is not taken for the next one when it comes at last.
void slow_server(std::uint64_t seed) {
    hw::test::reactor r{seed};
    auto [near, far] = hw::test::stream_pair(r);
    far.delay(6s);

    key_value::store values{{"a", "1"}, {"b", "2"}};
    auto client = [](hw::any_stream& line, const hw::test::reactor& on) -> hw::task<> {
        key_value::client asks{line};
        bool late = false;
        try {
            co_await asks.get("a");
        } catch (const hw::error& e) {
            late = e.code() == hw::errc::timed_out;
        }
        check(late, "the question fails with timed_out", on);
        check(on.elapsed() == 5s, "after 5 seconds of virtual time", on);
        bool refused = false;
        try {
            co_await asks.get("b");
        } catch (const std::runtime_error&) {
            refused = true;
        }
        check(refused, "the client asks no more", on);
        co_await line.close();
    };
    r.run(hw::when_all(client(near, r), serve(far, values)));
}

/// Wherever the answer is cut short: the client gets all of it, or an error.
void truncated_answer(std::uint64_t seed, std::size_t after) {
    hw::test::reactor r{seed};
    auto [near, far] = hw::test::stream_pair(r);
    const std::string_view whole = "VALUE 1234567\n";
    if (seed % 2 == 0) far.truncate_after(after);
    else far.reset_after(after);

    key_value::store values{{"number", "1234567"}};
    auto client = [](hw::any_stream& line, const hw::test::reactor& on, bool complete) -> hw::task<> {
        try {
            key_value::client asks{line};
            check(co_await asks.get("number") == "1234567", "no wrong answer", on);
            check(complete, "no answer before its end", on);
        } catch (const hw::error&) {
            check(!complete, "a whole answer is no error", on);
        }
        try {
            co_await line.close();
        } catch (const hw::error&) {  // it was reset
        }
    };
    r.run(hw::when_all(client(near, r, after >= whole.size()), serve(far, values)));
}

/// Wherever a command is cut short: the server obeys all of it, or nothing.
void truncated_command(std::uint64_t seed, std::size_t after) {
    hw::test::reactor r{seed};
    auto [near, far] = hw::test::stream_pair(r);
    near.truncate_after(after);

    key_value::store values;
    auto client = [](hw::any_stream& line) -> hw::task<> {
        co_await line.write("SET number 1234567\n");
        co_await line.close();
    };
    r.run(hw::when_all(client(near), serve(far, values)));
    check(values.empty() || values["number"] == "1234567", "no half a value", r);
    check(values.empty() == (after < 19), "a whole command is obeyed", r);
}

}  // namespace

int main() {
    for (const std::uint64_t seed : hw::test::seeds(200)) {
        try {
            conversation(seed);
            slow_server(seed);
            for (std::size_t after = 0; after <= 20; ++after) {
                truncated_answer(seed, after);
                truncated_command(seed, after);
            }
        } catch (const std::exception& e) {
            ++failures;
            std::cerr << "failed: " << e.what() << "; replay with HAWSER_TEST_SEED=" << seed << '\n';
        }
    }
    if (failures == 0) std::cout << "all went well\n";
    return failures ? 1 : 0;
}
