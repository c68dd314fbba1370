#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <hawser/coro/when_all.hpp>
#include <hawser/coro/with_scope.hpp>

#include "manual_loop.hpp"

using namespace hawser;
using manual::gate;
using manual::tracked;

namespace {

task<> note(std::string& log, std::string what) {
    co_await manual::turn{};
    log += what;
}
task<> note_at_once(std::string& log, std::string what) {
    log += what;
    co_return;
}
task<> wait_for(gate& g) { co_await g.wait(); }
task<> throw_after(int turns, std::string what) {
    for (int i = 0; i < turns; ++i) co_await manual::turn{};
    throw std::runtime_error{what};
}
/// Notes how it ended.
task<> watch(gate& g, std::string& log, std::string name) {
    auto r = co_await as_result(g.wait());
    log += name + (r ? " opened;" : " " + r.error().code().message() + ";");
    if (!r) throw_error(r.error());
}
/// Is not stopped by anything until it has taken so many turns.
task<> slow_to_leave(gate& g, int turns, std::string& log) {
    auto r = co_await as_result(g.wait());
    for (int i = 0; i < turns; ++i) co_await manual::turn{};
    log += r ? "opened;" : "left;";
}

struct counter {
    int value = 0;
    task<> add(int n) {
        co_await manual::turn{};
        value += n;
    }
    task<> read(int& into) const {
        co_await manual::turn{};
        into = value;
    }
};

struct call_operator {
    tracked inner;
    task<> operator()(int& into) {
        co_await manual::turn{};
        into += inner.value;
    }
};

}  // namespace

TEST_SUITE("with_scope") {
    TEST_CASE("it ends when the body and every child have ended") {
        manual::loop loop;
        std::string log;
        auto body = [&]() -> task<> {
            co_await with_scope([&](scope& s) {
                s.spawn(note, std::ref(log), "a");
                s.spawn(note, std::ref(log), "b");
                s.spawn(note_at_once, std::ref(log), "c");
                CHECK(s.size() == 4);  // with the body
            });
            log += "|";
        };
        loop.run(body()).get();
        CHECK(log == "cab|");
    }

    TEST_CASE("spawn runs nothing inside, and children start in order") {
        manual::loop loop;
        std::string log;
        auto body = [&]() -> task<> {
            auto children = [&](scope& s) -> task<> {
                s.spawn(note_at_once, std::ref(log), "1");
                s.spawn(note_at_once, std::ref(log), "2");
                log += "body";
                co_await manual::turn{};
                log += "3";
            };
            co_await with_scope(children);
        };
        loop.run(body()).get();
        CHECK(log == "body123");
    }

    TEST_CASE("an empty scope, and one whose children have all ended before the body") {
        manual::loop loop;
        auto body = []() -> task<int> {
            co_await with_scope([](scope&) {});
            auto with_value = [](scope&) { return 5; };
            const int plain = co_await with_scope(with_value);
            auto slow = [](scope& s) -> task<int> {
                s.spawn([]() -> task<> { co_return; });
                for (int i = 0; i < 3; ++i) co_await manual::turn{};
                CHECK(s.size() == 1);
                co_return 6;
            };
            co_return plain * 10 + co_await with_scope(slow);
        };
        CHECK(loop.run(body()).get() == 56);
    }

    TEST_CASE("the first error stops the others, all are joined, and it is rethrown") {
        manual::loop loop;
        std::string log;
        gate never;
        auto body = [&]() -> task<> {
            try {
                co_await with_scope([&](scope& s) {
                    s.spawn(watch, std::ref(never), std::ref(log), "a");
                    s.spawn(throw_after, 2, "first");
                    s.spawn(throw_after, 3, "second");
                });
            } catch (const std::runtime_error& e) {
                log += e.what();
            }
        };
        loop.run(body()).get();
        CHECK(log == "a cancelled;first");
    }

    TEST_CASE("an error of the body stops the children") {
        for (const bool in_task : {false, true}) {
            CAPTURE(in_task);
            manual::loop loop;
            std::string log;
            gate never;
            auto body = [&]() -> task<> {
                auto plain = [&](scope& s) {
                    s.spawn(slow_to_leave, std::ref(never), 5, std::ref(log));
                    throw std::runtime_error{"body"};
                };
                auto async = [&](scope& s) -> task<> {
                    s.spawn(slow_to_leave, std::ref(never), 5, std::ref(log));
                    co_await manual::turn{};
                    throw std::runtime_error{"body"};
                };
                if (in_task) co_await with_scope(async);
                else co_await with_scope(plain);
            };
            CHECK_THROWS_WITH_AS(loop.run(body()).get(), "body", std::runtime_error);
            // The plain body threw before its child had started: it sees the stop at its first wait.
            CHECK(log == "left;");
        }
    }

    TEST_CASE("a callable that throws instead of making a task is an error of the scope") {
        manual::loop loop;
        auto body = []() -> task<> {
            co_await with_scope([](scope& s) {
                s.spawn([](bool no) {
                    if (no) throw std::runtime_error{"no task was made"};
                    return throw_after(0, "not reached");
                }, true);
            });
        };
        CHECK_THROWS_WITH_AS(loop.run(body()).get(), "no task was made", std::runtime_error);
    }

    TEST_CASE("request_stop ends the scope quietly") {
        manual::loop loop;
        std::string log;
        gate never;
        auto body = [&]() -> task<> {
            auto children = [&](scope& s) -> task<> {
                s.spawn(watch, std::ref(never), std::ref(log), "a");
                co_await manual::turn{};
                CHECK_FALSE(s.stop_requested());
                s.request_stop();
                CHECK(s.stop_requested());
                co_await never.wait();  // the body is stopped too
                log += "not reached";
            };
            co_await with_scope(children);
            log += "after";
        };
        loop.run(body()).get();
        CHECK(log == "a cancelled;after");
    }

    TEST_CASE("a child stopped by itself ends quietly, and the others go on") {
        manual::loop loop;
        std::string log;
        auto body = [&]() -> task<> {
            co_await with_scope([&](scope& s) {
                s.spawn([]() -> task<> { throw cancelled{}; co_return; });
                s.spawn(note, std::ref(log), "other");
            });
            log += ";after";
        };
        loop.run(body()).get();
        CHECK(log == "other;after");
    }

    TEST_CASE("a stop of the parent reaches body and children, and is seen by the parent") {
        manual::loop loop;
        std::string log;
        gate never;
        stop_source source;
        auto body = [&]() -> task<> {
            auto children = [&](scope& s) -> task<> {
                s.spawn(watch, std::ref(never), std::ref(log), "a");
                co_await manual::turn{};
                source.request_stop();
            };
            co_await with_scope(children);
            log += "not reached";
        };
        CHECK_THROWS_AS(loop.run(body(), source.get_token()).get(), cancelled);
        CHECK(log == "a cancelled;");
    }

    TEST_CASE("a value of the body is not lost when the parent's stop cut a child short") {
        manual::loop loop;
        std::string log;
        gate never;
        stop_source source;
        auto body = [&]() -> task<int> {
            auto children = [&](scope& s) -> task<int> {
                s.spawn(watch, std::ref(never), std::ref(log), "a");
                co_await manual::turn{};
                source.request_stop();
                co_return 7;
            };
            co_return co_await with_scope(children);
        };
        CHECK(loop.run(body(), source.get_token()).get() == 7);
        CHECK(log == "a cancelled;");
    }

    TEST_CASE("an error wins over a stop of the parent") {
        manual::loop loop;
        gate never;
        stop_source source;
        auto body = [&]() -> task<> {
            co_await with_scope([&](scope& s) {
                s.spawn(wait_for, std::ref(never));
                s.spawn([](stop_source& stop) -> task<> {
                    stop.request_stop();
                    throw std::runtime_error{"real"};
                    co_return;
                }, std::ref(source));
            });
        };
        CHECK_THROWS_WITH_AS(loop.run(body(), source.get_token()).get(), "real", std::runtime_error);
    }

    TEST_CASE("what children do not need to wait for is done although the parent was stopped") {
        manual::loop loop;
        stop_source source;
        std::string log;
        auto body = [&]() -> task<int> {
            auto children = [&](scope& s) {
                source.request_stop();
                s.spawn(note, std::ref(log), "done");
                return 7;
            };
            co_return co_await with_scope(children);
        };
        CHECK(loop.run(body(), source.get_token()).get() == 7);
        CHECK(log == "done");
    }

    TEST_CASE("spawn stores the callable and its arguments until the child is gone") {
        tracked::wrong = 0;
        manual::loop loop;
        int seen = 0;
        auto body = [&]() -> task<> {
            co_await with_scope([&](scope& s) {
                {
                    auto text = std::make_unique<std::string>("a text that is longer than a small string");
                    tracked t{2};
                    s.spawn([owned = std::move(text), t](tracked argument, int& into) -> task<> {
                        co_await manual::turn{};
                        CHECK(*owned == "a text that is longer than a small string");
                        into += t.value + argument.value;
                    }, tracked{3}, std::ref(seen));
                    s.spawn(call_operator{tracked{5}}, std::ref(seen));
                    // Arguments by reference: to the stored copy.
                    s.spawn([](tracked& argument, int& into) -> task<> {
                        co_await manual::turn{};
                        into += argument.value;
                    }, tracked{7}, std::ref(seen));
                    s.spawn([](std::string argument) -> task<> {
                        co_await manual::turn{};
                        CHECK(argument == "decays to a pointer and becomes a string");
                    }, "decays to a pointer and becomes a string");
                    s.spawn([](const std::string& argument) -> task<> {
                        co_await manual::turn{};
                        CHECK(argument == "is stored as a string, to which the parameter refers");
                    }, std::string{"is stored as a string, to which the parameter refers"});
                }
                CHECK(tracked::alive == 4);
            });
            CHECK(tracked::alive == 0);
        };
        loop.run(body()).get();
        CHECK(seen == 2 + 3 + 5 + 7);
        CHECK(tracked::alive == 0);
        CHECK(tracked::wrong == 0);
    }

    TEST_CASE("a parameter that would refer to a temporary is refused") {
        using hawser::detail::arguments_are_kept;
        struct base {};
        struct derived : base {};
        struct member {
            task<> by_reference(const std::string&);
            task<> by_value(std::string) const noexcept;
        };
        using by_reference = task<> (*)(const std::string&);
        using by_rvalue = task<> (*)(int, std::string&&) noexcept;
        using by_value = task<> (*)(std::string);
        static_assert(!arguments_are_kept<by_reference, const char*>());
        static_assert(arguments_are_kept<by_reference, std::string>());
        static_assert(arguments_are_kept<by_reference, std::reference_wrapper<std::string>>());
        static_assert(arguments_are_kept<by_reference, std::reference_wrapper<const std::string>>());
        static_assert(!arguments_are_kept<by_rvalue, int, const char*>());
        static_assert(arguments_are_kept<by_rvalue, int, std::string>());
        static_assert(arguments_are_kept<by_value, const char*>());
        static_assert(!arguments_are_kept<task<> (*)(const long&), int>());
        static_assert(arguments_are_kept<task<> (*)(base&), derived>());
        static_assert(arguments_are_kept<task<> (*)(const base&), derived>());
        static_assert(!arguments_are_kept<decltype(&member::by_reference), member*, const char*>());
        static_assert(arguments_are_kept<decltype(&member::by_reference), std::shared_ptr<member>, std::string>());
        static_assert(arguments_are_kept<decltype(&member::by_value), member*, const char*>());
        auto closure = [](const std::string&) -> task<> { co_return; };
        auto changing = [](std::string&&) mutable -> task<> { co_return; };
        auto generic = [](const auto&) -> task<> { co_return; };
        static_assert(!arguments_are_kept<decltype(closure), const char*>());
        static_assert(arguments_are_kept<decltype(closure), std::string>());
        static_assert(!arguments_are_kept<decltype(changing), const char*>());
        static_assert(arguments_are_kept<decltype(generic), const char*>());
    }

    TEST_CASE("move-only arguments") {
        manual::loop loop;
        auto body = []() -> task<int> {
            int got = 0;
            co_await with_scope([&](scope& s) {
                s.spawn([](std::unique_ptr<int> p, int& into) -> task<> {
                    co_await manual::turn{};
                    into = *p;
                }, std::make_unique<int>(9), std::ref(got));
            });
            co_return got;
        };
        CHECK(loop.run(body()).get() == 9);
    }

    TEST_CASE("member functions, on a pointer, a reference and a copy") {
        manual::loop loop;
        auto body = []() -> task<> {
            counter c;
            int seen = -1;
            co_await with_scope([&](scope& s) {
                s.spawn(&counter::add, &c, 1);
                s.spawn(&counter::add, std::ref(c), 2);
                s.spawn(&counter::add, c, 100);  // a copy
            });
            CHECK(c.value == 3);
            auto shared = std::make_shared<counter>();
            shared->value = 8;
            co_await with_scope([&](scope& s) { s.spawn(&counter::read, shared, std::ref(seen)); });
            CHECK(seen == 8);
        };
        loop.run(body()).get();
    }

    TEST_CASE("a task that was made already, and any operation, can be spawned") {
        manual::loop loop;
        std::string log;
        gate g;
        auto body = [&]() -> task<> {
            co_await with_scope([&](scope& s) {
                task<> made = note(log, "made");
                s.spawn(std::move(made));
                s.spawn(g.wait());
                g.open();
            });
        };
        loop.run(body()).get();
        CHECK(log == "made");
    }

    TEST_CASE("values of children are dropped, and freed") {
        manual::loop loop;
        auto body = []() -> task<> {
            co_await with_scope([](scope& s) {
                s.spawn([]() -> task<tracked> {
                    co_await manual::turn{};
                    co_return tracked{1};
                });
            });
        };
        loop.run(body()).get();
        CHECK(tracked::alive == 0);
    }

    TEST_CASE("children spawn children, also after the body has ended") {
        manual::loop loop;
        int leaves = 0;
        struct tree {
            static task<> grow(scope& s, int depth, int& count) {
                co_await manual::turn{};
                if (depth == 0) {
                    ++count;
                    co_return;
                }
                s.spawn(grow, std::ref(s), depth - 1, std::ref(count));
                s.spawn(grow, std::ref(s), depth - 1, std::ref(count));
            }
        };
        auto body = [&]() -> task<> {
            co_await with_scope([&](scope& s) { s.spawn(tree::grow, std::ref(s), 8, std::ref(leaves)); });
        };
        loop.run(body()).get();
        CHECK(leaves == 256);
    }

    TEST_CASE("a child spawned after a stop starts, and sees it at its first wait") {
        manual::loop loop;
        std::string log;
        gate never;
        auto body = [&]() -> task<> {
            co_await with_scope([&](scope& s) {
                s.request_stop();
                s.spawn(watch, std::ref(never), std::ref(log), "late");
            });
        };
        loop.run(body()).get();
        CHECK(log == "late cancelled;");
    }

    TEST_CASE("nested scopes: an inner error is the outer one's if nobody takes it; a stop goes inwards") {
        manual::loop loop;
        std::string log;
        gate never;
        auto inner = [&](int what) -> task<> {
            co_await with_scope([&](scope& s) {
                s.spawn(watch, std::ref(never), std::ref(log), "inner");
                if (what == 1) s.spawn(throw_after, 2, "deep");
            });
        };
        auto outer = [&](int what) -> task<> {
            auto children = [&](scope& s) -> task<> {
                s.spawn(std::ref(inner), what);
                s.spawn(watch, std::ref(never), std::ref(log), "outer");
                for (int i = 0; i < 2; ++i) co_await manual::turn{};
                if (what == 2) s.request_stop();
            };
            co_await with_scope(children);
        };
        CHECK_THROWS_WITH_AS(loop.run(outer(1)).get(), "deep", std::runtime_error);
        CHECK(log == "inner cancelled;outer cancelled;");
        log.clear();
        CHECK_NOTHROW(loop.run(outer(2)).get());
        // Whoever was registered first with the source of the outer scope is woken first.
        const bool both = log == "outer cancelled;inner cancelled;" || log == "inner cancelled;outer cancelled;";
        CHECK(both);
    }

    TEST_CASE("the body's value; an error of a child replaces it") {
        manual::loop loop;
        auto body = [](bool fail) -> task<std::string> {
            auto children = [&](scope& s) -> task<std::string> {
                if (fail) s.spawn(throw_after, 3, "child");
                co_await manual::turn{};
                co_return "value";
            };
            co_return co_await with_scope(children);
        };
        CHECK(loop.run(body(false)).get() == "value");
        CHECK_THROWS_WITH_AS(loop.run(body(true)).get(), "child", std::runtime_error);
    }

    TEST_CASE("as_result of a scope") {
        manual::loop loop;
        auto body = []() -> task<> {
            auto closed = [](scope& s) {
                s.spawn([]() -> task<> {
                    co_await manual::turn{};
                    throw_error(errc::closed);
                });
            };
            auto r = co_await as_result(with_scope(closed));
            CHECK(r.error() == errc::closed);
        };
        loop.run(body()).get();
    }

    TEST_CASE("ten thousand children") {
        manual::loop loop;
        auto body = []() -> task<int> {
            int ended = 0;
            co_await with_scope([&](scope& s) {
                for (int i = 0; i < 10000; ++i) {
                    s.spawn([](int& n) -> task<> {
                        co_await manual::turn{};
                        ++n;
                    }, std::ref(ended));
                }
            });
            co_return ended;
        };
        CHECK(loop.run(body()).get() == 10000);
    }

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
    TEST_CASE("closures that g++ 12 would destroy twice are recognised") {
        auto owns = [s = std::string{"x"}](scope&) {};
        auto refers = [&owns](scope&) { static_cast<void>(owns); };
        static_assert(!hawser::detail::closure_is_safe<decltype(owns)>);
        static_assert(hawser::detail::closure_is_safe<decltype(owns)&>);
        static_assert(hawser::detail::closure_is_safe<decltype(refers)>);
    }
#endif
}
