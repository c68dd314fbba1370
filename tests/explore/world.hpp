#pragma once
// One schedule of the explorer: two sides that write and read under time-outs, stops and faults, and what must hold.

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <hawser/hawser.hpp>
#include <hawser/test/random.hpp>
#include <hawser/test/stream.hpp>

namespace explore {

namespace hw = hawser;
using namespace std::chrono_literals;

/// Something that must never happen has happened.
struct violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};
/// What a task of the program throws on purpose.
struct thrown_on_purpose {};

/// What all schedules have met, so that a run that explored nothing shows.
struct tally {
    std::uint64_t schedules = 0, operations = 0, timed_out = 0, cancelled = 0, finished_although_stopped = 0, partial = 0, scope_errors = 0,
                  proper_ends = 0, cut_ends = 0, bytes = 0, failed_handshakes = 0;
};

/// One direction. Each byte follows from its position, so a lost, doubled or foreign one is seen where it is read.
struct flow {
    std::uint64_t key = 0;
    std::uint64_t accepted = 0, received = 0;
    bool ended_by_writer = false;              // shutdown_send() or close() was begun
    bool read_to_end = false;                  // the reader saw the proper end
    std::optional<hw::error_info> read_error;  // or this
    std::optional<hw::error_info> write_error;
    int writers = 0;  // that have the mutex
    bool may_be_cut = false, may_reset = false, may_stall = false;  // by a fault of the line, or a side that left early

    /// Writes what stands from `position` on to `into`.
    void fill(std::span<std::byte> into, std::uint64_t position) const noexcept {
        std::uint64_t word = hw::test::random::mix(key + position / 8);
        for (std::byte& b : into) {
            b = static_cast<std::byte>(word >> (position % 8 * 8));
            if (++position % 8 == 0) word = hw::test::random::mix(key + position / 8);
        }
    }
    /// The next `n` bytes to write.
    std::vector<std::byte> next(std::size_t n) const {
        std::vector<std::byte> bytes(n);
        fill(bytes, accepted);
        return bytes;
    }
    void check(std::span<const std::byte> got, const char* by) {
        std::array<std::byte, 4096> expected;
        for (std::size_t n; !got.empty(); got = got.subspan(n)) {
            n = std::min(got.size(), expected.size());
            fill({expected.data(), n}, received);
            if (std::memcmp(got.data(), expected.data(), n) != 0) {
                throw violation{std::string{by} + ": not the bytes that stand at position " + std::to_string(received) + " and after it: some were lost, doubled or changed"};
            }
            received += n;
        }
    }
};

struct side {
    const char* name = "";
    hw::any_stream line;
    flow* in = nullptr;
    flow* out = nullptr;
    bool closing = false;  // close() was begun
};

struct world {
    world(std::uint64_t seed, tally& of, const hw::test::reactor& r) : choice{~seed}, counts{of}, on{&r} {
        for (flow& f : flows) f.key = choice.next();
        sides[0] = {"near", {}, &flows[1], &flows[0]};
        sides[1] = {"far", {}, &flows[0], &flows[1]};
    }
    hw::duration below(hw::duration limit) { return hw::duration{static_cast<hw::duration::rep>(choice.below(static_cast<std::uint64_t>(limit.count())))}; }
    /// Mostly around the time in which things happen, sometimes long.
    hw::duration a_while() { return choice.one_in(4) ? hw::duration::zero() : choice.one_in(5) ? below(3s) : below(20ms); }

    /// In a calm world most operations wait undisturbed, so that one that is never woken is a deadlock and not a time-out.
    std::uint64_t way() { return calm && !choice.one_in(6) ? 0 : choice.below(10); }

    hw::test::random choice;
    tally& counts;
    bool calm = choice.one_in(3);
    const hw::test::reactor* on;
    std::array<flow, 2> flows;
    std::array<side, 2> sides;
    bool tls = false;
};

template <class T> bool was_stopped(const hw::result<T>& r) {
    return !r && (r.error() == hw::errc::cancelled || (r.error() == hw::errc::timed_out && r.error().doing() == hw::phase::none));
}

/// Sleeps, and looks at the clock.
inline hw::task<> pause(world& w, hw::duration d) {
    const hw::time_point until = w.on->now() + d;
    co_await hw::sleep_for(d);
    if (w.on->now() != until) throw violation{"a sleep took another time than it was given"};
}

template <class Op> hw::task<> into(Op op, std::optional<hw::result<hw::await_result_t<Op>>>& result) { result.emplace(co_await hw::as_result(std::move(op))); }

inline hw::task<> stop_after(hw::duration d, hw::scope& all) {
    co_await hw::sleep_for(d);
    all.request_stop();
}
inline hw::task<> throw_after(hw::duration d) {
    co_await hw::sleep_for(d);
    throw thrown_on_purpose{};
}

/// Awaits `op` in one of the ways in which it may be cut short, and gives what came of it.
template <class Op> hw::operation<hw::await_result_t<Op>> disturbed(world& w, Op op) {
    using T = hw::await_result_t<Op>;
    using result = hw::result<T>;
    ++w.counts.operations;
    const auto way = w.way();
    const hw::time_point began = w.on->now();
    hw::duration limit = hw::duration::max();
    const auto a_while = [&] { return limit = w.a_while(); };
    result ended{hw::errc::cancelled};
    if (way <= 1) {
        ended = co_await hw::as_result(std::move(op));
    } else if (way <= 3) {
        ended = co_await hw::as_result(hw::with_timeout(a_while(), std::move(op)));
    } else if (way == 4) {
        auto race = co_await hw::when_any(std::move(op), hw::sleep_for(a_while()));
        if (auto& first = std::get<0>(race.results)) ended = *std::move(first);
        if (race.index == 1 && ended) ++w.counts.finished_although_stopped;
    } else if (way <= 6) {
        std::optional<result> kept;
        auto children = [&](hw::scope& all) {
            all.spawn(into<Op>, std::move(op), std::ref(kept));
            if (way == 5) all.spawn(stop_after, a_while(), std::ref(all));
            else all.spawn(throw_after, a_while());
        };
        try {
            co_await hw::with_scope(children);
        } catch (const thrown_on_purpose&) {
            ++w.counts.scope_errors;
        } catch (const hw::cancelled&) {
            // Of the task itself; what the child had is in `kept`.
        }
        if (kept) ended = *std::move(kept);
    } else if (way == 7) {
        ended = co_await hw::as_result(hw::shield(std::move(op), a_while()));
        if (!ended && ended.error() == hw::errc::cancelled) throw violation{"a shielded operation was stopped with its task"};
    } else if (way == 9) {
        // As the value of a scope whose child stops it, or throws after it.
        auto body = [&](hw::scope& all) -> hw::task<std::optional<result>> {
            all.spawn(stop_after, a_while(), std::ref(all));
            co_return std::optional<result>{co_await hw::as_result(std::move(op))};
        };
        auto got = co_await hw::as_result(hw::with_scope(body));
        if (got && *got) ended = std::move(**got);
        else if (!got) ended = got.error();
    } else {
        try {
            if constexpr (std::is_void_v<T>) {
                co_await hw::with_timeout(a_while(), std::move(op));
                ended = result{};
            } else {
                ended = result{co_await hw::with_timeout(a_while(), std::move(op))};
            }
        } catch (const hw::error& e) {
            ended = e.info();
        } catch (const hw::cancelled& c) {
            ended = hw::error_info{hw::errc::cancelled}.with_transferred(c.transferred());
        }
    }
    const hw::duration took = w.on->now() - began;
    const bool timed = way == 2 || way == 3 || way == 7 || way == 8;
    if (way >= 2 && way != 9 && limit != hw::duration::max() && took > limit) throw violation{"an operation took longer than its limit"};
    if (timed && was_stopped(ended) && ended.error() == hw::errc::timed_out && took != limit) throw violation{"timed out before its time"};
    if (!ended && ended.error() == hw::errc::timed_out) ++w.counts.timed_out;
    if (!ended && ended.error() == hw::errc::cancelled) ++w.counts.cancelled;
    if (!ended && ended.error().transferred()) ++w.counts.partial;
    co_return ended;
}

}  // namespace explore
