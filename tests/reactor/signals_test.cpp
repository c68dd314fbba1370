#include "support/doctest.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <hawser/coro/when_all.hpp>
#include <hawser/coro/when_any.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/reactor/remote_channel.hpp>
#include <hawser/reactor/run_main.hpp>
#include <hawser/reactor/signals.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>

namespace hw = hawser;
using namespace std::chrono_literals;

namespace {

bool action_is(int number, void (*handler)(int)) {
    struct sigaction now{};
    ::sigaction(number, nullptr, &now);
    return now.sa_handler == handler;
}
void nothing(int) {}

/// Handles a signal by `handler` while it lives, so that none that goes astray ends the test.
class handled_by {
public:
    handled_by(int number, void (*handler)(int)) : number_{number} {
        struct sigaction action{};
        action.sa_handler = handler;
        ::sigaction(number, &action, &before_);
    }
    handled_by(const handled_by&) = delete;
    handled_by& operator=(const handled_by&) = delete;
    ~handled_by() { ::sigaction(number_, &before_, nullptr); }

private:
    int number_;
    struct sigaction before_{};
};

hw::task<> raise_soon(int number) {
    co_await hw::yield();
    ::raise(number);
}

/// Runs `f` in a process of its own and gives its status. Of this process only this thread is there.
template <class F> int status_of(F f) {
    const pid_t child = ::fork();
    if (child == 0) {
        for (const int n : {SIGINT, SIGTERM, SIGABRT, SIGHUP}) ::signal(n, SIG_DFL);  // doctest's handlers would report a failed test
        ::_exit(f());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

}  // namespace

TEST_SUITE("next_signal") {
    TEST_CASE("waits until the signal comes; the action is its own until the end, then as before") {
        const handled_by before{SIGHUP, nothing};
        auto body = []() -> hw::task<> {
            CHECK(action_is(SIGHUP, nothing));
            const auto got = co_await hw::when_all(hw::next_signal(SIGHUP), hw::as_result(raise_soon(SIGHUP)));
            CHECK(std::get<0>(got) == SIGHUP);
            CHECK_FALSE(action_is(SIGHUP, nothing));
        };
        hw::run(body());
        CHECK(action_is(SIGHUP, nothing));
        hw::run(body());
        CHECK(action_is(SIGHUP, nothing));
    }

    TEST_CASE("what comes between two calls is given by the next one; several of a kind are one") {
        const handled_by hup{SIGHUP, nothing};
        auto body = []() -> hw::task<> {
            ::raise(SIGHUP);  // before the first call: it is none of ours
            auto none = co_await hw::as_result(hw::with_timeout(1ms, hw::next_signal(SIGHUP)));
            CHECK(none.error() == hw::errc::timed_out);
            ::raise(SIGHUP);
            ::raise(SIGHUP);
            CHECK(co_await hw::next_signal(SIGHUP) == SIGHUP);
            ::raise(SIGHUP);
            co_await hw::sleep_for(1ms);  // the loop has seen it, and nobody waited
            CHECK(co_await hw::next_signal(SIGHUP) == SIGHUP);
            none = co_await hw::as_result(hw::with_timeout(1ms, hw::next_signal(SIGHUP)));
            CHECK(none.error() == hw::errc::timed_out);
        };
        hw::run(body());
    }

    TEST_CASE("of several kinds the one that came; of those that came the lowest first") {
        const handled_by one{SIGUSR1, nothing}, two{SIGUSR2, nothing}, hup{SIGHUP, nothing};
        auto body = []() -> hw::task<> {
            auto got = co_await hw::when_all(hw::next_signal(SIGHUP, SIGUSR1, SIGUSR2), hw::as_result(raise_soon(SIGUSR2)));
            CHECK(std::get<0>(got) == SIGUSR2);
            ::raise(SIGUSR2);
            ::raise(SIGUSR1);
            CHECK(co_await hw::next_signal(SIGUSR2, SIGUSR1) == SIGUSR1);
            CHECK(co_await hw::next_signal(SIGUSR1, SIGUSR2, SIGUSR2) == SIGUSR2);
        };
        hw::run(body());
    }

    TEST_CASE("every task that waits gets each, also when two come at once") {
        const handled_by one{SIGUSR1, nothing}, two{SIGUSR2, nothing};
        std::vector<int> both, second;
        auto body = [&]() -> hw::task<> {
            auto wait_both = [&]() -> hw::task<> { for (int i = 0; i < 2; ++i) both.push_back(co_await hw::next_signal(SIGUSR1, SIGUSR2)); };
            auto wait_second = [&]() -> hw::task<> { second.push_back(co_await hw::next_signal(SIGUSR2)); };
            auto children = [&](hw::scope& s) -> hw::task<> {
                s.spawn(wait_both);
                s.spawn(wait_second);
                s.spawn(wait_second);
                co_await hw::yield();
                ::raise(SIGUSR2);
                ::raise(SIGUSR1);
            };
            co_await hw::with_scope(children);
        };
        hw::run(body());
        CHECK(both == std::vector{SIGUSR1, SIGUSR2});
        CHECK(second == std::vector{SIGUSR2, SIGUSR2});
    }

    TEST_CASE("every reactor gets it, and the action stays until the last one ends") {
        const handled_by before{SIGHUP, nothing};
        std::atomic<int> waiting = 0, got = 0;
        std::atomic<bool> stayed = false;
        // The main thread raises it, as it is the one that gets it: ThreadSanitizer keeps signals back from threads that wait
        // by a system call which it does not know.
        auto body = [&, main = std::this_thread::get_id()]() -> hw::task<> {
            const bool first = std::this_thread::get_id() == main;
            auto wait = [&]() -> hw::task<> { if (co_await hw::next_signal(SIGHUP) == SIGHUP) ++got; };
            auto raise_when_all_wait = [&]() -> hw::task<> {
                ++waiting;
                while (first && waiting < 3) co_await hw::yield();
                if (first) ::kill(::getpid(), SIGHUP);
            };
            co_await hw::when_all(wait(), raise_when_all_wait());
            if (first) {
                while (waiting < 5) co_await hw::yield();
                stayed = !action_is(SIGHUP, nothing);
            } else {
                ++waiting;
            }
        };
        hw::run_on_threads(3, body);
        CHECK(got == 3);
        CHECK(stayed);
        CHECK(action_is(SIGHUP, nothing));
    }

    TEST_CASE("cancelled, timed out, and one of several operations: nothing is lost") {
        const handled_by hup{SIGHUP, nothing};
        auto body = []() -> hw::task<> {
            auto stopped = [](hw::scope& s) -> hw::task<> {
                auto wait = []() -> hw::task<> {
                    CHECK((co_await hw::as_result(hw::next_signal(SIGHUP))).error() == hw::errc::cancelled);
                    ::raise(SIGHUP);
                    CHECK((co_await hw::as_result(hw::next_signal(SIGHUP))).error() == hw::errc::cancelled);  // still
                };
                s.spawn(wait);
                co_await hw::yield();
                s.request_stop();
            };
            co_await hw::with_scope(stopped);
            CHECK(co_await hw::next_signal(SIGHUP) == SIGHUP);
            const auto any = co_await hw::when_any(hw::next_signal(SIGHUP), hw::sleep_for(1ms));
            CHECK(any.index == 1);
            CHECK_FALSE(std::get<0>(any.results).has_value());
            const auto won = co_await hw::when_any(hw::next_signal(SIGHUP), raise_soon(SIGHUP), hw::sleep_for(1h));
            if (!std::get<0>(won.results)) CHECK(co_await hw::next_signal(SIGHUP) == SIGHUP);
        };
        hw::run(body());
    }

    TEST_CASE("signals that nobody can wait for are refused in words") {
        auto body = []() -> hw::task<> {
            for (const int n : {SIGKILL, SIGSTOP, SIGSEGV, SIGFPE, SIGBUS, SIGILL, SIGABRT, 0, -1, 32, 65, 1000}) {
                CAPTURE(n);
                auto r = co_await hw::as_result(hw::next_signal(SIGUSR1, n));
                CHECK(r.error() == hw::errc::invalid_argument);
                CHECK(r.error().message().find("signal " + std::to_string(n)) != std::string::npos);
            }
        };
        const handled_by one{SIGUSR1, nothing};
        hw::run(body());
        CHECK(action_is(SIGUSR1, nothing));
    }

    TEST_CASE("the handler keeps errno, and a signal is not lost when its descriptor takes no more") {
        const handled_by hup{SIGHUP, nothing};
        auto body = []() -> hw::task<> {
            CHECK((co_await hw::as_result(hw::with_timeout(1ms, hw::next_signal(SIGHUP)))).error() == hw::errc::timed_out);
            int filled = 0;
            for (int fd = 3; fd < 100; ++fd) {
                char what[64]{};
                const std::uint64_t all = ~std::uint64_t{1};
                if (::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), what, sizeof what - 1) < 0) continue;
                if (std::string_view{what}.find("eventfd") != std::string_view::npos && ::write(fd, &all, sizeof all) == sizeof all) ++filled;
            }
            CHECK(filled == 1);
            errno = 77;
            ::raise(SIGHUP);
            CHECK(errno == 77);
            CHECK(co_await hw::next_signal(SIGHUP) == SIGHUP);
            co_await hw::when_all(hw::next_signal(SIGHUP), hw::as_result(raise_soon(SIGHUP)));
        };
        hw::run(body());
    }

    TEST_CASE("an ignored signal is handled while the reactor runs, and ignored again after it") {
        const handled_by ignored{SIGHUP, SIG_IGN};
        auto body = []() -> hw::task<> {
            const auto got = co_await hw::when_all(hw::next_signal(SIGHUP), hw::as_result(raise_soon(SIGHUP)));
            CHECK(std::get<0>(got) == SIGHUP);
        };
        hw::run(body());
        CHECK(action_is(SIGHUP, SIG_IGN));
    }

    TEST_CASE("a program started by fork and exec has the default action and none of our descriptors") {
        const handled_by hup{SIGHUP, SIG_DFL};
        auto body = []() -> hw::task<> {
            CHECK((co_await hw::as_result(hw::with_timeout(1ms, hw::next_signal(SIGHUP)))).error() == hw::errc::timed_out);
            const int status = status_of([] {
                ::execl("/bin/sh", "sh", "-c", "for f in /proc/$$/fd/*; do case $(readlink $f) in *eventfd*) exit 3;; esac; done; kill -HUP $$; exit 4", nullptr);
                return 5;
            });
            CHECK(WIFSIGNALED(status));
            CHECK(WTERMSIG(status) == SIGHUP);
            CHECK((co_await hw::as_result(hw::with_timeout(1ms, hw::next_signal(SIGHUP)))).error() == hw::errc::timed_out);
        };
        hw::run(body());
    }

    TEST_CASE("signals without end while reactors start and end on other threads") {
        const handled_by one{SIGUSR1, nothing};
        constexpr int signals = 10'000;
        std::atomic<bool> over = false;
        std::atomic<int> got = 0, runs = 0;
        auto wait = [&]() -> hw::task<> {
            for (int i = 0; i < 3; ++i) if (co_await hw::as_result(hw::with_timeout(1ms, hw::next_signal(SIGUSR1)))) ++got;
        };
        std::vector<std::thread> threads;
        for (int t = 0; t < 2; ++t) {
            threads.emplace_back([&] {
                while (!over) {
                    hw::run(wait());
                    ++runs;
                }
            });
        }
        for (int i = 0; i < signals || runs < 20; ++i) {
            if (i % 2) ::pthread_kill(threads[static_cast<std::size_t>(i / 2 % 2)].native_handle(), SIGUSR1);
            else ::raise(SIGUSR1);
        }
        over = true;
        for (std::thread& t : threads) t.join();
        CHECK(got > 0);
        CHECK(action_is(SIGUSR1, nothing));
    }
}

TEST_SUITE("run_main and signals") {
    TEST_CASE("the first stops the tasks, and the handlers are as before at the end") {
        for (const int n : {SIGINT, SIGTERM}) {
            const handled_by before{n, nothing};
            auto body = [n]() -> hw::task<> {
                ::raise(n);
                co_await hw::sleep_for(1h);
            };
            CHECK(hw::run_main(body()) == 0);
            auto on_each = [n, main = std::this_thread::get_id()]() -> hw::task<> {
                if (std::this_thread::get_id() == main) ::kill(::getpid(), n);
                co_await hw::sleep_for(1h);
            };
            CHECK(hw::run_main_on_threads(2, on_each) == 0);
            CHECK(action_is(n, nothing));
        }
    }

    TEST_CASE("the second kills, although no task looks at the first") {
        for (const int n : {SIGINT, SIGTERM}) {
            const int status = status_of([n] {
                auto body = [n]() -> hw::task<> {
                    ::raise(SIGINT);
                    ::raise(n);
                    co_return;
                };
                return hw::run_main(body()) + 7;
            });
            REQUIRE(WIFSIGNALED(status));
            CHECK(WTERMSIG(status) == n);
        }
    }

    TEST_CASE("a task that waits for one of them takes it over, and the other stops the program") {
        const int status = status_of([] {
            int taken = 0;
            auto body = [&]() -> hw::task<int> {
                for (; taken < 3; ++taken) {
                    const auto got = co_await hw::when_all(hw::next_signal(SIGINT), hw::as_result(raise_soon(SIGINT)));
                    if (std::get<0>(got) != SIGINT) co_return 11;
                }
                ::raise(SIGTERM);
                auto stopped = co_await hw::as_result(hw::sleep_for(1h));
                ::raise(SIGINT);  // the task's still
                co_return stopped ? 12 : 13;
            };
            return hw::run_main(body());
        });
        REQUIRE(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 13);
    }
}
