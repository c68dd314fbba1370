// read_exactly, read_all, write_all and copy on a stream of the test's own.

#include <limits>

#include <hawser/coro/when_all.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/stream/algorithms.hpp>
#include <hawser/stream/stream_transport.hpp>

#include "support/doctest.hpp"
#include "support/memory_stream.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;
namespace hw = hawser;
using hw::errc;

namespace {

const std::error_code reset{ECONNRESET, std::system_category()};

memory_stream silent(std::deque<std::string> chunks) {
    memory_stream made{std::move(chunks)};
    made.in().ended = false;
    return made;
}
memory_stream failing(std::deque<std::string> chunks) {
    memory_stream made = silent(std::move(chunks));
    made.in().failure = hw::error_info::from_errno(ECONNRESET, hw::phase::read, "the peer");
    return made;
}

}  // namespace

TEST_SUITE("read_exactly") {
    TEST_CASE("fills the buffer from many reads and takes no byte more") {
        run_fake([]() -> hw::task<> {
            memory_stream line{{"ab", "c", "defgh"}};
            char into[5] = {};
            const std::size_t n = co_await hw::read_exactly(line, into);
            CHECK(n == 5);
            CHECK(std::string_view{into, 5} == "abcde");
            CHECK(line.in().all() == "fgh");
        });
    }
    TEST_CASE("an empty buffer is full") {
        run_fake([]() -> hw::task<> {
            memory_stream line = silent({});
            const std::size_t n = co_await hw::read_exactly(line, hw::mutable_buffer{});
            CHECK(n == 0);
        });
    }
    TEST_CASE("the end before it is full is end_of_stream and says how much came") {
        run_fake([]() -> hw::task<> {
            memory_stream line{{"ab", "c"}};
            char into[5] = {};
            auto r = co_await hw::as_result(hw::read_exactly(line, into));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::end_of_stream);
            CHECK(r.error().transferred() == 3);
            CHECK(std::string_view{into, 3} == "abc");
        });
    }
    TEST_CASE("an error keeps its code and peer, and says how much came before it") {
        run_fake([]() -> hw::task<> {
            memory_stream line = failing({"ab"});
            char into[5] = {};
            auto r = co_await hw::as_result(hw::read_exactly(line, into));
            REQUIRE_FALSE(r);
            CHECK(r.error() == reset);
            CHECK(r.error().peer() == "the peer");
            CHECK(r.error().transferred() == 2);
        });
    }
    TEST_CASE("cut by a timeout it says how much came") {
        run_fake([]() -> hw::task<> {
            memory_stream line = silent({"abc"});
            char into[5] = {};
            auto r = co_await hw::as_result(hw::with_timeout(1s, hw::read_exactly(line, into)));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::timed_out);
            CHECK(r.error().transferred() == 3);
            CHECK(std::string_view{into, 3} == "abc");
        });
    }
}

TEST_SUITE("read_all") {
    TEST_CASE("gives everything up to the end") {
        run_fake([]() -> hw::task<> {
            memory_stream line{{"ab", std::string(10000, 'x'), "c"}};
            const std::string all = co_await hw::read_all(line);
            CHECK(all == "ab" + std::string(10000, 'x') + "c");
            memory_stream nothing{std::deque<std::string>{}};
            const std::string none = co_await hw::read_all(nothing);
            CHECK(none.empty());
        });
    }
    TEST_CASE("the limit is exact: one byte less and as many pass, one more does not") {
        run_fake([]() -> hw::task<> {
            for (const std::size_t limit : {std::size_t{1}, std::size_t{7}, std::size_t{4095}, std::size_t{4096}, std::size_t{4097}, std::size_t{100'000}}) {
                CAPTURE(limit);
                for (const std::size_t size : {limit - 1, limit, limit + 1}) {
                    std::deque<std::string> chunks;
                    for (std::size_t left = size; left;) {
                        const std::size_t n = std::min<std::size_t>(left, 1000);
                        chunks.emplace_back(n, 'x');
                        left -= n;
                    }
                    memory_stream line{std::move(chunks)};
                    auto r = co_await hw::as_result(hw::read_all(line, limit));
                    CHECK(r.has_value() == (size <= limit));
                    if (r) CHECK(r->size() == size);
                    else CHECK(r.error() == errc::limit_exceeded);
                }
            }
        });
    }
    TEST_CASE("a limit of zero takes only an empty stream; the largest one is no limit") {
        run_fake([]() -> hw::task<> {
            memory_stream empty{std::deque<std::string>{}};
            const std::string none = co_await hw::read_all(empty, 0);
            CHECK(none.empty());
            memory_stream one{{"x"}};
            auto r = co_await hw::as_result(hw::read_all(one, 0));
            CHECK((!r && r.error() == errc::limit_exceeded));
            memory_stream long_one{{std::string(20000, 'x')}};
            const std::string all = co_await hw::read_all(long_one, std::numeric_limits<std::size_t>::max());
            CHECK(all.size() == 20000);
        });
    }
    TEST_CASE("an endless stream is not read further than the limit") {
        run_fake([]() -> hw::task<> {
            memory_stream line = silent({std::string(100, 'x'), std::string(100, 'x'), std::string(100, 'x')});
            auto r = co_await hw::as_result(hw::read_all(line, 150));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::limit_exceeded);
            CHECK(r.error().transferred() == 151);
            CHECK(line.in().all().size() == 149);
            CHECK(r.error().message().find("150 bytes") != std::string::npos);
        });
    }
    TEST_CASE("an error says how much had come") {
        run_fake([]() -> hw::task<> {
            memory_stream line = failing({"abc", "de"});
            auto r = co_await hw::as_result(hw::read_all(line));
            REQUIRE_FALSE(r);
            CHECK(r.error() == reset);
            CHECK(r.error().transferred() == 5);
        });
    }
}

TEST_SUITE("write_all") {
    TEST_CASE("goes on with a stream that accepts less than asked") {
        run_fake([]() -> hw::task<> {
            memory_stream line{std::deque<std::string>{}};
            line.out().take_at_most = 3;
            const std::size_t n = co_await hw::write_all(line, "hello, world");
            CHECK(n == 12);
            CHECK(line.out().all() == "hello, world");
            CHECK(line.out().chunks.size() == 4);
        });
    }
    TEST_CASE("a stream that accepts nothing is an error, not a busy loop") {
        run_fake([]() -> hw::task<> {
            memory_stream line{std::deque<std::string>{}};
            line.out().take_at_most = 0;
            auto r = co_await hw::as_result(hw::write_all(line, "hello"));
            REQUIRE_FALSE(r);
            CHECK(r.error() == errc::closed);
            CHECK(r.error().transferred() == 0);
        });
    }
    TEST_CASE("an error in the middle says how much was accepted") {
        run_fake([]() -> hw::task<> {
            memory_stream line{std::deque<std::string>{}};
            line.out().take_at_most = 4;
            line.out().capacity = 2;
            auto breaks = [&]() -> hw::task<> {
                co_await turns(3);
                line.out().fail(hw::error_info::from_errno(EPIPE, hw::phase::write));
            };
            auto writes = [&]() -> hw::task<> {
                auto r = co_await hw::as_result(hw::write_all(line, "hello, world"));
                REQUIRE_FALSE(r);
                CHECK(r.error().code().value() == EPIPE);
                CHECK(r.error().transferred() == 8);
            };
            co_await hw::when_all(breaks(), writes());
        });
    }
    TEST_CASE("nothing to write is done at once") {
        run_fake([]() -> hw::task<> {
            memory_stream line{std::deque<std::string>{}};
            const std::size_t n = co_await hw::write_all(line, "");
            CHECK(n == 0);
        });
    }
}

TEST_SUITE("copy") {
    TEST_CASE("moves everything up to the end, and leaves the target open") {
        run_fake([]() -> hw::task<> {
            memory_stream from{{"ab", std::string(9000, 'x'), "c"}}, to{std::deque<std::string>{}};
            to.out().take_at_most = 100;
            const std::size_t n = co_await hw::copy(from, to);
            CHECK(n == 9003);
            CHECK(to.out().all() == "ab" + std::string(9000, 'x') + "c");
            CHECK_FALSE(to.out().ended);
        });
    }
    TEST_CASE("from a stream that lends its buffer") {
        run_fake([]() -> hw::task<> {
            memory_stream to{std::deque<std::string>{}};
            hw::any_stream from = hw::make_any_stream(memory_stream{{"ab", std::string(50'000, 'x')}});
            const std::size_t n = co_await hw::copy(from, to);
            CHECK(n == 50'002);
            CHECK(to.out().all() == "ab" + std::string(50'000, 'x'));
        });
    }
    TEST_CASE("errors of either side say how much was moved") {
        run_fake([]() -> hw::task<> {
            memory_stream from = failing({"abcde"}), to{std::deque<std::string>{}};
            auto r = co_await hw::as_result(hw::copy(from, to));
            REQUIRE_FALSE(r);
            CHECK(r.error() == reset);
            CHECK(r.error().transferred() == 5);

            memory_stream whole{{"abcde", "fgh"}}, broken{std::deque<std::string>{}};
            broken.out().take_at_most = 2;
            broken.out().capacity = 3;
            auto breaks = [&]() -> hw::task<> {
                co_await turns(3);
                broken.out().fail(hw::error_info::from_errno(EPIPE, hw::phase::write));
            };
            auto copies = [&]() -> hw::task<> {
                auto moved = co_await hw::as_result(hw::copy(whole, broken));
                REQUIRE_FALSE(moved);
                CHECK(moved.error().code().value() == EPIPE);
                CHECK(moved.error().transferred() == 5);
            };
            co_await hw::when_all(breaks(), copies());
        });
    }
}
