// Operations against stops on io_uring, at random moments: both outcomes come, and every byte and connection is accounted for.

#include <atomic>
#include <iostream>
#include <random>
#include <thread>

#include <hawser/hawser.hpp>

#include "support/doctest.hpp"
#include "support/memory_stream.hpp"
#include "support/sockets.hpp"
#include "table.hpp"
#include "tls/support.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;

namespace {

#if HAWSER_RECYCLES
constexpr int repetitions = 10'000;  // of all operations together
#else
constexpr int repetitions = 2'000;
#endif
constexpr int part(int of_a_hundred) { return repetitions / 100 * of_a_hundred; }

std::uint32_t seed() {
    static const std::uint32_t chosen = [] {
        const char* given = std::getenv("HAWSER_RACE_SEED");
        const std::uint32_t s = given ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
        std::cout << "races: HAWSER_RACE_SEED=" << s << '\n';
        return s;
    }();
    return chosen;
}

/// Chooses when to stop, near where both outcomes are as likely, and counts them.
class balance {
public:
    explicit balance(const char* operation) : operation_{operation}, random_{seed()} {}
    balance(const balance&) = delete;
    balance& operator=(const balance&) = delete;
    ~balance() {
        CAPTURE(operation_);
        std::cout << "races: " << operation_ << ": " << completed << " completed, " << cut << " cut short\n";
        CHECK(completed > 0);
        CHECK(cut > 0);
    }

    int below(int limit) { return std::uniform_int_distribution<int>{0, limit - 1}(random_); }
    int turns_until_stop() { return below(static_cast<int>(2 * turns_) + 1); }
    hw::duration time_until_stop() { return std::chrono::microseconds{below(201)}; }
    void note(bool done) {
        ++(done ? completed : cut);
        turns_ = done ? std::max(0.5, turns_ * 0.95) : std::min(2000.0, turns_ * 1.05 + 0.1);
    }
    std::size_t completed = 0, cut = 0;

private:
    const char* operation_;
    std::mt19937 random_;
    double turns_ = 10;
};

/// Runs `op` against a stop, or one time in four against a timeout. A failure is that it was cut short.
template <class Op> hw::task<hw::result<hw::await_result_t<Op>>> raced(balance& b, Op op) {
    using value = hw::result<hw::await_result_t<Op>>;
    if (b.below(4) == 0) {
        value r = co_await hw::as_result(hw::with_timeout(b.time_until_stop(), std::move(op)));
        b.note(r.has_value());
        if (!r) CHECK(r.error() == errc::timed_out);
        co_return r;
    }
    auto any = co_await hw::when_any(std::move(op), turns(b.turns_until_stop()));
    auto& first = std::get<0>(any.results);
    value r = first ? std::move(*first) : value{errc::cancelled};
    b.note(r.has_value());
    if (!r) CHECK(r.error() == errc::cancelled);
    co_return r;
}

void spin(int microseconds) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds{microseconds};
    while (std::chrono::steady_clock::now() < until) {}
}

/// A thread that does one thing after a random short delay each time it is asked.
class helper {
public:
    template <class F> explicit helper(F act) : thread_{[this, act] {
        std::mt19937 random{seed() + 1};
        for (int done = 0;;) {
            const int asked = asked_.load();
            if (asked < 0) return;
            if (asked == done) {
                std::this_thread::yield();
                continue;
            }
            spin(std::uniform_int_distribution<int>{0, 200}(random));
            act(done++);
        }
    }} {}
    helper(const helper&) = delete;
    helper& operator=(const helper&) = delete;
    ~helper() {
        asked_ = -1;
        thread_.join();
    }
    void ask() { ++asked_; }

private:
    std::atomic<int> asked_ = 0;
    std::thread thread_;
};

const std::string& sea() {
    static const std::string bytes = numbered(1 << 20);
    return bytes;
}
std::string sea_at(std::size_t position, std::size_t size) {
    std::string bytes;
    while (bytes.size() < size) bytes += sea()[(position + bytes.size()) % sea().size()];
    return bytes;
}
/// Whether `text` is what stands at `position` of an endless repetition of sea().
bool is_at(std::size_t position, std::string_view text) {
    while (!text.empty()) {
        const std::size_t at = position % sea().size(), n = std::min(text.size(), sea().size() - at);
        if (std::string_view{sea()}.substr(at, n) != text.substr(0, n)) return false;
        position += n;
        text.remove_prefix(n);
    }
    return true;
}

constexpr std::size_t chunk = 100;

/// What was lost does not come.
constexpr hw::duration patience = 2s;

hw::task<hw::result<std::string>> read_once(balance* b, hw::any_stream& line, bool lends) {
    if (lends) {
        hw::result<std::optional<std::span<const std::byte>>> r{errc::closed};
        if (b) r = co_await raced(*b, line.read());
        else r = co_await hw::as_result(hw::with_timeout(patience, line.read()));
        if (!r) co_return r.error();
        co_return std::string{*r ? hw::as_text(**r) : ""};
    }
    char into[chunk + 7];
    hw::result<std::size_t> r{errc::closed};
    if (b) r = co_await raced(*b, line.read_some(into));
    else r = co_await hw::as_result(hw::with_timeout(patience, line.read_some(into)));
    if (!r) co_return r.error();
    co_return std::string(into, *r);
}

/// Reads chunk after chunk; `ask()` makes the peer send the next one.
template <class Ask> hw::task<> race_reads(balance& b, int count, hw::any_stream& line, bool lends, Ask& ask) {
    std::size_t asked = 0, got = 0;
    bool right = true;
    for (int i = 0; right && (i < count || got < asked); ++i) {
        if (got == asked) {
            co_await ask();
            asked += chunk;
        }
        const hw::result<std::string> r = co_await read_once(i < count ? &b : nullptr, line, lends);
        if (!r && i < count) continue;
        right = r && !r->empty() && is_at(got, *r);
        if (!right) break;
        got += r->size();
    }
    CHECK(right);
    CHECK(got == asked);
}

void race_plain_reads(const char* name, int count, bool lends) {
    hw::run([](const char* operation, int times, bool lend) -> hw::task<> {
        balance b{operation};
        auto [line, peer] = co_await with_raw_peer();
        hw::tcp::stream& near = line;
        raw_socket& far = peer;
        helper sender{[&far](int n) { far.send(sea_at(static_cast<std::size_t>(n) * chunk, chunk)); }};
        auto ask = [&sender]() -> hw::task<> {
            sender.ask();
            co_return;
        };
        co_await race_reads(b, times, near, lend, ask);
    }(name, count, lends));
}

/// Answers names when its thread says so.
struct late_resolver : hw::resolver {
    hw::endpoint where;
    hw::reactor_handle home = hw::this_reactor();
    hw::resolve_query_ref asked;
    std::optional<helper> answerer{std::in_place, [this](int) {
        home.post([this]() noexcept {
            auto query = std::exchange(asked, {});
            if (query) query->finish(std::vector<hw::endpoint>{where});
        });
    }};
    explicit late_resolver(const hw::endpoint& e) : where{e} {}
    void start(hw::resolve_query_ref query) override {
        asked = std::move(query);
        answerer->ask();
    }
};

}  // namespace

TEST_SUITE("stops at random moments, on io_uring") {
    TEST_CASE("read_some") { race_plain_reads("read_some", part(25), false); }
    TEST_CASE("read") { race_plain_reads("read", part(20), true); }
    TEST_CASE("write to a slow reader") {
        std::size_t arrived = 0;
        bool right = true;
        std::thread reader;
        std::size_t accepted = 0;
        hw::run([](std::thread& slow, std::size_t& came, bool& same, std::size_t& position) -> hw::task<> {
            balance b{"write"};
            constexpr hw::tcp::listen_options tight{.socket = {.send_buffer = 32768, .receive_buffer = 32768}};
            auto [line, peer] = co_await with_raw_peer(tight);
            hw::tcp::stream& near = line;
            slow = std::thread{[&came, &same, p = std::move(peer)] {
                std::mt19937 random{seed() + 2};
                std::vector<char> into(65536);
                for (;;) {
                    const ssize_t n = ::recv(p.fd(), into.data(), into.size(), 0);
                    if (n <= 0) return;
                    same = same && is_at(came, {into.data(), static_cast<std::size_t>(n)});
                    came += static_cast<std::size_t>(n);
                    spin(std::uniform_int_distribution<int>{0, 200}(random));
                }
            }};
            for (int i = 0; i < part(15); ++i) {
                const std::string_view text = std::string_view{sea()}.substr(position % sea().size()).substr(0, static_cast<std::size_t>(b.below(100'000) + 1));
                const auto r = co_await raced(b, near.write(text));
                position += r ? *r : r.error().transferred();
            }
            co_await near.close();
        }(reader, arrived, right, accepted));
        reader.join();
        CHECK(right);
        CHECK(arrived == accepted);
    }
    TEST_CASE("accept") {
        hw::run([]() -> hw::task<> {
            balance b{"accept"};
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            const hw::endpoint where = door.local_endpoint();
            int asked = 0, came = 0;
            helper caller{[where](int n) {
                raw_socket s = raw_socket::connect(where);
                s.send({reinterpret_cast<const char*>(&n), sizeof n});
            }};
            const int count = part(15);
            for (int i = 0; i <= count; ++i) {
                if (came == asked && i < count) {
                    caller.ask();
                    ++asked;
                }
                hw::result<hw::tcp::stream> r{errc::closed};
                if (i < count) r = co_await raced(b, door.accept());
                else if (came < asked) r = co_await hw::as_result(hw::with_timeout(patience, door.accept()));
                if (!r) continue;
                int number = -1;
                const std::size_t n = co_await hw::read_exactly(*r, hw::mutable_buffer{reinterpret_cast<std::byte*>(&number), sizeof number});
                CHECK(n == sizeof number);
                CHECK(number == came);
                ++came;
            }
            CHECK(came == asked);
        }());
    }
    TEST_CASE("connect") {
        const std::size_t descriptors = open_descriptors();
        hw::run([]() -> hw::task<> {
            balance b{"connect"};
            hw::tcp::listener door{hw::endpoint::loopback(0)};
            late_resolver names{door.local_endpoint()};
            hw::set_resolver(&names);
            for (int i = 0; i < part(10); ++i) {
                auto r = co_await raced(b, hw::tcp::connect("late.test", "1"));
                if (!r) {
                    names.asked = {};
                    continue;
                }
                // This connection and no other works.
                auto far = co_await door.accept();
                co_await r->write("x");
                auto chunk_of_it = co_await far.read();
                while (!chunk_of_it) {  // one whose connect was cut short after it had come about
                    far = co_await door.accept();
                    chunk_of_it = co_await far.read();
                }
                CHECK(hw::as_text(*chunk_of_it) == "x");
            }
            hw::set_resolver(nullptr);
            names.answerer.reset();
            co_await hw::sleep_for(1ms);  // what was posted last refers to it
        }());
        CHECK(open_descriptors() == descriptors);
    }
    TEST_CASE("read of TLS") {
        std::thread peer;
        hw::run([](std::thread& client) -> hw::task<> {
            balance b{"tls read"};
            hw::tls::listener door{server_config(), hw::endpoint::loopback(0)};
            const std::string port = std::to_string(door.local_endpoint().port());
            client = std::thread{[port] {
                hw::run([](std::string where) -> hw::task<> {
                    std::mt19937 random{seed() + 3};
                    auto config = client_config({});
                    auto line = co_await hw::tls::connect("localhost", where, config);
                    char request[1];
                    for (std::size_t at = 0;; at += chunk) {
                        auto n = co_await hw::as_result(line.read_some(request));
                        if (!n || *n == 0) break;
                        spin(std::uniform_int_distribution<int>{0, 200}(random));
                        co_await line.write(sea_at(at, chunk));
                    }
                    co_await line.close();
                }(port));
            }};
            auto caller = co_await door.accept();
            auto line = co_await caller.handshake();
            hw::tls::stream& near = line;
            auto ask = [&near]() -> hw::task<> { co_await near.write("?"); };
            co_await race_reads(b, part(15), near, false, ask);
            co_await near.close();
        }(peer));
        peer.join();
    }
}
