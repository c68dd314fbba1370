#include <doctest/doctest.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <type_traits>
#include <vector>

#include <hawser/base/error.hpp>

using namespace hawser;

TEST_SUITE("error") {
    TEST_CASE("every errc has words of its own and the category is one") {
        std::vector<std::string> words;
        for (int i = 1; i <= static_cast<int>(errc::io_uring_refused); ++i) {
            const std::error_code code = make_error_code(static_cast<errc>(i));
            CHECK(code.category() == hawser_category());
            CHECK(code.message() != "unknown hawser error");
            for (const std::string& w : words) CHECK(w != code.message());
            words.push_back(code.message());
        }
        CHECK(std::string{hawser_category().name()} == "hawser");
        CHECK(std::error_code{9999, hawser_category()}.message() == "unknown hawser error");
        const std::error_code implicit = errc::truncated;
        CHECK(implicit == errc::truncated);
        CHECK(implicit != std::error_code{static_cast<int>(errc::truncated), std::system_category()});
    }

    TEST_CASE("a routine error carries nothing but its code") {
        const error_info e = errc::timed_out;
        CHECK(e == errc::timed_out);
        CHECK_FALSE(e == errc::closed);
        CHECK(e.doing() == phase::none);
        CHECK(e.peer().empty());
        CHECK(e.detail().empty());
        CHECK(e.transferred() == 0);
        CHECK(e.message() == "timed out");
    }

    TEST_CASE("the message says what was done, to whom, what happened and what to do") {
        const error_info e = error_info::from_errno(ECONNREFUSED, phase::connect, "localhost (127.0.0.1:1)", "is the server running?");
        CHECK(e.message() == std::string{"connect to localhost (127.0.0.1:1): "} + std::strerror(ECONNREFUSED) + ": is the server running?");
        CHECK(e == std::error_code{ECONNREFUSED, std::system_category()});
        CHECK_FALSE(e == errc::timed_out);
        CHECK(error_info{make_error_code(errc::closed), phase::read}.message() == "read from peer: closed on this side");
        CHECK(error_info{make_error_code(errc::host_not_found), phase::resolve, "a.test"}.message() == "resolve a.test: no such host");
        // libtls has said it better than the class of the failure would.
        CHECK(error_info{make_error_code(errc::tls_failure), phase::handshake, "a.test", "certificate expired"}.message() ==
              "TLS handshake with a.test: certificate expired");
        CHECK(error_info{make_error_code(errc::tls_failure), phase::handshake, "a.test"}.message() == "TLS handshake with a.test: TLS failure");
    }

    TEST_CASE("copies share, changes do not") {
        const error_info a{make_error_code(errc::truncated), phase::read, "a.test", "words", 17};
        error_info b = a;
        error_info moved = std::move(b);
        CHECK(b == errc::truncated);  // NOLINT: a moved-from error is still one
        CHECK(&moved.peer() == &a.peer());
        const error_info c = a.with_transferred(18);
        CHECK(a.transferred() == 17);
        CHECK(c.transferred() == 18);
        CHECK(c.peer() == "a.test");
        CHECK(c.detail() == "words");
        CHECK(c.doing() == phase::read);
        b = errc::closed;
        const error_info& same = b;
        b = same;
        CHECK(b == errc::closed);
        CHECK(moved == errc::truncated);
    }

    TEST_CASE("context is added where there is none") {
        const error_info bare = error_info{errc::timed_out}.with_context(phase::connect, "a.test");
        CHECK(bare.message() == "connect to a.test: timed out");
        const error_info full = error_info{make_error_code(errc::timed_out), phase::resolve, "b.test"}.with_context(phase::connect, "a.test");
        CHECK(full.message() == "resolve b.test: timed out");
    }

    TEST_CASE("the exception") {
        const error e{error_info{make_error_code(errc::truncated), phase::read, "a.test", "words", 5}};
        CHECK(e.code() == errc::truncated);
        CHECK(e.transferred() == 5);
        CHECK(e.peer() == "a.test");
        CHECK(e.detail() == "words");
        CHECK(e.doing() == phase::read);
        CHECK(e.what() == e.info().message());
        static_assert(std::is_base_of_v<std::system_error, error>);
        static_assert(std::is_nothrow_copy_constructible_v<error_info>);
    }

    TEST_CASE("cancelled is neither an error nor a std::exception") {
        static_assert(!std::is_base_of_v<std::exception, cancelled>);
        static_assert(!std::is_base_of_v<cancelled, error>);
        bool caught = false;
        try {
            throw_error(error_info{errc::cancelled}.with_transferred(7));
        } catch (const std::exception&) {
            FAIL("a retry loop would swallow it");
        } catch (const cancelled& c) {
            caught = c.transferred() == 7;
        }
        CHECK(caught);
        CHECK_THROWS_AS(throw_error(errc::closed), error);
    }

    TEST_CASE("errors are copied between threads") {
        const error_info shared{make_error_code(errc::closed), phase::write, "a.test"};
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([copy = shared] {
                for (int n = 0; n < 10000; ++n) {
                    error_info again = copy;
                    again = errc::timed_out;
                }
            });
        }
        for (std::thread& t : threads) t.join();
        CHECK(shared.peer() == "a.test");
    }
}
