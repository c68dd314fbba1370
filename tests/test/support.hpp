#pragma once
// What the tests of the test kit share.

#include <chrono>
#include <ostream>
#include <string>

#include <hawser/coro/when_all.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/stream/algorithms.hpp>
#include <hawser/test/stream.hpp>

#include "../support/doctest.hpp"

namespace kit_test {

namespace hw = hawser;
using namespace std::chrono_literals;
using hawser::errc;

inline hw::time_point now() { return hw::reactor::current()->now(); }

/// Text in which each part can be told from every other.
inline std::string text_of(std::size_t size, std::uint64_t seed = 1) {
    hw::test::random random{seed};
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(random.next());
    return text;
}

/// How an operation failed; no failure if it did not.
template <class F> hw::error_info error_of(F f) {
    try {
        f();
    } catch (const hw::error& e) {
        return e.info();
    }
    return hw::error_info::none();
}

inline bool is_errno(std::error_code e, int number) { return e == std::error_code{number, std::system_category()}; }
inline bool is_errno(const hw::error_info& e, int number) { return is_errno(e.code(), number); }
inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

/// Reads to the end, or an error, and says when each piece came.
struct reading {
    std::string text;
    std::vector<std::pair<hw::duration, std::size_t>> pieces;
    hw::error_info failure = hw::error_info::none();
    hw::duration ended{};
};

inline hw::task<reading> read_to_end(hw::any_stream& from, hw::time_point began) {
    reading got;
    char piece[65536];
    for (;;) {
        auto n = co_await hw::as_result(from.read_some(piece));
        got.ended = now() - began;
        if (!n) got.failure = n.error();
        if (!n || *n == 0) co_return got;
        got.pieces.emplace_back(now() - began, *n);
        got.text.append(piece, *n);
    }
}
inline hw::task<reading> read_to_end(hw::any_stream& from) { return read_to_end(from, now()); }

/// What is wrong with sending `text`; no failure if the system has taken it.
inline hw::task<std::error_code> error_of_sending(hw::any_stream& to, std::string_view text) {
    auto wrote = co_await hw::as_result(to.write(text));
    if (!wrote) co_return wrote.error().code();
    auto flushed = co_await hw::as_result(to.flush());
    co_return flushed.error().code();
}
inline hw::task<> write_and_close(hw::any_stream& to, std::string text) {
    co_await to.write(text);
    co_await to.close();
}
inline hw::task<> write_and_end(hw::any_stream& to, std::string text) {
    co_await to.write(text);
    co_await to.shutdown_send();
}

}  // namespace kit_test
