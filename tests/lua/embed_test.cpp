// C++ and Lua on one reactor: calls both ways, channels, streams that change hands, cancellation across the border.

#include <hawser/coro/when_all.hpp>
#include <hawser/hawser.hpp>
#include <hawser/lua/embed.hpp>

#include "../support/doctest.hpp"

namespace hw = hawser;
using namespace std::chrono_literals;

namespace {

/// A Lua state with the modules of the tree.
class interpreter {
public:
    interpreter() : L_{luaL_newstate()} {
        REQUIRE(L_ != nullptr);
        luaL_openlibs(L_);
        hw::lua::open(L_);
        run("package.path = '" HAWSER_SOURCE_ROOT "/lua/?.lua'");
    }
    interpreter(const interpreter&) = delete;
    interpreter& operator=(const interpreter&) = delete;
    ~interpreter() { lua_close(L_); }

    hw::lua::state* get() const noexcept { return L_; }
    void run(const char* text) {
        if (luaL_dostring(L_, text) != 0) FAIL(lua_tostring(L_, -1));
    }
    hw::lua::reference function(std::string_view text) { return hw::lua::load_text(L_, text); }

private:
    lua_State* L_;
};

}  // namespace

TEST_CASE("a C++ task calls Lua, which waits on the same reactor") {
    interpreter lua;
    auto body = [&]() -> hw::task<> {
        const auto f = lua.function("local a, b = ... require('hawser').sleep(0.001) return a + 1, b .. '!'");
        auto got = co_await hw::lua::call<std::tuple<int, std::string>>(f, 41, "text");
        CHECK(std::get<0>(got) == 42);
        CHECK(std::get<1>(got) == "text!");
        co_await hw::lua::call(f, 1, "nothing is asked for");
        auto all = co_await hw::lua::call<std::vector<hw::lua::reference>>(f, 1, "x");
        REQUIRE(all.size() == 2);
        CHECK(hw::lua::get<int>(all[0]) == 2);
        CHECK(hw::lua::get<std::optional<std::string>>(all[1]) == "x!");
        CHECK_THROWS_AS(static_cast<void>(hw::lua::get<bool>(all[0])), hw::lua::script_error);
    };
    hw::run(body());
    hw::run(body());  // another reactor, the same Lua state
}

TEST_CASE("an error of Lua comes as script_error, with its traceback through the waits") {
    interpreter lua;
    auto body = [&]() -> hw::task<> {
        const auto f = lua.function(
            "local h = require 'hawser' local function inner() h.sleep(0.001) error('broken') end h.yield() inner() return 1");
        bool thrown = false;
        try {
            co_await hw::lua::call<int>(f);
        } catch (const hw::lua::script_error& e) {
            thrown = true;
            CHECK(std::string{e.what()}.find("broken") != std::string::npos);
            CHECK(e.traceback().find("inner") != std::string::npos);
        }
        CHECK(thrown);
        bool wrong_type = false;
        try {
            co_await hw::lua::call<std::string>(lua.function("return {}"));
        } catch (const hw::lua::script_error& e) {
            wrong_type = std::string{e.what()}.find("expects a string") != std::string::npos;
        }
        CHECK(wrong_type);
    };
    hw::run(body());
    CHECK_THROWS_AS(static_cast<void>(lua.function("return return")), hw::lua::script_error);
    CHECK_THROWS_AS(static_cast<void>(hw::lua::load_file(lua.get(), "/nonexistent.lua")), hw::lua::script_error);
}

TEST_CASE("what a called function spawns is joined with it, and stopped by its error") {
    interpreter lua;
    auto body = [&]() -> hw::task<> {
        co_await hw::lua::call(lua.function("local h = require 'hawser' h.spawn(function() h.sleep(0.005) done = true end)"));
        CHECK(hw::lua::get<bool>(hw::lua::global(lua.get(), "done")));
        auto failing = hw::lua::call(lua.function("local h = require 'hawser' h.spawn(function() cut = select(3, h.sleep(60)) end) "
                                                  "h.yield() error 'first'"));
        CHECK_THROWS_AS(co_await std::move(failing), hw::lua::script_error);
        CHECK(hw::lua::get<int>(hw::lua::global(lua.get(), "cut")) == ECANCELED);
    };
    hw::run(body());
}

TEST_CASE("a stop of the C++ task reaches Lua, which cleans up") {
    interpreter lua;
    auto body = [&]() -> hw::task<> {
        const auto f = lua.function("local h = require 'hawser' local _, message, number = h.sleep(60) "
                                    "said, code = message, number h.yield() cleaned = true");
        auto ended = co_await hw::as_result(hw::with_timeout(5ms, hw::lua::call(f)));
        CHECK(ended);  // the function ended by itself, in order
        CHECK(hw::lua::get<std::string>(hw::lua::global(lua.get(), "said")) == "cancelled");
        CHECK(hw::lua::get<int>(hw::lua::global(lua.get(), "code")) == ECANCELED);
        CHECK(hw::lua::get<bool>(hw::lua::global(lua.get(), "cleaned")));
        const auto g = lua.function("local h = require 'hawser' assert(h.sleep(60))");
        auto cut = co_await hw::as_result(hw::with_timeout(5ms, hw::lua::call(g)));
        CHECK((!cut && cut.error() == hw::errc::timed_out));
    };
    hw::run(body());
}

TEST_CASE("Lua calls C++ functions, waits for coroutines, and stops them") {
    interpreter lua;
    bool stopped = false;
    hw::lua::set_function(lua.get(), "add", [](int a, double b) { return a + b; });
    hw::lua::set_function(lua.get(), "fails", [](const std::string& what) -> int { throw hw::error{hw::error_info{hw::make_error_code(hw::errc::busy), hw::phase::none, {}, what}}; });
    hw::lua::set_function(lua.get(), "slow", [](std::string text) -> hw::task<std::tuple<std::string, int>> {
        co_await hw::sleep_for(1ms);
        co_return std::tuple<std::string, int>{text + text, 2};
    });
    hw::lua::set_function(lua.get(), "for_ever", [&stopped]() -> hw::task<> {
        try {
            co_await hw::sleep_for(60s);
        } catch (const hw::cancelled&) {
            stopped = true;
            throw;
        }
    });
    auto body = [&]() -> hw::task<> {
        co_await hw::lua::call(lua.function(R"(
            local h = require "hawser"
            assert(add(2, 0.5) == 2.5)
            assert(not pcall(add, "two", 1))
            local nothing, message, number = fails("why")
            assert(nothing == nil and message:find("why") and number == h.errno.EBUSY)
            local text, count = slow("ab")
            assert(text == "abab" and count == 2)
            local _, why, code = h.with_timeout(0.005, for_ever)
            assert(why == "timed out" and code == h.errno.ETIMEDOUT)
            assert(not pcall(function() table.sort({1, 2, 3}, function() slow("x") end) end))
        )"));
    };
    hw::run(body());
    CHECK(stopped);
}

TEST_CASE("a channel carries values both ways") {
    interpreter lua;
    auto body = [&]() -> hw::task<> {
        hw::lua::channel questions{lua.get(), 0}, answers{lua.get(), 2};
        const auto f = lua.function("local questions, answers = ... for q in function() return questions:receive() end do "
                                    "answers:send(q * 2) end answers:close()");
        auto asks = [&]() -> hw::task<> {
            for (int i = 1; i <= 100; ++i) co_await questions.send(i);
            questions.close();
        };
        int sum = 0;
        auto listens = [&]() -> hw::task<> {
            while (auto answer = co_await answers.receive<int>()) sum += *answer;
        };
        co_await hw::when_all(hw::lua::call(f, questions, answers), asks(), listens());
        CHECK(sum == 10100);
    };
    hw::run(body());
}

TEST_CASE("streams change hands, with what was read ahead") {
    interpreter lua;
    auto body = [&]() -> hw::task<> {
        hw::tcp::listener door{hw::endpoint::loopback(0)};
        auto client = [&]() -> hw::task<> {
            auto line = co_await hw::tcp::connect(door.local_endpoint());
            co_await line.write("first\nsecond\nthird\n");
            hw::buffered in{line};
            CHECK(*co_await in.read_line() == "SECOND");
            CHECK(*co_await in.read_line() == "THIRD");
            co_await line.close();
        };
        auto server = [&]() -> hw::task<> {
            hw::tcp::stream line = co_await door.accept();
            // To Lua, which reads one line, and back, and to Lua again.
            const auto one = lua.function("local line = ... first = line:read('l') return line");
            hw::any_stream back = co_await hw::lua::call<hw::any_stream>(one, std::move(line));
            hw::buffered in{std::move(back)};
            const auto second = co_await in.read_line();
            CHECK(*second == "second");
            co_await in.write("SECOND\n");
            const auto rest = lua.function("local line = ... line:write(line:read('l'):upper(), '\\n') line:close()");
            co_await hw::lua::call(rest, hw::make_any_stream(std::move(in)));
        };
        co_await hw::when_all(client(), server());
        CHECK(hw::lua::get<std::string>(hw::lua::global(lua.get(), "first")) == "first");
    };
    hw::run(body());
}

TEST_CASE("Lua outlives the reactor, and the reactor Lua") {
    interpreter lua;
    auto leaves_things = [&]() -> hw::task<> {
        co_await hw::lua::call(lua.function(R"(
            local h = require "hawser"
            door = assert(h.tcp.listen("127.0.0.1", 0))
            line = assert(h.tcp.connecta(door:address()))
            channel = h.channel(1)
        )"));
    };
    hw::run(leaves_things());
    auto uses_them = [&]() -> hw::task<> {
        co_await hw::lua::call(lua.function("local _, message, number = line:read('l') assert(number, message)"));
    };
    hw::run(uses_them());
    auto closes_lua_first = []() -> hw::task<> {
        hw::lua::reference kept;
        {
            interpreter inner;
            kept = inner.function("return 1");
            const auto f = inner.function("local h = require 'hawser' h.spawn(function() h.sleep(60) end) "
                                          "door = h.tcp.listen('127.0.0.1', 0) h.spawn(function() door:accept() end)");
            auto cut = co_await hw::as_result(hw::with_timeout(2ms, hw::lua::call(f)));
        }
        CHECK_FALSE(kept);
    };
    hw::run(closes_lua_first());
}

TEST_CASE("outside of a task Lua says how to wait") {
    interpreter lua;
    auto body = [&]() -> hw::task<> {
        lua.run("ok, message = pcall(require('hawser').sleep, 0.001)");
        CHECK_FALSE(hw::lua::get<bool>(hw::lua::global(lua.get(), "ok")));
        CHECK(hw::lua::get<std::string>(hw::lua::global(lua.get(), "message")).find("hawser::lua::call") != std::string::npos);
        co_return;
    };
    hw::run(body());
}
