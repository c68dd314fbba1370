// test::reactor: virtual time, seeds that replay, deadlocks and limits that are reported, several runs.

#include <csignal>
#include <cstdlib>
#include <set>

#include <pthread.h>

#include <hawser/coro/event.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/net/connect.hpp>
#include <hawser/reactor/foreign.hpp>

#include "../support/in_child.hpp"
#include "support.hpp"

using namespace kit_test;

namespace {

hw::task<> my_client(hw::any_stream& line, hw::error_info& how_it_ended) {
    co_await line.write("give me the answer\n");
    auto got = co_await read_to_end(line);
    how_it_ended = got.failure;
}

hw::task<> my_server(hw::any_stream& line) {
    char into[100];
    try {
        const std::size_t n = co_await line.read_some(into);
        if (n) co_await line.write("the answer is a long one, longer than the line lets through\n");
        while (co_await line.read_some(into)) {}
    } catch (const hw::error&) {
    }
}

/// A conversation whose schedule leaves room for choices.
std::uint64_t fingerprint_of(hw::test::reactor_options options, std::string* trace = nullptr) {
    hw::test::reactor r{options};
    auto [near, far] = hw::test::stream_pair(r);
    near.jitter(10ms);
    far.cut(100);
    auto echo = [&, &line = far]() -> hw::task<> {
        co_await hw::copy(line, line);
        co_await line.close();
    };
    auto say = [&, &line = near]() -> hw::task<> {
        for (int i = 0; i < 10; ++i) {
            co_await line.write(text_of(500));
            co_await hw::sleep_for(1ms);
        }
        co_await line.shutdown_send();
    };
    auto task = [&, &line = near]() -> hw::task<> { co_await hw::when_all(echo(), say(), read_to_end(line)); };
    r.run(task());
    if (trace) *trace = r.trace();
    return r.fingerprint();
}

}  // namespace

TEST_CASE("the program of the manual") {
    for (const std::uint64_t seed : hw::test::seeds(100)) {
        CAPTURE(seed);
        hw::error_info how_it_ended = hw::error_info::none();
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        far.truncate_after(17);  far.delay(3s);  near.reset_after(2s);
        r.run(hw::when_all(my_client(near, how_it_ended), my_server(far)));
        CHECK(is_errno(how_it_ended, ECONNRESET));
        CHECK(r.elapsed() == 2s);
    }
}

TEST_CASE("time passes only when every task waits") {
    hw::test::reactor r{1};
    const hw::time_point began = r.now();
    auto busy = [&]() -> hw::task<> {
        for (int i = 0; i < 1000; ++i) co_await hw::yield();
        CHECK(r.elapsed() == 0s);
        co_await hw::sleep_for(1h);
        CHECK(r.elapsed() == 1h);
    };
    auto other = [&]() -> hw::task<> {
        co_await hw::sleep_for(1ns);
        CHECK(r.elapsed() == 1ns);
        hw::event never;
        auto waited = co_await hw::as_result(hw::with_timeout(2h, never.wait()));
        CHECK(waited.error() == errc::timed_out);
    };
    r.run(hw::when_all(busy(), other()));
    CHECK(r.elapsed() == 2h + 1ns);
    CHECK(r.now() == began + 2h + 1ns);
}

TEST_CASE("run gives the value, throws the error, and may be called again: what is on its way stays") {
    for (std::uint64_t seed = 1; seed <= 25; ++seed) {
        hw::test::reactor r{seed};
        CHECK(r.seed() == seed);
        auto [near, far] = hw::test::stream_pair(r);
        near.delay(1s);
        auto fails = []() -> hw::task<> {
            co_await hw::yield();
            throw std::runtime_error{"mine"};
        };
        auto number = []() -> hw::task<int> { co_return 42; };
        CHECK(r.run(number()) == 42);
        CHECK_THROWS_WITH_AS(r.run(fails()), "mine", std::runtime_error);
        r.run(write_and_end(near, "from the second run"));
        CHECK(r.elapsed() == 0s);
        CHECK(r.run(read_to_end(far)).text == "from the second run");
        CHECK(r.elapsed() == 1s);
        r.run(hw::sleep_for(1s));
        CHECK(r.elapsed() == 2s);
    }
}

TEST_CASE("the same seed gives the same run, another seed another one") {
    std::set<std::uint64_t> all;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        std::string first, again;
        const auto print = fingerprint_of({.seed = seed, .trace = true}, &first);
        CHECK(fingerprint_of({.seed = seed, .trace = true}, &again) == print);
        CHECK(fingerprint_of({.seed = seed}) == print);
        CHECK((first == again));
        CHECK(contains(first, "receive on near end 1: "));
        all.insert(print);
    }
    CHECK(all.size() == 50);
    std::string none;
    fingerprint_of({.seed = 1}, &none);
    CHECK(none.empty());
}

TEST_CASE("completions of different streams come in any order, unless that is switched off") {
    std::set<std::string> orders, plain;
    std::set<std::uint64_t> prints, plain_prints;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        for (const bool reorder : {false, true}) {
            hw::test::reactor r{{.seed = seed, .reorder = reorder, .vary = false}};
            auto one = hw::test::stream_pair(r), two = hw::test::stream_pair(r), three = hw::test::stream_pair(r);
            std::string order;
            auto read = [&](hw::any_stream& from, char name) -> hw::task<> {
                char into[10];
                co_await from.read_some(into);
                order += name;
            };
            auto write = [&]() -> hw::task<> {
                co_await one.first.write("x");
                co_await two.first.write("x");
                co_await three.first.write("x");
            };
            r.run(hw::when_all(read(one.second, '1'), read(two.second, '2'), read(three.second, '3'), write()));
            (reorder ? orders : plain).insert(order);
            (reorder ? prints : plain_prints).insert(r.fingerprint());
        }
    }
    CHECK(orders.size() == 6);
    CHECK(plain == std::set<std::string>{"123"});
    CHECK(prints.size() >= 6);  // the order alone makes another run
    CHECK(plain_prints.size() == 1);
}

TEST_CASE("bytes that come when a timeout strikes are read or stay, and both happen") {
    std::size_t read = 0, stayed = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        near.delay(1s);
        auto task = [&]() -> hw::task<> {
            co_await near.write("x");
            char into[10];
            auto n = co_await hw::as_result(hw::with_timeout(1s, far.read_some(into)));
            if (n) {
                ++read;
                co_return;
            }
            CHECK(n.error() == errc::timed_out);
            ++stayed;
            CHECK(co_await far.read_some(into) == 1);
        };
        r.run(task());
        CHECK(r.elapsed() == 1s);
    }
    CHECK(read > 5);
    CHECK(stayed > 5);
}

TEST_CASE("a deadlock is reported with what was waited for, and the tasks are unwound") {
    hw::test::reactor r{7};
    auto [near, far] = hw::test::stream_pair(r);
    bool unwound = false;
    auto waits = [&]() -> hw::task<> {
        struct on_exit {
            bool& flag;
            ~on_exit() { flag = true; }
        } guard{unwound};
        near.stall();
        co_await near.write("held");
        co_await hw::sleep_for(90s);
        char into[10];
        co_await near.read_some(into);
    };
    const auto e = error_of([&] { r.run(waits()); });
    CHECK(unwound);
    CHECK(is_errno(e, EDEADLK));
    for (const char* words : {"every task waits", "no timer is set", "seed 7", "90", "receive on near end 1", "held by a stall (4 bytes", "waits"}) {
        CHECK_MESSAGE(contains(e.message(), words), e.message());
    }
    // and the reactor goes on to work
    near.resume();
    char into[10];
    CHECK(r.run(far.read_some(into)) == 4);
}

TEST_CASE("a task that catches its stop and gives a value was in a deadlock all the same") {
    hw::test::reactor r{1};
    auto task = []() -> hw::task<int> {
        hw::event never;
        auto stopped = co_await hw::as_result(never.wait());
        co_return stopped ? 2 : 1;
    };
    CHECK(is_errno(error_of([&] { r.run(task()); }), EDEADLK));
    CHECK(error_of([&] { r.run(hw::sleep_for(1s)); }) == hw::error_info::none().code());
}

TEST_CASE("endless time and endless turns are cut off by the limits") {
    hw::test::reactor r{{.seed = 3, .time_limit = 1h, .turn_limit = 1000}};
    auto sleeps = [&](int times) -> hw::task<> {
        for (int i = 0; i < times; ++i) co_await hw::sleep_for(7min);
    };
    auto e = error_of([&] { r.run(sleeps(900)); });
    CHECK(e == errc::limit_exceeded);
    CHECK(contains(e.message(), "time_limit"));
    CHECK(contains(e.message(), "seed 3"));
    CHECK(r.elapsed() == 56min);
    for (int i = 0; i < 3; ++i) r.run(sleeps(8));  // the limit is of each run
    CHECK(r.elapsed() == 4 * 56min);

    auto spins = []() -> hw::task<> {
        for (;;) co_await hw::yield();
    };
    e = error_of([&] { r.run(spins()); });
    CHECK(e == errc::limit_exceeded);
    CHECK(contains(e.message(), "turn_limit"));
    CHECK(r.elapsed() == 4 * 56min);
}

TEST_CASE("what does not even end when it is stopped ends the process, in words") {
    const std::string said = hawser_test::words_of_abort([] {
        hw::test::reactor r{{.seed = 11, .turn_limit = 100}};
        auto stubborn = []() -> hw::task<> {
            for (;;) {
                try {
                    for (;;) co_await hw::yield();
                } catch (...) {
                }
            }
        };
        r.run(stubborn());
    });
    CHECK_MESSAGE(contains(said, "even stopped, the tasks do not end"), said);
    CHECK_MESSAGE(contains(said, "seed 11"), said);
}

TEST_CASE("misuse is refused in words") {
    hw::test::reactor r{1};
    const auto expect = [](const char* words, auto f) {
        const hw::error_info e = error_of(f);
        CHECK(e == errc::invalid_argument);
        CHECK_MESSAGE(contains(e.message(), words), e.message());
    };
    auto nested = [&]() -> hw::task<> {
        r.run(hw::yield());
        co_return;
    };
    expect("run() inside run()", [&] { r.run(nested()); });
    hw::task<> empty = nested();
    {
        const hw::task<> taken = std::move(empty);
    }
    expect("moved from", [&] { r.run(std::move(empty)); });
    expect("run() inside run()", [] { const hw::test::reactor second{2}; });
    expect("time_limit is not positive", [] { const hw::test::reactor bad{{.time_limit = 0s}}; });
    expect("turn_limit is 0", [] { const hw::test::reactor bad{{.turn_limit = 0}}; });
    expect("patience is negative", [] { const hw::test::reactor bad{{.patience = -1s}}; });
    r.run(hw::yield());
}

TEST_CASE("posts of this thread and of others arrive; a deadlock is not reported before some real time has passed") {
    hw::test::reactor r{1};
    hw::event came;
    auto task = [&]() -> hw::task<> {
        const hw::reactor_handle home = hw::this_reactor();
        home.post([&]() noexcept { came.set(); });
        co_await came.wait();
        came.reset();
        struct both {
            hw::reactor_handle handle;
            hw::event& flag;
        } of{home, came};
        pthread_t other;
        REQUIRE(::pthread_create(&other, nullptr, [](void* p) -> void* {
            auto& b = *static_cast<both*>(p);
            b.handle.post([flag = &b.flag]() noexcept { flag->set(); });
            return nullptr;
        }, &of) == 0);
        co_await came.wait();
        ::pthread_join(other, nullptr);
    };
    r.run(task());
    CHECK(r.elapsed() == 0s);
}

TEST_CASE("there is no network beyond the pairs: connect and accept fail in the system's words") {
    hw::test::reactor r{1};
    auto task = []() -> hw::task<> {
        auto line = co_await hw::as_result(hw::tcp::connect(hw::endpoint::loopback(9)));
        CHECK(is_errno(line.error(), ENETUNREACH));
        hw::tcp::listener door{hw::endpoint::loopback(0)};
        auto accepted = co_await hw::as_result(door.accept());
        CHECK(is_errno(accepted.error(), EOPNOTSUPP));
    };
    r.run(task());
}

TEST_CASE("children, stops and deadlines behave as on io_uring") {
    for (std::uint64_t seed = 1; seed <= 25; ++seed) {
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        std::string log;
        auto child = [&](hw::any_stream& line) -> hw::task<> {
            char into[10];
            try {
                co_await line.read_some(into);
            } catch (const hw::cancelled&) {
                log += "stopped ";
                throw;
            }
        };
        auto parent = [&](hw::scope& children) -> hw::task<> {
            children.spawn(child, std::ref(near));
            children.spawn(child, std::ref(far));
            co_await hw::sleep_for(5s);
            throw std::runtime_error{"enough"};
        };
        auto task = [&]() -> hw::task<> { co_await hw::with_scope(parent); };
        CHECK_THROWS_WITH_AS(r.run(task()), "enough", std::runtime_error);
        CHECK(log == "stopped stopped ");
        CHECK(r.elapsed() == 5s);
    }
}

TEST_CASE("HAWSER_TEST_SEED replays one seed") {
    const auto with = [](const char* value, auto f) {
        ::setenv("HAWSER_TEST_SEED", value, 1);
        f();
        ::unsetenv("HAWSER_TEST_SEED");
    };
    CHECK(hw::test::seeds(3) == std::vector<std::uint64_t>{1, 2, 3});
    CHECK(hw::test::seed_from_environment(5) == 5);
    with("0x10", [] {
        CHECK(hw::test::seeds(3) == std::vector<std::uint64_t>{16});
        CHECK(hw::test::seed_from_environment(5) == 16);
    });
    with("12x", [] { CHECK(contains(error_of([] { hw::test::seed_from_environment(5); }).message(), "HAWSER_TEST_SEED is not a number: 12x")); });
}

TEST_CASE("random numbers are the same everywhere, and in their range") {
    hw::test::random a{42}, b{42}, c{43};
    CHECK(a.next() == b.next());
    CHECK(a.next() != c.next());
    CHECK(hw::test::random{1}.next() == 0xb3f2af6d0fc710c5u);
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 1000; ++i) {
        seen.insert(a.between(3, 7));
        CHECK(a.below(3) < 3);
    }
    CHECK(seen == std::set<std::uint64_t>{3, 4, 5, 6, 7});
    CHECK(a.below(0) == 0);
    CHECK(a.one_in(1));
}
