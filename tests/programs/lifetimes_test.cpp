// g++ 12 destroys some temporaries of a co_await expression twice (D18). Here every public awaitable is given temporaries
// that are counted: each object is made once and destroyed once, and every allocation is freed.

#include <atomic>
#include <cstdlib>
#include <new>
#include <set>

#include <hawser/hawser.hpp>
#include <hawser/test/fake_backend.hpp>

#include "../tls/support.hpp"
#include "support/doctest.hpp"
#include "support/memory_stream.hpp"
#include "support/sockets.hpp"

// Counts what is allocated and freed by C++ in this program.
namespace {
std::atomic<long> live_allocations{0};
void* counted_allocation(std::size_t size) {
    void* memory = std::malloc(size ? size : 1);
    if (!memory) throw std::bad_alloc{};
    live_allocations.fetch_add(1, std::memory_order_relaxed);
    return memory;
}
void counted_release(void* memory) noexcept {
    if (memory) live_allocations.fetch_sub(1, std::memory_order_relaxed);
    std::free(memory);
}
}  // namespace
void* operator new(std::size_t size) { return counted_allocation(size); }
void* operator new[](std::size_t size) { return counted_allocation(size); }
void operator delete(void* memory) noexcept { counted_release(memory); }
void operator delete[](void* memory) noexcept { counted_release(memory); }
void operator delete(void* memory, std::size_t) noexcept { counted_release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { counted_release(memory); }

using namespace hawser_test;
using namespace std::chrono_literals;
using hw::errc;

namespace {

/// Longer than a std::string holds without an allocation.
const char* const long_name = "a-name-that-is-longer-than-any-small-string-is.test";

/// Knows every living object of its kind by its address.
class counted {
public:
    counted() { born(); }
    counted(const counted&) { born(); }
    counted(counted&&) noexcept { born(); }
    counted& operator=(const counted&) = default;
    ~counted() {
        if (living().erase(this) == 0) ++wrong;
    }
    operator std::string() const { return long_name; }

    static inline int wrong = 0;
    static std::size_t alive() { return living().size(); }

private:
    static std::set<const counted*>& living() {
        static std::set<const counted*> all;
        return all;
    }
    void born() {
        ++made;
        if (!living().insert(this).second) ++wrong;
    }

public:
    static inline int made = 0;
};

/// A task with an owned argument, which lives to the end of the task.
hw::task<int> later(counted, int value, int waits = 1) {
    for (int i = 0; i < waits; ++i) co_await hw::yield();
    co_return value;
}
hw::task<> nothing_later(counted) { co_await hw::yield(); }
hw::task<> throws_later(counted) {
    co_await hw::yield();
    throw hw::error{errc::limit_exceeded};
}

/// Runs `body()` on io_uring, twice: what the library keeps is made by the first run.
template <class F> void balanced(F body) {
    long before = 0;
    counted::wrong = 0;
    for (int round = 0; round < 2; ++round) {
        counted::made = 0;
        before = live_allocations;
        hw::run(body());
    }
    CHECK(counted::wrong == 0);
    CHECK(counted::alive() == 0);
    CHECK(live_allocations - before == 0);
}

/// A stream of one's own that owns something.
class owning_stream {
public:
    explicit owning_stream(memory_stream below) : line{std::move(below)} {}
    hw::task<std::size_t> read_some(hw::mutable_buffer into) { return line.read_some(into); }
    hw::task<std::size_t> write(hw::const_buffer from) { return line.write(from); }

private:
    memory_stream line;
    counted owned;
};
static_assert(hw::stream<owning_stream>);

}  // namespace

TEST_SUITE("temporaries in a co_await expression are made and destroyed once") {
    TEST_CASE("a task's own arguments") {
        balanced([]() -> hw::task<> {
            const int n = co_await later(counted{}, 1);
            CHECK(n == 1);
            CHECK(counted::made >= 1);
        });
    }
    TEST_CASE("as_result") {
        balanced([]() -> hw::task<> {
            auto n = co_await hw::as_result(later(counted{}, 1));
            CHECK((n && *n == 1));
            auto failed = co_await hw::as_result(throws_later(counted{}));
            CHECK((!failed && failed.error() == errc::limit_exceeded));
        });
    }
    TEST_CASE("with_timeout, with_deadline, shield") {
        balanced([]() -> hw::task<> {
            const int a = co_await hw::with_timeout(1s, later(counted{}, 1));
            const int b = co_await hw::with_deadline(hw::clock::now() + 1s, later(counted{}, 2));
            const int c = co_await hw::shield(later(counted{}, 3), 1s);
            CHECK(a + b + c == 6);
            auto late = co_await hw::as_result(hw::with_timeout(1ms, later(counted{}, 1, 1'000'000'000)));
            CHECK((!late && late.error() == errc::timed_out));
        });
    }
    TEST_CASE("when_all and when_any") {
        balanced([]() -> hw::task<> {
            auto both = co_await hw::when_all(later(counted{}, 1), later(counted{}, 2));
            CHECK(std::get<0>(both) + std::get<1>(both) == 3);
            co_await hw::when_all(nothing_later(counted{}), nothing_later(counted{}));
            auto race = co_await hw::when_any(later(counted{}, 1), later(counted{}, 2, 50));
            CHECK(race.index == 0);
            auto failed = co_await hw::as_result(hw::when_all(later(counted{}, 1, 5), throws_later(counted{})));
            CHECK((!failed && failed.error() == errc::limit_exceeded));
            std::vector<hw::task<int>> many;
            for (int i = 0; i < 3; ++i) many.push_back(later(counted{}, i));
            auto values = co_await hw::when_all(std::move(many));
            CHECK(values == std::vector{0, 1, 2});
        });
    }
    TEST_CASE("with_scope: a named closure that owns, and spawned arguments") {
        balanced([]() -> hw::task<> {
            auto plain = [owned = counted{}](hw::scope& s) {
                s.spawn(later, counted{}, 1, 1);
                s.spawn([mine = counted{}]() -> hw::task<> { co_await hw::yield(); });
                s.spawn(later(counted{}, 1));
            };
            co_await hw::with_scope(plain);
            auto async = [owned = counted{}](hw::scope& s) -> hw::task<int> {
                s.spawn(nothing_later, counted{});
                co_await hw::yield();
                co_return 7;
            };
            const int seven = co_await hw::with_scope(async);
            CHECK(seven == 7);
            counted outside;
            co_await hw::with_scope([&outside](hw::scope& s) { s.spawn(nothing_later, outside); });
        });
    }
    TEST_CASE("all of them inside each other") {
        balanced([]() -> hw::task<> {
            auto all = co_await hw::as_result(hw::with_timeout(1s, hw::when_all(hw::as_result(later(counted{}, 1)),
                hw::with_timeout(1s, hw::when_any(later(counted{}, 2), nothing_later(counted{}))), hw::shield(later(counted{}, 3), 1s))));
            REQUIRE(all);
            CHECK(*std::get<0>(*all) == 1);
        });
    }
    TEST_CASE("resolve and tcp::connect, with strings made in place") {
        balanced([]() -> hw::task<> {
            struct one_name : hw::resolver {
                std::uint16_t port = 0;
                void start(hw::resolve_query_ref q) override {
                    q->finish(std::vector<hw::endpoint>{hw::endpoint::loopback(port)});
                }
            } names;
            hw::set_resolver(&names);
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            names.port = door.local_endpoint().port();
            const std::string port = std::to_string(door.local_endpoint().port());
            auto found = co_await hw::resolve(std::string{counted{}}, std::string{"https"});
            CHECK(found.size() == 1);
            auto a = co_await hw::tcp::connect(counted{}, port + "");
            auto b = co_await hw::tcp::connect(std::string{long_name} + "." + long_name, std::string{port}, {.connect_timeout = 1s});
            auto c = co_await hw::with_timeout(1s, hw::tcp::connect(std::string{counted{}}, std::string{port}));
            auto d = co_await hw::as_result(hw::tcp::connect(counted{}, std::string(40, 'x')));
            CHECK((!d && d.error() == errc::invalid_argument));
            CHECK(a.peer_name().starts_with(long_name));
            for (int i = 0; i < 3; ++i) (void)co_await door.accept();
            hw::set_resolver(nullptr);
        });
    }
    TEST_CASE("write, read_some, read, write_all, read_exactly, read_all, copy, read_until, with strings made in place") {
        balanced([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            const std::string s(100, 's');
            std::size_t n = co_await near.write("GET " + s, std::string{counted{}}, std::string(50, 'x') + "\r\n\r\n");
            CHECK(n == 104 + std::string_view{long_name}.size() + 54);
            n += co_await hw::write_all(near, std::string(200, 'y') + "\n");
            hw::buffered in{far};
            const std::string head = co_await in.read_until(std::string(2, '\r').replace(1, 1, "\n") + "\r\n");
            auto line = co_await in.read_line();
            CHECK(head.size() + line->size() + 1 == n);
            auto r = co_await hw::as_result(hw::with_timeout(1s, near.write(std::string(300, 'z'))));
            CHECK((r && *r == 300));
            char into[300];
            co_await hw::read_exactly(in, into);
            co_await near.shutdown_send();
            const std::string rest = co_await hw::read_all(in);
            CHECK(rest.empty());
            memory_stream from{std::deque<std::string>{std::string(1000, 'm')}};
            n = co_await hw::copy(from, far);
            CHECK(n == 1000);
            auto chunk = co_await hw::with_timeout(1s, near.read());
            CHECK(chunk->size() == 1000);
            co_await hw::when_all(near.close(), far.close());
        });
    }
    TEST_CASE("tls::handshake and tls::accept of a moved stream, with configs made in place") {
        // libtls and its library keep what they need once per process; what is counted is C++'s.
        balanced([]() -> hw::task<> {
            auto [near, far] = memory_pair();
            owning_stream mine{std::move(near)}, other{std::move(far)};
            auto both = co_await hw::when_all(hw::tls::handshake(std::move(mine), counted{}, hw::tls::config{client_config({.insecure_no_verify_name = true})}),
                                              hw::tls::accept(std::move(other), server_config(), {.timeout = 5s}));
            hw::tls::stream& line = std::get<0>(both);
            co_await line.write(std::string{counted{}});
            auto chunk = co_await std::get<1>(both).read();
            CHECK(chunk->size() == std::string_view{long_name}.size());
        });
        balanced([]() -> hw::task<> {
            auto [near, far] = co_await tcp_pair();
            raw_socket::connect(hw::tcp::listener{hw::endpoint::loopback(0)}.local_endpoint()).close();
            co_await far.write("this is not TLS");
            auto r = co_await hw::as_result(hw::tls::handshake(hw::buffered{std::move(near)}, std::string{counted{}}, client_config({})));
            CHECK_FALSE(r.has_value());
        });
        balanced([]() -> hw::task<> {
            auto mine = memory_pair();
            auto stopped = co_await hw::as_result(hw::with_timeout(1ms, hw::tls::handshake(owning_stream{std::move(mine.first)}, counted{}, client_config({}))));
            CHECK((!stopped && stopped.error() == errc::timed_out));
        });
    }
    TEST_CASE("tls::connect, serve and pending::handshake") {
        balanced([]() -> hw::task<> {
            hw::tls::listener door{server_config(), hw::endpoint::loopback(0)};
            const std::string port = std::to_string(door.local_endpoint().port());
            auto greet = [](hw::tls::pending caller, counted) -> hw::task<> {
                auto line = co_await hw::with_timeout(5s, caller.handshake());
                co_await line.write(std::string{counted{}});
                co_await line.close();
            };
            co_await hw::with_scope([&](hw::scope& s) -> hw::task<> {
                auto asks = [&]() -> hw::task<> {
                    auto line = co_await hw::tls::connect(std::string{"localhost"}, std::string{port}, client_config({}), {.handshake_timeout = 5s});
                    const std::string all = co_await hw::read_all(line);
                    CHECK(all == long_name);
                };
                s.spawn(asks);
                s.spawn(greet, co_await door.accept(), counted{});
            });
            counted shared;
            auto handler = [shared](hw::tls::stream& line) -> hw::task<> { co_await line.write(std::string{shared}); };
            co_await hw::with_scope([&](hw::scope& s) -> hw::task<> {
                s.spawn([&]() -> hw::task<> { co_await door.serve(handler); });
                for (int i = 0; i < 2; ++i) {
                    auto line = co_await hw::tls::connect("localhost", port, client_config({}));
                    const std::string all = co_await hw::read_all(line);
                    CHECK(all == long_name);
                }
                s.request_stop();
            });
        });
    }
    TEST_CASE("make_any_stream") {
        balanced([]() -> hw::task<> {
            auto [near, far] = memory_pair();
            hw::any_stream line = hw::make_any_stream(owning_stream{std::move(near)});
            co_await line.write(std::string{counted{}});
            co_await line.flush();
            CHECK(far.in().all() == long_name);
            co_await hw::with_timeout(1s, line.close(1ms));
        });
    }
}

TEST_CASE("option structs own nothing") {
    static_assert(std::is_trivially_destructible_v<hw::connect_options> && std::is_aggregate_v<hw::connect_options>);
    static_assert(std::is_trivially_destructible_v<hw::resolve_options> && std::is_aggregate_v<hw::resolve_options>);
    static_assert(std::is_trivially_destructible_v<hw::socket_options> && std::is_aggregate_v<hw::socket_options>);
    static_assert(std::is_trivially_destructible_v<hw::reactor_options> && std::is_aggregate_v<hw::reactor_options>);
    static_assert(std::is_trivially_destructible_v<hw::tcp::listen_options> && std::is_aggregate_v<hw::tcp::listen_options>);
    static_assert(std::is_trivially_destructible_v<hw::tls::client_options> && std::is_aggregate_v<hw::tls::client_options>);
    static_assert(std::is_trivially_destructible_v<hw::tls::server_options> && std::is_aggregate_v<hw::tls::server_options>);
    static_assert(std::is_trivially_destructible_v<hw::tls::connect_options> && std::is_aggregate_v<hw::tls::connect_options>);
    static_assert(std::is_trivially_destructible_v<hw::tls::handshake_options> && std::is_aggregate_v<hw::tls::handshake_options>);
    static_assert(std::is_trivially_destructible_v<hw::tls::listener_options> && std::is_aggregate_v<hw::tls::listener_options>);
}
