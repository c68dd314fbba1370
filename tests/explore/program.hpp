#pragma once
// The tasks of a schedule: readers and writers in several styles, and how each side ends.

#include "world.hpp"

namespace explore {

/// A task that goes on after each stop of an operation ends when it is itself that was stopped.
inline hw::operation<bool> is_over() { co_return (co_await hw::get_stop_token()).stop_requested(); }

/// Whether a reader goes on after `r`; counts and checks what came.
template <class T> bool reads_on(world& w, side& me, const hw::result<T>& r, std::size_t got, bool ended) {
    w.counts.bytes += got;
    if (r && !ended) return true;
    if (was_stopped(r)) return true;
    if (r || r.error() == hw::errc::end_of_stream) {
        me.in->read_to_end = true;
        ++w.counts.proper_ends;
    } else {
        me.in->read_error = r.error();
        ++w.counts.cut_ends;
    }
    return false;
}

/// Reads on the stream itself, with each kind of read.
inline hw::task<> read_plainly(world& w, side& me) {
    std::vector<std::byte> buffer(1 + w.choice.below(w.choice.one_in(4) ? 300'000 : 3'000));
    while (!co_await is_over()) {
        if (w.choice.one_in(8)) co_await pause(w, w.below(20ms));
        const std::size_t size = 1 + static_cast<std::size_t>(w.choice.below(buffer.size()));
        const auto kind = w.choice.below(3);
        if (kind == 0) {
            const auto n = co_await hw::as_result(disturbed(w, me.line.read_some(hw::mutable_buffer{buffer.data(), size})));
            const std::size_t got = n ? *n : n.error().transferred();
            me.in->check({buffer.data(), got}, "read_some");
            if (!reads_on(w, me, n, got, n && *n == 0)) co_return;
        } else if (kind == 1) {
            const auto chunk = co_await hw::as_result(disturbed(w, me.line.read()));
            if (chunk && *chunk && me.closing) me.in->received += (*chunk)->size();  // close() took the lent buffer back
            else if (chunk && *chunk) me.in->check(**chunk, "read");
            if (!reads_on(w, me, chunk, chunk && *chunk ? (*chunk)->size() : 0, chunk && !*chunk)) co_return;
        } else {
            const auto n = co_await hw::as_result(disturbed(w, hw::read_exactly(me.line, hw::mutable_buffer{buffer.data(), size})));
            const std::size_t got = n ? *n : n.error().transferred();
            me.in->check({buffer.data(), got}, "read_exactly");
            if (!reads_on(w, me, n, got, false)) co_return;
        }
    }
}

/// Reads through a look-ahead buffer, which has to keep what an operation had read when it was cut short.
inline hw::task<> read_buffered(world& w, side& me) {
    hw::buffered in{me.line};
    std::vector<std::byte> buffer(4'000);
    while (!co_await is_over()) {
        if (w.choice.one_in(8)) co_await pause(w, w.below(20ms));
        const auto kind = w.choice.below(3);
        if (kind == 0) {
            const auto n = co_await hw::as_result(disturbed(w, in.fill()));
            const std::size_t some = static_cast<std::size_t>(w.choice.below(in.peek().size() + 1));
            me.in->check(in.peek().first(some), "fill");
            in.consume(some);
            if (!reads_on(w, me, n, some, n && *n == 0)) break;
        } else if (kind == 1) {
            const auto text = co_await hw::as_result(disturbed(w, in.read_until("\n", 2'000)));
            if (text) me.in->check(std::as_bytes(std::span{*text}), "read_until");
            if (text || !(text.error() == hw::errc::limit_exceeded)) {
                if (!reads_on(w, me, text, text ? text->size() : 0, false)) break;
                continue;
            }
            const std::size_t all = in.peek().size();
            me.in->check(in.peek(), "read_until, what it left");
            in.consume(all);
        } else {
            const auto n = co_await hw::as_result(disturbed(w, in.read_some(hw::mutable_buffer{buffer.data(), buffer.size()})));
            const std::size_t got = n ? *n : n.error().transferred();
            me.in->check({buffer.data(), got}, "buffered read_some");
            if (!reads_on(w, me, n, got, n && *n == 0)) break;
        }
    }
    me.in->check(in.peek(), "what was left at the end");
}

struct closes {
    hw::channel<std::vector<std::byte>>& what;
    ~closes() { what.close(); }
};
/// Hands what it reads to another task through a channel, where sends and receives are cut short too.
inline hw::task<> read_into(world& w, side& me, hw::channel<std::vector<std::byte>>& to) {
    std::vector<std::byte> buffer(2'000);
    const closes at_end{to};
    while (!co_await is_over()) {
        auto room = co_await to.reserve();
        const auto n = co_await hw::as_result(disturbed(w, me.line.read_some(hw::mutable_buffer{buffer.data(), buffer.size()})));
        if (n && *n != 0) {
            room.send(std::vector<std::byte>{buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*n)});
        }
        if (!reads_on(w, me, n, n ? *n : 0, n && *n == 0)) break;
    }
}
inline hw::task<> check_all(world& w, side& me, hw::channel<std::vector<std::byte>>& from) {
    while (!co_await is_over()) {
        const auto some = co_await hw::as_result(disturbed(w, from.receive()));
        if (some && !*some) co_return;
        if (some) me.in->check(**some, "a channel");
        else if (!was_stopped(some)) throw violation{"receive: " + some.error().message()};
    }
}
inline hw::task<> read_through_channel(world& w, side& me) {
    hw::channel<std::vector<std::byte>> between{static_cast<std::size_t>(w.choice.below(3))};
    auto both = [&](hw::scope& all) {
        all.spawn(read_into, std::ref(w), std::ref(me), std::ref(between));
        all.spawn(check_all, std::ref(w), std::ref(me), std::ref(between));
    };
    const auto ended = co_await hw::as_result(hw::with_scope(both));
    while (auto rest = between.try_receive()) me.in->check(*rest, "what was left in a channel");
    if (!ended) hw::throw_error(ended.error());
}

/// Reads through a generator, which goes on after each stop of a next().
inline hw::generator<std::vector<std::byte>> chunks(side& me, hw::result<std::size_t>& last) {
    std::vector<std::byte> buffer(3'000);
    for (;;) {
        last = co_await hw::as_result(me.line.read_some(hw::mutable_buffer{buffer.data(), buffer.size()}));
        std::vector<std::byte> got{buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(last ? *last : last.error().transferred())};
        co_yield std::move(got);
    }
}
inline hw::task<> read_generated(world& w, side& me) {
    hw::result<std::size_t> last = std::size_t{1};
    auto all = chunks(me, last);
    while (!co_await is_over()) {
        auto some = co_await hw::as_result(disturbed(w, all.next()));
        if (!some && !was_stopped(some)) throw violation{"next: " + some.error().message()};
        if (!some) continue;  // refused: the body was left as it is
        if (!*some) throw violation{"next: the generator ended"};
        me.in->check(**some, "a generator");
        if (!reads_on(w, me, last, (*some)->size(), last && *last == 0)) co_return;
    }
}

/// Takes permits under stops: never more than there are, and all are back in the end.
inline hw::task<> hold_some(world& w, hw::semaphore& of, std::size_t& held) {
    struct count {
        std::size_t& all;
        std::size_t mine;
        ~count() { all -= mine; }
    };
    for (int i = 0; i < 4 && !co_await is_over(); ++i) {
        const std::size_t k = 1 + static_cast<std::size_t>(w.choice.below(3));
        auto got = co_await hw::as_result(disturbed(w, of.hold(k)));
        if (!got) continue;
        const count in{held, k};
        if ((held += k) > 3) throw violation{"semaphore: more permits are held than there are"};
        static_cast<void>(co_await hw::as_result(pause(w, w.below(5ms))));
    }
}
inline hw::task<> share(world& w) {
    hw::semaphore of{3};
    std::size_t held = 0;
    auto all = [&](hw::scope& s) {
        for (int i = 0; i < 4; ++i) s.spawn(hold_some, std::ref(w), std::ref(of), std::ref(held));
    };
    const auto ended = co_await hw::as_result(hw::with_scope(all));
    if (of.available() != 3) throw violation{"semaphore: permits were lost"};
    if (!ended) hw::throw_error(ended.error());
}

/// Writes `budget` bytes; several writers of a side take turns by the mutex. What a write says that it took is what
/// the reader must get.
inline hw::task<> write_some(world& w, side& me, hw::mutex& turn, std::size_t budget) {
    const std::size_t most = w.choice.one_in(budget > 50'000 ? 2 : 10) ? 400'000 : 3'000;
    while (budget > 0 && !co_await is_over()) {
        if (w.choice.one_in(6)) co_await pause(w, w.below(20ms));
        auto mine = co_await hw::as_result(disturbed(w, turn.lock()));
        if (mine && me.out->writers++ != 0) throw violation{"lock: two have it"};
        struct leave {
            flow* of;
            ~leave() { if (of) --of->writers; }
        } const at_end{mine ? me.out : nullptr};
        if (!mine) {
            if (was_stopped(mine)) continue;
            throw violation{"lock: " + mine.error().message()};
        }
        std::size_t size = 1 + static_cast<std::size_t>(w.choice.below(most));
        if (size > budget) size = budget;
        const std::vector<std::byte> bytes = me.out->next(size);
        const std::size_t first = static_cast<std::size_t>(w.choice.below(size + 1));
        const hw::const_buffer a{bytes.data(), first}, b{bytes.data() + first, size - first};
        const auto n = co_await hw::as_result(disturbed(w, me.line.write(a, b)));
        const std::size_t took = n ? *n : n.error().transferred();
        if (took > size || (n && took != size)) throw violation{"write: it took " + std::to_string(took) + " of " + std::to_string(size) + " bytes"};
        me.out->accepted += took;
        budget -= took;
        if (!n && !was_stopped(n)) {
            me.out->write_error = n.error();  // the line is broken: check_end() looks whether it may be
            co_return;
        }
        if (!w.choice.one_in(10)) continue;
        const auto flushed = co_await hw::as_result(disturbed(w, me.line.flush()));
        if (flushed && !w.tls && me.line.unsent() != 0) throw violation{"flush: it ended with " + std::to_string(me.line.unsent()) + " bytes unsent"};
        if (!flushed && !was_stopped(flushed)) {
            me.out->write_error = flushed.error();
            co_return;
        }
    }
}

inline hw::task<> write_side(world& w, side& me) {
    hw::mutex turn;
    const std::size_t budget = static_cast<std::size_t>(w.choice.below(w.choice.one_in(6) ? 900'000 : 20'000));
    auto writers = [&](hw::scope& all) {
        const auto count = 1 + w.choice.below(3);
        for (std::uint64_t i = 0; i < count; ++i) all.spawn(write_some, std::ref(w), std::ref(me), std::ref(turn), budget / count);
    };
    if (w.choice.one_in(4)) me.line.set_write_timeout(1ms + w.below(2s));
    co_await hw::with_scope(writers);
    if (&me == &w.sides[0] && w.choice.one_in(4)) co_return;  // the side may leave with a last word, see run_side()
    if (!w.choice.one_in(4)) {
        me.out->ended_by_writer = true;
        while (was_stopped(co_await hw::as_result(disturbed(w, me.line.shutdown_send()))) && !co_await is_over()) co_await hw::yield();
    } else if (w.choice.one_in(2)) {
        me.out->ended_by_writer = me.closing = true;
        static_cast<void>(co_await hw::as_result(disturbed(w, me.line.close())));
    } else {
        co_await hw::sleep_for(w.below(5s));
        throw thrown_on_purpose{};  // the side leaves without a word
    }
}

inline hw::task<> begin_late(world& w, side& me, hw::duration by, hw::task<> (*read)(world&, side&)) {
    if (by != hw::duration::zero()) co_await pause(w, by);
    co_await read(w, me);
}

/// Both directions of one side, and then its end.
inline hw::task<> run_side(world& w, side& me) {
    const auto style = w.choice.below(4);
    const auto late = w.choice.one_in(8) ? w.below(3s) : hw::duration::zero();
    auto both = [&](hw::scope& all) {
        all.spawn(begin_late, std::ref(w), std::ref(me), late, style == 0 ? read_plainly : style == 1 ? read_buffered : style == 2 ? read_generated : read_through_channel);
        if (w.choice.one_in(4)) all.spawn(share, std::ref(w));
        all.spawn(write_side, std::ref(w), std::ref(me));
        if (w.choice.one_in(6)) all.spawn(stop_after, w.below(10s), std::ref(all));
        if (w.choice.one_in(6)) all.spawn(throw_after, w.below(10s));
    };
    try {
        co_await hw::with_scope(both);
    } catch (const thrown_on_purpose&) {
        ++w.counts.scope_errors;
    }
    // A side that leaves while the other still writes resets the line, as the kernel does.
    if (!me.in->read_to_end) me.in->may_reset = me.out->may_reset = true;
    if (me.in->read_to_end && !me.out->ended_by_writer && !me.out->write_error) {
        const std::vector<std::byte> bytes = me.out->next(1 + static_cast<std::size_t>(w.choice.below(50'000)));
        const auto n = co_await hw::as_result(me.line.write(bytes));
        me.out->accepted += n ? *n : n.error().transferred();
    }
    if (w.choice.one_in(2)) {
        me.out->ended_by_writer = true;
        static_cast<void>(co_await hw::as_result(disturbed(w, me.line.close())));
    }
    me.line = hw::any_stream{};
}

}  // namespace explore
