#include <memory>
#include <stdexcept>
#include <vector>

#include <hawser/coro/channel.hpp>
#include <hawser/coro/when_any.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/test/fake_backend.hpp>
#include <hawser/test/random.hpp>

#include "support/in_child.hpp"
#include "waiting_support.hpp"

using namespace hawser;
using namespace std::chrono_literals;
using namespace waiting_support;
using hawser_test::words_of_abort;
using manual::tracked;

namespace {

task<> send(channel<int>& ch, int value, std::string& end, stop_source& stop) { return note(ch.send(value), end, stop); }

/// Receives under `stop` and notes the value, "end", "cancelled" or the error.
task<> receive(channel<int>& ch, std::string& end, stop_source& stop) {
    auto r = co_await as_result(detail::under{stop, ch.receive()});
    end = !r ? ending(r) : *r ? std::to_string(**r) : "end";
}
task<std::vector<int>> drain(channel<int>& ch) {
    std::vector<int> all;
    while (auto value = co_await ch.receive()) all.push_back(*value);
    co_return all;
}

/// Throws when it is moved and told to.
struct fragile {
    static inline int moves_left = -1;
    explicit fragile(int v) noexcept : value{v} {}
    fragile(fragile&& other) : value{other.value} {
        if (moves_left >= 0 && moves_left-- == 0) throw std::runtime_error{"broke"};
    }
    tracked alive{};
    int value;
};

/// Producers and consumers that are stopped at random: what was sent arrives once, what was not taken never.
struct market {
    channel<int> ch;
    test::random random;
    int made = 0, producing = 0, consuming = 0, cancelled = 0, dropped_slots = 0;
    std::vector<int> taken{}, arrived{};  // by value: how often
    std::vector<stop_source*> stops{};

    market(std::size_t capacity, std::uint64_t seed) : ch{capacity}, random{seed} {}

    task<> linger() { return turns(static_cast<int>(random.below(3))); }
    int make() {
        taken.push_back(0);
        arrived.push_back(0);
        return made++;
    }
    int& count(std::vector<int>& in, int value) { return in[static_cast<std::size_t>(value)]; }
    bool went_well(const error_info& why) {
        if (!why) return true;
        CHECK(why == errc::cancelled);
        ++cancelled;
        return false;
    }
    task<> producer(std::size_t index) {
        for (int i = 0; i < 100; ++i) {
            stop_source stop;
            stops[index] = &stop;
            const std::uint64_t way = random.below(8);
            if (way == 0) {
                const int value = make();
                if (ch.try_send(value)) count(taken, value) = 1;
            } else if (way < 5) {
                const int value = make();
                const auto sent = co_await as_result(detail::under{stop, ch.send(value)});
                if (went_well(sent.error())) count(taken, value) = 1;
            } else {
                auto slot = co_await as_result(detail::under{stop, ch.reserve()});
                if (went_well(slot.error())) {
                    co_await linger();
                    if (way == 5) {
                        ++dropped_slots;
                    } else {
                        const int value = make();
                        (*slot).send(value);
                        count(taken, value) = 1;
                    }
                }
            }
            stops[index] = nullptr;
            co_await linger();
        }
        if (--producing == 0) ch.close();
    }
    task<> consumer(std::size_t index) {
        while (true) {
            stop_source stop;
            stops[index] = &stop;
            if (random.one_in(8)) {
                if (auto value = ch.try_receive()) ++count(arrived, *value);
            } else {
                auto value = co_await as_result(detail::under{stop, ch.receive()});
                if (went_well(value.error())) {
                    if (!*value) break;
                    ++count(arrived, **value);
                }
            }
            stops[index] = nullptr;
            co_await linger();
        }
        stops[index] = nullptr;
        --consuming;
    }
    task<> stopper() {
        while (consuming != 0) {
            stop_source* victim = stops[random.below(stops.size())];
            if (victim && random.one_in(2)) victim->request_stop();
            co_await manual::turn{};
        }
    }
    void run(std::size_t producers, std::size_t consumers) {
        stops.resize(producers + consumers);
        producing = static_cast<int>(producers);
        consuming = static_cast<int>(consumers);
        in_scope([&](scope& around) -> task<> {
            for (std::size_t i = 0; i < producers; ++i) around.spawn([this, i] { return producer(i); });
            for (std::size_t i = 0; i < consumers; ++i) around.spawn([this, i = i + producers] { return consumer(i); });
            around.spawn([this] { return stopper(); });
            co_return;
        });
        CHECK(ch.size() == 0);
        CHECK(arrived == taken);
    }
};

}  // namespace

TEST_SUITE("channel") {
    TEST_CASE("values come in order, at once while there is room and something there") {
        channel<int> ch{3};
        manual::loop loop;
        auto body = [&]() -> task<> {
            for (int round = 0; round < 5; ++round) {
                co_await ch.send(1);
                co_await ch.send(2);
                CHECK(ch.try_send(3));
                CHECK_FALSE(ch.try_send(4));
                CHECK(ch.size() == 3);
                CHECK(co_await ch.receive() == 1);
                CHECK(ch.try_receive() == 2);
                CHECK(co_await ch.receive() == 3);
                CHECK_FALSE(ch.try_receive());
                co_await ch.send(round);  // so that the queue goes round
                CHECK(co_await ch.receive() == round);
            }
            CHECK(loop.turns == 0);
        };
        loop.run(body()).get();
        CHECK(ch.capacity() == 3);
    }

    TEST_CASE("senders wait for room, receivers for values, each side first come, first served") {
        for (const std::size_t capacity : {0u, 1u, 7u}) {
            CAPTURE(capacity);
            channel<int> ch{capacity};
            std::vector<int> got;
            in_scope([&](scope& s) -> task<> {
                for (int i = 0; i < 100; ++i) s.spawn([&ch, i]() -> task<> { co_await ch.send(i); });
                co_await manual::turn{};
                CHECK(ch.size() == capacity);
                for (int i = 0; i < 50; ++i) got.push_back(*co_await ch.receive());
                for (int i = 0; i < 50; ++i) got.push_back(*ch.try_receive());
                CHECK_FALSE(ch.try_receive());
                for (int i = 0; i < 100; ++i) s.spawn([&]() -> task<> { got.push_back(*co_await ch.receive()); });
                co_await manual::turn{};
                for (int i = 100; i < 150; ++i) co_await ch.send(i);
                for (int i = 150; i < 200; ++i) CHECK(ch.try_send(i));
                CHECK(ch.size() == 0);
            });
            REQUIRE(got.size() == 200);
            for (int i = 0; i < 200; ++i) CHECK(got[static_cast<std::size_t>(i)] == i);
        }
    }

    TEST_CASE("capacity 0: send ends when somebody receives") {
        channel<int> ch{0};
        std::string sent;
        in_scope([&](scope& s) -> task<> {
            stop_source none;
            CHECK_FALSE(ch.try_send(0));
            s.spawn([&] { return send(ch, 1, sent, none); });
            co_await turns(3);
            CHECK(sent.empty());
            CHECK(ch.size() == 0);
            CHECK(co_await ch.receive() == 1);
            co_await manual::turn{};
            CHECK(sent == "done");
        });
    }

    TEST_CASE("stopped before: cancelled, nothing is taken or given") {
        channel<int> ch{2};
        std::string end;
        in_scope([&](scope&) -> task<> {
            stop_source stop;
            stop.request_stop();
            co_await ch.send(1);
            co_await send(ch, 2, end, stop);
            CHECK(end == "cancelled");
            co_await note(ch.reserve(), end, stop);
            CHECK(end == "cancelled");
            co_await receive(ch, end, stop);
            CHECK(end == "cancelled");
        });
        CHECK(ch.size() == 1);
        check_that_retries_starve_nobody([&] { return ch.send(7); });
        check_that_retries_starve_nobody([&] { return ch.reserve(); });
        check_that_retries_starve_nobody([&] { return ch.receive(); });
        CHECK(ch.size() == 1);
    }

    TEST_CASE("stopped while they wait: the value was not taken, or stays for others") {
        channel<int> ch{1};
        std::string first, second, third, slot, receiver;
        in_scope([&](scope& s) -> task<> {
            stop_source stop, none;
            s.spawn([&] { return receive(ch, receiver, stop); });
            co_await manual::turn{};
            stop.request_stop();
            co_await manual::turn{};
            CHECK(receiver == "cancelled");
            stop_source again;
            s.spawn([&] { return send(ch, 1, first, none); });
            s.spawn([&] { return send(ch, 2, second, again); });
            s.spawn([&] { return note(ch.reserve(), slot, again); });
            s.spawn([&] { return send(ch, 3, third, none); });
            co_await manual::turn{};
            again.request_stop();
            co_await manual::turn{};
            CHECK(first == "done");
            CHECK(second == "cancelled");
            CHECK(slot == "cancelled");
            CHECK(third.empty());
            CHECK(co_await ch.receive() == 1);
            CHECK(co_await ch.receive() == 3);
        });
        CHECK(ch.size() == 0);
    }

    TEST_CASE("a value or room and a stop in the same turn, in both orders: nothing is lost") {
        for (const std::size_t capacity : {0u, 1u}) {
            for (const bool stop_first : {false, true}) {
                CAPTURE(capacity);
                CAPTURE(stop_first);
                channel<int> ch{capacity};
                std::string receiver, sender;
                in_scope([&](scope& s) -> task<> {
                    stop_source stops_receiver, stops_sender;
                    s.spawn([&] { return receive(ch, receiver, stops_receiver); });
                    co_await manual::turn{};
                    if (stop_first) stops_receiver.request_stop();
                    const bool taken = ch.try_send(1);
                    stops_receiver.request_stop();
                    co_await manual::turn{};
                    CHECK(taken == (capacity == 1 || !stop_first));
                    CHECK(receiver == (stop_first ? "cancelled" : "1"));
                    CHECK(ch.size() == (taken && stop_first ? 1 : 0));

                    if (capacity == 1 && ch.size() == 0) CHECK(ch.try_send(1));
                    s.spawn([&] { return send(ch, 2, sender, stops_sender); });
                    co_await manual::turn{};
                    if (stop_first) stops_sender.request_stop();
                    if (capacity == 1) CHECK(ch.try_receive() == 1);
                    const auto got = ch.try_receive();
                    stops_sender.request_stop();
                    co_await manual::turn{};
                    CHECK(sender == (stop_first ? "cancelled" : "done"));
                    CHECK(got.has_value() == !stop_first);
                });
                CHECK(ch.size() == 0);
            }
        }
    }

    TEST_CASE("close: senders get errc::closed, receivers what is there and then the end") {
        for (const std::size_t capacity : {0u, 2u}) {
            CAPTURE(capacity);
            channel<int> ch{capacity};
            std::string sender, slot, later;
            in_scope([&](scope& s) -> task<> {
                stop_source none;
                while (ch.size() < capacity) CHECK(ch.try_send(static_cast<int>(ch.size())));
                s.spawn([&] { return send(ch, 9, sender, none); });
                s.spawn([&] { return note(ch.reserve(), slot, none); });
                co_await manual::turn{};
                CHECK_FALSE(ch.is_closed());
                ch.close();
                ch.close();
                CHECK(ch.is_closed());
                co_await manual::turn{};
                CHECK(sender == "closed on this side");
                CHECK(slot == sender);
                co_await send(ch, 9, later, none);
                CHECK(later == sender);
                CHECK((co_await as_result(ch.reserve())).error() == errc::closed);
                CHECK_FALSE(ch.try_send(9));
                CHECK((co_await drain(ch)).size() == capacity);
                CHECK_FALSE(co_await ch.receive());
                CHECK_FALSE(ch.try_receive());
            });
            channel<int> empty{capacity};
            std::string first, second, third;
            in_scope([&](scope& s) -> task<> {
                stop_source none, stop;
                s.spawn([&] { return receive(empty, first, none); });
                s.spawn([&] { return receive(empty, second, none); });
                s.spawn([&] { return receive(empty, third, stop); });
                co_await manual::turn{};
                CHECK(empty.try_send(5));
                stop.request_stop();
                empty.close();
            });
            CHECK(first == "5");
            CHECK(second == "end");
            CHECK(third == "cancelled");
        }
    }

    TEST_CASE("a slot keeps its room, gives it back, and sends without waiting") {
        channel<std::unique_ptr<int>> ch{1};
        in_scope([&](scope& s) -> task<> {
            auto slot = co_await ch.reserve();
            CHECK(slot);
            CHECK_FALSE(ch.try_send(nullptr));
            auto moved = std::move(slot);
            CHECK_FALSE(slot);  // NOLINT
            auto value = std::make_unique<int>(1);
            moved.send(std::move(value));
            CHECK_FALSE(moved);
            CHECK(ch.size() == 1);
            value = std::make_unique<int>(2);
            CHECK_THROWS_AS(moved.send(std::move(value)), error);
            CHECK(value);  // NOLINT: it was not taken
            CHECK(**co_await ch.receive() == 1);
            {
                auto dropped = co_await ch.reserve();
                s.spawn([&]() -> task<> { co_await ch.send(std::make_unique<int>(3)); });
                co_await manual::turn{};
                CHECK(ch.size() == 0);
            }
            CHECK(ch.size() == 1);
            CHECK(**co_await ch.receive() == 3);
            slot = co_await ch.reserve();
            // All room is reserved: who sends waits, and hands over to who receives.
            s.spawn([&]() -> task<> { co_await ch.send(std::make_unique<int>(4)); });
            co_await manual::turn{};
            CHECK(**co_await ch.receive() == 4);
            ch.close();
            CHECK_THROWS_AS(slot.send(std::move(value)), error);
            CHECK(*value == 2);  // NOLINT
        });
        static_assert(!std::is_copy_constructible_v<channel<int>::slot> && !std::is_aggregate_v<channel<int>::slot>);
    }

    TEST_CASE("when the first in line is stopped, those behind it go on at once") {
        channel<int> ch{1};
        std::string second, sender, receiver, last;
        stop_source stop, none;
        in_scope([&](scope& s) -> task<> {
            auto slot = co_await ch.reserve();
            s.spawn([&] { return note(ch.reserve(), second, stop); });
            s.spawn([&] { return send(ch, 1, sender, none); });
            s.spawn([&] { return receive(ch, receiver, none); });
            co_await manual::turn{};
            CHECK_FALSE(ch.try_send(2));  // nobody is overtaken, also where a receiver waits
            CHECK_FALSE(ch.try_receive());
            s.spawn([&] { return send(ch, 3, last, none); });
            co_await manual::turn{};
            CHECK(last.empty());
            stop.request_stop();
            co_await manual::turn{};
            CHECK(second == "cancelled");
            CHECK(sender == "done");
            CHECK(receiver == "1");
            CHECK(last.empty());
            slot.release();
        });
        CHECK(last == "done");
        CHECK(ch.try_receive() == 3);
    }

    TEST_CASE("capacity 0: a slot comes with a receiver, and if that leaves, the value waits for the next") {
        for (const bool leaves : {false, true}) {
            channel<int> ch{0};
            std::string receiver;
            std::vector<int> got;
            in_scope([&](scope& s) -> task<> {
                stop_source stop;
                s.spawn([&]() -> task<> {
                    auto slot = co_await ch.reserve();
                    co_await turns(2);
                    slot.send(7);
                });
                s.spawn([&]() -> task<> { co_await ch.send(8); });
                co_await turns(2);
                s.spawn([&] { return receive(ch, receiver, stop); });
                co_await manual::turn{};
                if (leaves) stop.request_stop();
                co_await turns(4);
                while (auto value = ch.try_receive()) got.push_back(*value);
            });
            // The receiver is served by whoever sends first.
            CHECK(receiver == "8");
            CHECK(got == std::vector{7});
        }
        channel<int> ch{0};
        std::string receiver;
        in_scope([&](scope& s) -> task<> {
            stop_source stop;
            s.spawn([&] { return receive(ch, receiver, stop); });
            co_await manual::turn{};
            auto slot = co_await ch.reserve();
            stop.request_stop();
            slot.send(7);
            CHECK(ch.size() == 1);
            CHECK(co_await ch.receive() == 7);
            CHECK(ch.size() == 0);
        });
        CHECK(receiver == "cancelled");
    }

    TEST_CASE("an error in the scope: those who wait leave, values stay") {
        channel<int> ch{1};
        auto body = [&](scope& s) -> task<> {
            for (int i = 0; i < 3; ++i) s.spawn([&, i]() -> task<> { co_await ch.send(i); });
            s.spawn([&]() -> task<> { (void)co_await ch.reserve(); });
            co_await manual::turn{};
            throw std::runtime_error{"enough"};
        };
        CHECK_THROWS_WITH_AS(in_scope(body), "enough", std::runtime_error);
        CHECK(ch.try_receive() == 0);
        CHECK_FALSE(ch.try_receive());
    }

    TEST_CASE("in when_any and with_timeout no value is lost") {
        channel<int> left{1}, right{0};
        test::fake_backend io;
        auto program = [&]() -> task<> {
            CHECK((co_await as_result(with_timeout(1ms, left.receive()))).error() == errc::timed_out);
            CHECK((co_await as_result(with_timeout(1ms, right.send(1)))).error() == errc::timed_out);
            CHECK_FALSE(right.try_receive());
            CHECK(left.try_send(2));
            auto first = co_await when_any(right.receive(), left.receive());
            CHECK(first.index == 1);
            CHECK(**std::get<1>(first.results) == 2);
            auto sends = [&](scope& s) -> task<> {
                s.spawn([&]() -> task<> {
                    co_await sleep_for(1ms);
                    CHECK(right.try_send(3));
                    CHECK(left.try_send(4));
                });
                auto both = co_await when_any(right.receive(), left.receive());  // in the same turn
                CHECK(**std::get<0>(both.results) == 3);
                CHECK(**std::get<1>(both.results) == 4);
                s.spawn([&]() -> task<> {
                    co_await sleep_for(1ms);
                    (void)left.try_send(5);
                });
                auto late = co_await as_result(with_timeout(1ms, left.receive()));
                co_await sleep_for(1ms);
                CHECK(late.has_value() != left.try_receive().has_value());
            };
            co_await with_scope(sends);
        };
        test::run_on(io, program());
    }

    TEST_CASE("100,000 times: no stack, no allocation") {
        channel<int> ch{200'002};
        in_scope([&](scope&) -> task<> {
            co_await many_times([&] { return ch.send(1); });
            co_await many_times([&] { return ch.receive(); });
            co_await many_times([&] { return ch.reserve(); });
        });
        for (const std::size_t capacity : {0u, 1u, 16u}) {
            channel<int> pipe{capacity};
            in_scope([&](scope& s) -> task<> {
                s.spawn([&]() -> task<> {
                    for (int i = 0; i <= 100'000; ++i) co_await pipe.send(i);
                });
                co_await many_times([&] { return pipe.receive(); });
            });
        }
    }

    TEST_CASE("each value is made once and destroyed once, also those that nobody received") {
        tracked::alive = tracked::wrong = 0;
        {
            channel<tracked> ch{2};
            in_scope([&](scope& s) -> task<> {
                co_await ch.send(tracked{1});
                const tracked copied{2};
                co_await ch.send(copied);
                s.spawn([&]() -> task<> { co_await ch.send(tracked{4}); });
                co_await manual::turn{};
                CHECK((co_await ch.receive())->value == 1);
                s.request_stop();
            });
            CHECK(tracked::alive == 2);
            (void)ch.try_receive();
            CHECK(tracked::alive == 1);
        }
        CHECK(tracked::alive == 0);
        CHECK(tracked::wrong == 0);
    }

    TEST_CASE("a move that throws comes out of the send before the channel has the value, else out of the receive") {
        channel<fragile> ch{1}, none{0};
        std::vector<std::string> ends(3);
        in_scope([&](scope& s) -> task<> {
            const auto sends = [&](channel<fragile>& to, std::size_t i) {
                s.spawn([&, i]() -> task<> {
                    try {
                        co_await to.send(static_cast<int>(i));
                        ends[i] = "done";
                    } catch (const std::runtime_error& e) {
                        ends[i] = e.what();
                    }
                });
            };
            fragile::moves_left = 0;
            CHECK_THROWS_AS(co_await ch.send(9), std::runtime_error);
            CHECK(ch.size() == 0);
            sends(ch, 0), sends(ch, 1), sends(ch, 2);
            co_await manual::turn{};
            fragile::moves_left = 0;
            CHECK_THROWS_AS(static_cast<void>(ch.try_receive()), std::runtime_error);  // it stays
            CHECK(ch.size() == 1);
            fragile::moves_left = 1;  // what comes into its place, from a sender who waits
            std::optional<fragile> first = ch.try_receive();
            fragile::moves_left = -1;
            co_await manual::turn{};
            CHECK(first->value == 0);
            CHECK(ends == std::vector<std::string>{"done", "broke", "done"});
            CHECK(ch.try_receive()->value == 2);

            // From a sender to a receiver: the sender fails, and the receiver has the next.
            ends = {"", "", ""};
            sends(none, 0), sends(none, 1);
            co_await manual::turn{};
            fragile::moves_left = 0;
            CHECK(none.try_receive()->value == 1);
            co_await manual::turn{};
            CHECK(ends[0] == "broke");
            CHECK(ends[1] == "done");

            // To a receiver who waits: it goes on waiting.
            int received = 0;
            s.spawn([&]() -> task<> { received = (co_await none.receive())->value; });
            co_await manual::turn{};
            fragile::moves_left = 0;
            CHECK_THROWS_AS(co_await none.send(3), std::runtime_error);
            fragile::moves_left = 0;
            CHECK_THROWS_AS(static_cast<void>(none.try_send(fragile{4})), std::runtime_error);
            auto slot = co_await none.reserve();
            fragile::moves_left = 0;
            CHECK_THROWS_AS(slot.send(fragile{5}), std::runtime_error);
            CHECK(slot);
            CHECK(received == 0);
            slot.send(6);
            co_await manual::turn{};
            CHECK(received == 6);
        });
    }

    TEST_CASE("whichever move throws, the channel goes on") {
        tracked::alive = tracked::wrong = 0;
        int broken = 0;
        for (int fails_at = 0; fails_at < 40; ++fails_at) {
            for (const std::size_t capacity : {0u, 1u, 2u}) {
                channel<fragile> ch{capacity};
                std::vector<int> got;
                int sending = 4, failures = 0;
                in_scope([&](scope& s) -> task<> {
                    for (int i = 0; i < 4; ++i) {
                        s.spawn([&, i]() -> task<> {
                            try {
                                if (i == 3) {
                                    auto slot = co_await ch.reserve();
                                    slot.send(fragile{i});
                                } else {
                                    co_await ch.send(i);
                                }
                            } catch (const std::runtime_error&) {
                                ++failures;
                            }
                            if (--sending == 0) ch.close();
                        });
                    }
                    if (fails_at % 2) co_await manual::turn{};
                    fragile::moves_left = fails_at;
                    for (bool over = false; !over;) {
                        try {
                            auto value = co_await ch.receive();
                            if (value) got.push_back(value->value);
                            else over = true;
                        } catch (const std::runtime_error&) {
                            ++failures;
                        }
                    }
                    fragile::moves_left = -1;
                });
                CHECK(got.size() + static_cast<std::size_t>(failures) >= 4);
                CHECK(got.size() >= 3);
                for (std::size_t i = 1; i < got.size(); ++i) CHECK(got[i - 1] < got[i]);
                CHECK(ch.size() == 0);
                broken += failures;
            }
        }
        CHECK(broken > 20);
        CHECK(tracked::alive == 0);
        CHECK(tracked::wrong == 0);
    }

    TEST_CASE("a random market: every value arrives once, or its sender knows that it was not taken") {
        int cancelled = 0, values = 0, dropped = 0;
        for (std::uint64_t seed = 1; seed <= 40; ++seed) {
            CAPTURE(seed);
            market m{seed % 4, seed};
            m.run(1 + seed % 5, 1 + seed / 5 % 4);
            cancelled += m.cancelled;
            values += m.made;
            dropped += m.dropped_slots;
        }
        CHECK(cancelled > 1000);
        CHECK(values > 5000);
        CHECK(dropped > 500);
    }

    TEST_CASE("destroyed after its waiters it is silent, before it says what to do instead") {
        in_scope([](scope&) -> task<> {
            channel<int> ch{0};
            co_await with_scope([&](scope& s) {
                for (int i = 0; i < 3; ++i) s.spawn([&ch]() -> task<> { co_await ch.send(1); });
                s.spawn([&ch]() -> task<> {
                    for (int i = 0; i < 3; ++i) co_await ch.receive();
                });
            });
        });
        const auto has = [](const std::string& text, const char* part) { return text.find(part) != text.npos; };
        const std::string held = words_of_abort([] {
            in_scope([](scope&) -> task<> {
                channel<int>::slot slot;
                channel<int> ch{1};
                slot = co_await ch.reserve();
            });
        });
        CHECK(has(held, "a channel was destroyed while tasks wait for it or hold its slots"));
        const std::string awaited = words_of_abort([] {
            in_scope([](scope& s) -> task<> {
                channel<int> ch{0};
                s.spawn([&]() -> task<> { co_await ch.receive(); });
                co_await manual::turn{};
            });
        });
        CHECK(has(awaited, "before the with_scope"));
    }
}
