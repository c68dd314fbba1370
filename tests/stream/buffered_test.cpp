// buffered: lines and delimiters, their limits, and what a failed read leaves behind.

#include <limits>

#include <hawser/coro/when_all.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/stream/buffered.hpp>
#include <hawser/stream/stream_transport.hpp>

#include "support/doctest.hpp"
#include "support/memory_stream.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;
namespace hw = hawser;
using hw::errc;
using lines = std::vector<std::string>;

namespace {

template <class Line> hw::task<lines> all_lines(Line& in, std::size_t limit = 1000) {
    lines got;
    for (;;) {
        auto line = co_await in.read_line(limit);
        if (!line) co_return got;
        got.push_back(std::move(*line));
    }
}

/// The text in pieces of `size` bytes.
std::deque<std::string> cut(std::string_view text, std::size_t size) {
    std::deque<std::string> chunks;
    for (; !text.empty(); text.remove_prefix(std::min(size, text.size()))) chunks.emplace_back(text.substr(0, size));
    return chunks;
}

}  // namespace

TEST_SUITE("read_line") {
    TEST_CASE("lines with LF and CRLF, empty ones, and a last one without an end, however they are cut") {
        const std::string text = "one\ntwo\r\n\r\n\nthree \r four\r\nlast";
        for (std::size_t size = 1; size <= text.size(); ++size) {
            CAPTURE(size);
            run_fake([&]() -> hw::task<> {
                memory_stream line{cut(text, size)};
                hw::buffered in{line};
                const lines got = co_await all_lines(in);
                CHECK(got == lines{"one", "two", "", "", "three \r four", "last"});
                CHECK(in.peek().empty());
            });
        }
    }
    TEST_CASE("the same from a stream that lends its buffer") {
        const std::string text = "one\ntwo\r\n\r\nlast\n";
        for (std::size_t size = 1; size <= text.size(); ++size) {
            CAPTURE(size);
            run_fake([&]() -> hw::task<> {
                hw::buffered in{hw::make_any_stream(memory_stream{cut(text, size)})};
                const lines got = co_await all_lines(in);
                CHECK(got == lines{"one", "two", "", "last"});
            });
        }
    }
    TEST_CASE("an empty stream has no line; after the end it stays the end") {
        run_fake([]() -> hw::task<> {
            memory_stream line{std::deque<std::string>{}};
            hw::buffered in{line};
            for (int i = 0; i < 3; ++i) {
                auto end = co_await in.read_line();
                CHECK_FALSE(end.has_value());
            }
        });
    }
    TEST_CASE("the limit counts the line without its end: limit - 1 and limit pass, limit + 1 does not") {
        for (const char* ending : {"\n", "\r\n", ""}) {
            for (const std::size_t size : {std::size_t{9}, std::size_t{10}, std::size_t{11}}) {
                for (const std::size_t piece : {std::size_t{1}, std::size_t{5}, std::size_t{10}, std::size_t{11}, std::size_t{12}, std::size_t{100}}) {
                    CAPTURE(ending);
                    CAPTURE(size);
                    CAPTURE(piece);
                    run_fake([&]() -> hw::task<> {
                        memory_stream line{cut(std::string(size, 'x') + ending, piece)};
                        hw::buffered in{line};
                        auto r = co_await hw::as_result(in.read_line(10));
                        CHECK(r.has_value() == (size <= 10));
                        if (r) CHECK(**r == std::string(size, 'x'));
                        else CHECK(r.error() == errc::limit_exceeded);
                    });
                }
            }
        }
    }
    TEST_CASE("a last line that ends in CR alone is held to the limit too") {
        run_fake([]() -> hw::task<> {
            memory_stream line{{"0123456789\r"}};
            hw::buffered in{line};
            auto r = co_await hw::as_result(in.read_line(10));
            CHECK((!r && r.error() == errc::limit_exceeded));
            memory_stream shorter{{"012345678\r"}};
            hw::buffered fits{shorter};
            auto last = co_await fits.read_line(10);
            CHECK(*last == "012345678\r");
        });
    }
    TEST_CASE("the largest limit is none") {
        run_fake([]() -> hw::task<> {
            memory_stream line{{std::string(100'000, 'x'), "\n"}};
            hw::buffered in{line};
            auto got = co_await in.read_line(std::numeric_limits<std::size_t>::max());
            CHECK(got->size() == 100'000);
        });
    }
    TEST_CASE("a peer that never ends its line is not read further than the limit asks for") {
        run_fake([]() -> hw::task<> {
            memory_stream line{cut(std::string(1000, 'x'), 10)};
            hw::buffered in{line};
            auto r = co_await hw::as_result(in.read_line(100));
            REQUIRE_FALSE(r);
            CHECK(r.error().message().find("100 bytes") != std::string::npos);
            CHECK(in.peek().size() <= 110);
            CHECK(in.peek().size() + line.in().all().size() == 1000);
        });
    }
    TEST_CASE("a cancelled read keeps the bytes for the next") {
        run_fake([]() -> hw::task<> {
            memory_stream line{std::deque<std::string>{"half a "}};
            line.in().ended = false;
            hw::buffered in{line};
            auto r = co_await hw::as_result(hw::with_timeout(1s, in.read_line()));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::timed_out);
            CHECK(hw::as_text(in.peek()) == "half a ");
            line.in().add("line\r");
            auto again = co_await hw::as_result(hw::with_timeout(1s, in.read_line()));
            CHECK((!again && again.error() == errc::timed_out));
            line.in().add("\nnext");
            auto whole = co_await in.read_line();
            CHECK(*whole == "half a line");
            CHECK(hw::as_text(in.peek()) == "next");
        });
    }
    TEST_CASE("an error keeps the bytes too") {
        run_fake([]() -> hw::task<> {
            memory_stream line{std::deque<std::string>{"one\ntw"}};
            line.in().failure = hw::error_info::from_errno(ECONNRESET, hw::phase::read, "the peer");
            hw::buffered in{line};
            auto one = co_await in.read_line();
            CHECK(*one == "one");
            auto r = co_await hw::as_result(in.read_line());
            REQUIRE_FALSE(r);
            CHECK(r.error().code().value() == ECONNRESET);
            CHECK(hw::as_text(in.peek()) == "tw");
        });
    }
}

TEST_SUITE("read_until") {
    TEST_CASE("gives everything up to and with the delimiter, however it is cut") {
        const std::string text = "Host: a\r\n\r\r\n\r\n\r\nbody";
        for (std::size_t size = 1; size <= text.size(); ++size) {
            CAPTURE(size);
            run_fake([&]() -> hw::task<> {
                memory_stream line{cut(text, size)};
                hw::buffered in{line};
                const std::string head = co_await in.read_until("\r\n\r\n");
                CHECK(head == "Host: a\r\n\r\r\n\r\n");
                const std::string rest = co_await hw::read_all(in);
                CHECK(rest == "\r\nbody");
            });
        }
    }
    TEST_CASE("the limit counts the delimiter: limit - 1 and limit pass, limit + 1 does not") {
        for (const std::size_t total : {std::size_t{9}, std::size_t{10}, std::size_t{11}}) {
            for (const std::size_t piece : {std::size_t{1}, std::size_t{9}, std::size_t{10}, std::size_t{11}, std::size_t{100}}) {
                CAPTURE(total);
                CAPTURE(piece);
                run_fake([&]() -> hw::task<> {
                    memory_stream line{cut(std::string(total - 2, 'x') + "--", piece)};
                    hw::buffered in{line};
                    auto r = co_await hw::as_result(in.read_until("--", 10));
                    CHECK(r.has_value() == (total <= 10));
                    if (r) CHECK(r->size() == total);
                    else CHECK(r.error() == errc::limit_exceeded);
                });
            }
        }
    }
    TEST_CASE("the end before the delimiter is end_of_stream, and what came stays readable") {
        run_fake([]() -> hw::task<> {
            memory_stream line{{"abc", "\r"}};
            hw::buffered in{line};
            auto r = co_await hw::as_result(in.read_until("\r\n"));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::end_of_stream);
            CHECK(hw::as_text(in.peek()) == "abc\r");
            const std::string rest = co_await hw::read_all(in);
            CHECK(rest == "abc\r");
        });
    }
    TEST_CASE("an empty delimiter can never work") {
        run_fake([]() -> hw::task<> {
            memory_stream line{{"abc"}};
            hw::buffered in{line};
            auto r = co_await hw::as_result(in.read_until(""));
            CHECK((!r && r.error() == errc::invalid_argument));
        });
    }
    TEST_CASE("a cancelled read keeps the bytes for the next") {
        run_fake([]() -> hw::task<> {
            memory_stream line{std::deque<std::string>{"head\r\n"}};
            line.in().ended = false;
            hw::buffered in{line};
            auto r = co_await hw::as_result(hw::with_timeout(1s, in.read_until("\r\n\r\n")));
            CHECK((!r && r.error() == errc::timed_out));
            line.in().add("\r\nrest");
            const std::string head = co_await in.read_until("\r\n\r\n");
            CHECK(head == "head\r\n\r\n");
            CHECK(hw::as_text(in.peek()) == "rest");
        });
    }
}

TEST_SUITE("buffered") {
    TEST_CASE("read_some gives what is buffered, then the stream's own") {
        run_fake([]() -> hw::task<> {
            memory_stream line{{"line\nrest", "more"}};
            hw::buffered in{line};
            auto first = co_await in.read_line();
            CHECK(*first == "line");
            char into[3];
            std::string got;
            for (int i = 0; i < 2; ++i) {
                const std::size_t n = co_await in.read_some(into);
                got.append(into, n);
            }
            CHECK(got == "rest");
            CHECK(in.peek().empty());
            const std::string rest = co_await hw::read_all(in);
            CHECK(rest == "more");
        });
    }
    TEST_CASE("peek, fill and consume") {
        run_fake([]() -> hw::task<> {
            memory_stream line{{"abc", "def"}};
            hw::buffered in{line};
            CHECK(in.peek().empty());
            std::size_t n = co_await in.fill();
            CHECK(n == 3);
            n = co_await in.fill();
            CHECK(n == 3);
            in.consume(4);
            CHECK(hw::as_text(in.peek()) == "ef");
            n = co_await in.fill();
            CHECK(n == 0);
            CHECK(hw::as_text(in.peek()) == "ef");
        });
    }
    TEST_CASE("it writes through, refers or owns, and is a stream itself") {
        static_assert(hw::stream<hw::buffered<memory_stream&>> && hw::stream<hw::buffered<memory_stream>> && hw::stream<hw::buffered<hw::any_stream&>>);
        run_fake([]() -> hw::task<> {
            memory_stream line{{"a\nb\n"}};
            hw::buffered refers{line};
            CHECK(&refers.next_layer() == &line);
            co_await refers.write("out");
            CHECK(line.out().all() == "out");
            hw::buffered owns{std::move(line)};
            hw::buffered twice{std::move(owns)};
            auto a = co_await twice.read_line();
            hw::buffered moved{std::move(twice)};
            auto b = co_await moved.read_line();
            CHECK(*a == "a");
            CHECK(*b == "b");
        });
    }
    TEST_CASE("a long line in small pieces is searched once") {
        run_fake([]() -> hw::task<> {
            memory_stream line{cut(std::string(4 << 20, 'x') + "\n", 4096)};
            hw::buffered in{line};
            auto got = co_await in.read_line(8 << 20);  // a search from the start each time would look at 2 GiB
            CHECK(got->size() == 4u << 20);
        });
    }
}
