#pragma once
// A table of operations, and what a stop, a completion and a failure may each do to them. A new operation is one more
// row; table_test.cpp runs every row through every column.

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <hawser/coro/event.hpp>
#include <hawser/coro/when_all.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/test/fake_backend.hpp>

#include "support/descriptors.hpp"
#include "support/doctest.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wsubobject-linkage"  // coroutine frames here keep closures of the files that include this
#endif

namespace hawser_test {

namespace hw = hawser;

/// How an operation ended: its value as text, "cancelled", or the words of its error code.
struct observed {
    std::string text;
    std::size_t transferred = 0;
};
inline observed failed(const hw::error_info& why) {
    return {why == hw::errc::cancelled ? "cancelled" : why.code().message(), why.transferred()};
}

/// How the row's operation is awaited: plainly, for its result<T>, or under a timeout of a millisecond.
enum class how : unsigned char { plain, as_result, timed };

struct row;

/// What an operation works on, and the script's hands on it.
class world {
public:
    world() = default;
    world(const world&) = delete;
    world& operator=(const world&) = delete;
    virtual ~world() = default;

    /// Runs in the task before the operation.
    virtual hw::task<> prepare() { co_return; }
    virtual hw::task<observed> await_it(how) = 0;
    /// Makes the operation that waits complete, at once or in the next wait.
    virtual void complete() = 0;
    /// The peer goes away instead.
    virtual void reset() {}
    /// What must hold after the operation has ended as `first` says; `completed`: complete() was called.
    virtual hw::task<> afterwards(const row& r, const observed& first, bool completed) = 0;
    /// Drops what belongs to the reactor.
    virtual void leave() {}

    hw::test::fake_backend io;
};

struct row {
    std::string name{};
    std::string value{};                     ///< when it completes
    std::string before_start = "cancelled";  ///< awaited by a task that was stopped before
    std::string stopped = "cancelled";       ///< stopped while it waits
    std::string stop_first = "cancelled";    ///< stopped, then completed before its task is resumed
    std::string completion_first{};          ///< complete(), then stopped before its task is resumed; empty: the value
    std::string timed_out = "timed out";     ///< under with_timeout
    std::string reset{};                     ///< the peer goes away; empty: there is no peer
    std::string gone{};                      ///< awaited again after its reactor has ended; empty: nothing of it is left
    std::optional<std::size_t> moved = 0;    ///< bytes that an operation cut short has moved; none: see its check
    hw::duration wait = std::chrono::milliseconds{1};  ///< until it waits for what complete() completes
    bool waits = true;                       ///< false: it always ends by itself
    bool deaf = false;                       ///< a stop does not end it: it is completed after the stop
    std::function<std::unique_ptr<world>()> make{};
};

inline std::vector<row>& rows() {
    static std::vector<row> all;
    return all;
}

/// Awaits what make() gives and says how that ended.
template <class Make, class Show> hw::task<observed> observe(Make make, Show show, how as) {
    using value = hw::await_result_t<decltype(make())>;
    const auto of_result = [&show](auto&& r) -> observed {
        if (!r) return failed(r.error());
        if constexpr (std::is_void_v<value>) return {show(), 0};
        else return {show(*std::move(r)), 0};
    };
    if (as == how::as_result) {
        auto r = co_await hw::as_result(make());
        co_return of_result(std::move(r));
    }
    if (as == how::timed) {
        auto r = co_await hw::as_result(hw::with_timeout(std::chrono::milliseconds{1}, make()));
        co_return of_result(std::move(r));
    }
    try {
        if constexpr (std::is_void_v<value>) {
            co_await make();
            co_return observed{show(), 0};
        } else {
            auto v = co_await make();
            co_return observed{show(std::move(v)), 0};
        }
    } catch (const hw::error& e) {
        co_return failed(e.info());
    } catch (const std::exception& e) {  // `cancelled` must not come here
        co_return observed{std::string{"std::exception: "} + e.what(), 0};
    } catch (const hw::cancelled& c) {
        co_return observed{"cancelled", c.transferred()};
    }
}

/// The script's part of a row.
template <class World> struct steps {
    void (*complete)(World&);
    void (*reset)(World&) = nullptr;
    /// nullptr: the operation is awaited again, and completes.
    hw::task<> (*afterwards)(World&, const observed& first, bool completed) = nullptr;
    hw::task<> (*prepare)(World&) = nullptr;
};

template <class World, class Op, class Show> class case_of final : public World {
public:
    explicit case_of(const steps<World>& s) : steps_{s} {}
    hw::task<> prepare() override {
        co_await World::prepare();
        if (steps_.prepare) co_await steps_.prepare(*this);
    }
    hw::task<observed> await_it(how as) override {
        World& self = *this;
        return observe([&self] { return Op{}(self); }, [&self](auto&&... v) -> std::string { return Show{}(self, std::forward<decltype(v)>(v)...); }, as);
    }
    void complete() override { steps_.complete(*this); }
    void reset() override { steps_.reset(*this); }
    hw::task<> afterwards(const row& r, const observed& first, bool completed) override {
        if (steps_.afterwards) return steps_.afterwards(*this, first, completed);
        return again(r, first, completed);
    }

private:
    hw::task<> complete_later(hw::duration after) {
        co_await hw::sleep_for(after);
        complete();
    }
    hw::task<> again(const row& r, const observed& first, bool completed) {
        observed second;
        if (completed && first.text != r.value) second = co_await await_it(how::plain);  // what came then was kept
        else if (!r.waits) second = co_await await_it(how::plain);
        else second = std::get<0>(co_await hw::when_all(await_it(how::plain), complete_later(r.wait)));
        CHECK(second.text == r.value);
    }
    steps<World> steps_;
};

/// Adds a row; `op(world&)` makes the awaitable and `show(world&, value)` puts its value in words. Neither may capture.
template <class World, class Op, class Show> void add(row r, Op, Show, const steps<World>& s) {
    r.make = [s]() -> std::unique_ptr<world> { return std::make_unique<case_of<World, Op, Show>>(s); };
    rows().push_back(std::move(r));
}

/// Text whose every part can be told from every other.
inline std::string numbered(std::size_t size) {
    std::string text;
    for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(i) + ' ';
    text.resize(size);
    return text;
}

}  // namespace hawser_test
