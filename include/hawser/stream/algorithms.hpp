#pragma once
// read_exactly, read_all, write_all, copy: written once for every stream.

#include <string>

#include <hawser/base/defaults.hpp>
#include <hawser/coro/task.hpp>
#include <hawser/stream/stream.hpp>

namespace hawser {

/// Fills `into`, which must live until the await ends, and gives its size. Throws errc::end_of_stream when the peer ends
/// before; transferred() of any error says how many bytes are in `into`.
template <stream S> operation<std::size_t> read_exactly(S& from, mutable_buffer into) {
    std::size_t have = 0;
    while (have < into.size()) {
        auto n = co_await as_result(from.read_some(mutable_buffer{into.data() + have, into.size() - have}));
        if (!n) co_return n.error().with_transferred(have + n.error().transferred());
        if (*n == 0) co_return error_info{errc::end_of_stream}.with_transferred(have);
        have += *n;
    }
    co_return have;
}

/// Reads to the proper end and gives everything. Throws errc::limit_exceeded when more than `limit` bytes come, and
/// errc::truncated where a TLS stream was cut; transferred() says how much had come.
template <stream S> operation<std::string> read_all(S& from, std::size_t limit = defaults::read_all_limit) {
    std::string all;
    std::size_t have = 0;
    for (;;) {
        if (have == all.size()) {
            // One byte beyond the limit tells a body that is exactly as long from one that is longer.
            const std::size_t wanted = all.empty() ? 4096 : all.size() * 2;
            all.resize(wanted > limit && limit >= have ? limit + 1 : wanted);
        }
        auto n = co_await as_result(from.read_some(mutable_buffer{all.data() + have, all.size() - have}));
        if (!n) co_return n.error().with_transferred(have + n.error().transferred());
        if (*n == 0) break;
        have += *n;
        if (have > limit) {
            co_return error_info{make_error_code(errc::limit_exceeded), phase::read, {},
                                 "read_all of more than " + std::to_string(limit) + " bytes; pass a larger limit", have};
        }
    }
    all.resize(have);
    co_return std::move(all);
}

/// Writes all of `from`, which must live until the await ends, and gives its size. transferred() of an error says how
/// much was accepted. The library's own streams write all by themselves; others may take less at once.
template <stream S> operation<std::size_t> write_all(S& to, const_buffer from) {
    std::size_t done = 0;
    while (done < from.size()) {
        auto n = co_await as_result(to.write(from.dropped(done)));
        if (!n) co_return n.error().with_transferred(done + n.error().transferred());
        if (*n == 0) {
            co_return error_info{make_error_code(errc::closed), phase::write, {}, "the stream accepted nothing", done};
        }
        done += *n;
    }
    co_return done;
}

/// Copies from one stream to another until the proper end of `from`, and gives the number of bytes. transferred() of an
/// error says how many were accepted by `to`; at most one chunk had been read besides. Neither stream is closed.
template <stream From, stream To> operation<std::size_t> copy(From& from, To& to) {
    std::size_t total = 0;
    if constexpr (requires { from.read(); }) {
        for (;;) {
            auto chunk = co_await as_result(from.read());
            if (!chunk) co_return chunk.error().with_transferred(total);
            if (!*chunk) co_return total;
            auto n = co_await as_result(write_all(to, const_buffer{**chunk}));
            if (!n) co_return n.error().with_transferred(total + n.error().transferred());
            total += *n;
        }
    } else {
        std::byte buffer[4096];
        for (;;) {
            auto got = co_await as_result(from.read_some(buffer));
            if (!got) co_return got.error().with_transferred(total);
            if (*got == 0) co_return total;
            auto n = co_await as_result(write_all(to, const_buffer{buffer, *got}));
            if (!n) co_return n.error().with_transferred(total + n.error().transferred());
            total += *n;
        }
    }
}

}  // namespace hawser
