// Every operation through every column: each ends as its row says, nothing is lost, left in flight or leaked.

#include <algorithm>

#include "table.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;

namespace {

enum class column : unsigned char {
    completes,
    stopped_before_start,
    stopped_before_start_in_turn,  // the refusal that goes through the loop
    stopped_in_flight,
    completion_then_stop,
    stop_then_completion,
    timed_out,
    peer_reset,
    reactor_stopped,
    scope_error,
};
constexpr const char* column_names[] = {"completes", "stopped before start", "stopped before start, refused after a turn", "stopped in flight",
                                        "completion, then stop", "stop, then completion", "timed out", "peer reset", "reactor stopped",
                                        "scope error"};

struct scope_error : std::runtime_error {
    scope_error() : std::runtime_error{"a sibling failed"} {}
};

struct stage {
    world& w;
    const row& r;
    column what;
    observed got{"did not end", 0};
    bool ended = false, completed = false, sibling_failed = false;
    hw::scope* around = nullptr;
    hw::stop_source* root = nullptr;
    hw::event failure{};
    struct stop_timer : hw::detail::timer {
        stage* of = nullptr;
    } after_completion{};

    void complete() {
        completed = true;
        w.complete();
    }
    void stop() noexcept {
        if (!ended) around->request_stop();
    }
};

/// The kernel's answers to what was cancelled.
void answer_cancelled(hw::test::fake_backend& io) {
    using hw::detail::op_kind;
    for (const op_kind kind : {op_kind::receive, op_kind::send, op_kind::accept, op_kind::connect, op_kind::poll}) {
        while (hw::detail::op* o = io.find(kind)) {
            if (!o->cancelling) break;
            io.complete(*o, -ECANCELED);
        }
    }
}

hw::task<> operation_in_scope(stage& s, how as) {
    const bool stopped_before = s.what == column::stopped_before_start || s.what == column::stopped_before_start_in_turn;
    auto body = [&](hw::scope& around) -> hw::task<> {
        s.around = &around;
        if (s.what == column::stopped_before_start_in_turn) {
            for (int i = 0; i < 15; ++i) (void)hw::reactor::current()->refusal_needs_turn();
        }
        if (stopped_before) around.request_stop();
        around.spawn([&s, as]() -> hw::task<> {
            s.got = co_await s.w.await_it(as);
            s.ended = true;
        });
        if (s.what == column::scope_error) {
            around.spawn([&s]() -> hw::task<> {
                co_await s.failure.wait();
                throw scope_error{};
            });
        }
        co_return;
    };
    try {
        co_await hw::with_scope(body);
    } catch (const scope_error&) {
        s.sibling_failed = true;
    }
}

/// Does to the operation, once it waits, what the column says.
hw::task<> director(stage& s) {
    if (!s.r.waits) co_return;
    if (s.what == column::timed_out && !s.r.deaf) co_return;
    if ((s.what == column::stopped_before_start || s.what == column::stopped_before_start_in_turn) && !s.r.deaf) co_return;
    co_await hw::sleep_for(s.r.wait);
    CHECK_MESSAGE(!s.ended, "it should wait");
    switch (s.what) {
        case column::completes: s.complete(); break;
        case column::stopped_in_flight: s.stop(); break;
        case column::completion_then_stop:
            s.complete();
            s.after_completion.of = &s;
            s.after_completion.fire = [](hw::detail::timer& t) noexcept { static_cast<stage::stop_timer&>(t).of->stop(); };
            hw::reactor::current()->set_timer(s.after_completion, s.w.io.now());
            co_return;
        case column::stop_then_completion:
            s.w.io.cancels_complete = false;
            s.stop();
            s.complete();
            s.w.io.cancels_complete = true;
            answer_cancelled(s.w.io);
            co_return;
        case column::peer_reset: s.w.reset(); break;
        case column::reactor_stopped: s.root->request_stop(); break;
        case column::scope_error: s.failure.set(); break;
        default: break;
    }
    if (!s.r.deaf || s.completed || s.what == column::peer_reset) co_return;
    for (int i = 0; i < 3; ++i) (void)co_await hw::as_result(hw::yield());
    CHECK_MESSAGE(!s.ended, "the stop should not have reached it");
    s.complete();
}

hw::task<> play(stage& s, how as) {
    co_await s.w.prepare();
    co_await hw::when_all(operation_in_scope(s, as), director(s));
    if (s.what == column::reactor_stopped) co_return;  // run() is left with everything in the middle
    if (s.what != column::peer_reset) {
        auto ended = co_await hw::as_result(hw::with_timeout(1h, s.w.afterwards(s.r, s.got, s.completed)));
        CHECK_MESSAGE(ended.has_value(), "what it waits for was lost");
    }
    s.w.leave();
}

const std::string& expected(const row& r, column c) {
    if (!r.waits && c != column::stopped_before_start && c != column::stopped_before_start_in_turn) return r.value;
    switch (c) {
        case column::completes: return r.value;
        case column::completion_then_stop: return r.completion_first.empty() ? r.value : r.completion_first;
        case column::stopped_before_start:
        case column::stopped_before_start_in_turn: return r.before_start;
        case column::stop_then_completion: return r.stop_first;
        case column::timed_out: return r.timed_out;
        case column::peer_reset: return r.reset;
        default: return r.stopped;
    }
}

void run_cell(const row& r, column c, how as) {
    const std::string operation = r.name, situation = column_names[static_cast<int>(c)];
    CAPTURE(operation);
    CAPTURE(situation);
    CAPTURE(static_cast<int>(as));
    const std::size_t descriptors = open_descriptors();
    {
        const std::unique_ptr<world> w = r.make();
        stage s{*w, r, c};
        {
            hw::detail::root<hw::task<>> root{play(s, as)};
            s.root = &root.stop();
            hw::reactor loop{w->io};
            root.run_on(loop).get();
        }
        CHECK(s.got.text == expected(r, c));
        if (c != column::peer_reset && c != column::stop_then_completion && r.moved && (s.got.text == "cancelled" || s.got.text == "timed out") &&
            c != column::stopped_before_start && c != column::stopped_before_start_in_turn) {
            CHECK(s.got.transferred == *r.moved);
        }
        CHECK(s.sibling_failed == (c == column::scope_error && r.waits));
        CHECK(w->io.in_flight() == 0);
        if (c == column::reactor_stopped && !r.gone.empty()) {
            hw::test::fake_backend another;
            const observed late = hw::test::run_on(another, w->await_it(how::plain));
            CHECK(late.text == r.gone);
            CHECK(another.in_flight() == 0);
        }
    }
    CHECK(open_descriptors() == descriptors);
}

void run_column(column c) {
    for (const row& r : rows()) {
        if (c == column::peer_reset && r.reset.empty()) continue;
        if (c == column::scope_error && !r.waits) continue;
        if (c == column::timed_out) {
            run_cell(r, c, how::timed);
            continue;
        }
        for (const how as : {how::plain, how::as_result}) run_cell(r, c, as);
    }
}

}  // namespace

TEST_SUITE("every operation") {
    TEST_CASE("has a row") {
        // Public functions that give an awaitable. as_result and with_timeout are awaited with every row besides.
        const char* const awaitables[] = {
            "sleep_for", "sleep_until", "yield", "get_stop_token", "event.wait", "a task", "with_scope", "with_scope of a task", "when_all",
            "when_all of a vector", "when_any", "with_timeout", "with_deadline", "shield", "foreign", "resolve", "tcp::connect to an endpoint",
            "tcp::connect to a name", "tcp::listener.accept", "tls::listener.accept", "tls::listener.serve", "tls::handshake", "tls::accept",
            "pending.handshake", "tls::connect", "mutex.lock", "semaphore.acquire", "semaphore.hold", "channel.send", "channel.reserve",
            "channel.receive", "generator.next", "remote_channel.send", "remote_channel.receive", "next_signal",
        };
        const char* const of_streams[] = {"read_some", "read", "read_exactly", "read_all", "copy", "buffered.read_line", "buffered.read_until",
                                          "buffered.fill", "buffered.read_some", "write", "write of several pieces", "write_all"};
        const char* const endings[] = {"flush", "shutdown_send", "close"};
        const auto has_row = [](const std::string& name) {
            const auto found = std::count_if(rows().begin(), rows().end(), [&](const row& r) { return r.name == name; });
            CHECK_MESSAGE(found == 1, name);
        };
        for (const char* name : awaitables) has_row(name);
        for (const char* stream : {"tcp::stream ", "tls::stream ", "make_any_stream "}) for (const char* name : of_streams) has_row(std::string{stream} + name);
        for (const char* stream : {"tcp::stream ", "tls::stream "}) for (const char* name : endings) has_row(std::string{stream} + name);
    }
    TEST_CASE("completes") { run_column(column::completes); }
    TEST_CASE("stopped before its start is refused at once") { run_column(column::stopped_before_start); }
    TEST_CASE("stopped before its start is refused through the loop when it is its turn") { run_column(column::stopped_before_start_in_turn); }
    TEST_CASE("stopped in flight gives up, and loses nothing") { run_column(column::stopped_in_flight); }
    TEST_CASE("completed and then stopped has completed") { run_column(column::completion_then_stop); }
    TEST_CASE("stopped and then completed gives the data, or leaves it for the next") { run_column(column::stop_then_completion); }
    TEST_CASE("ends at its deadline, and loses nothing") { run_column(column::timed_out); }
    TEST_CASE("tells that the peer went away") { run_column(column::peer_reset); }
    TEST_CASE("is cut by the stop of its reactor, and its object outlives that") { run_column(column::reactor_stopped); }
    TEST_CASE("is stopped and joined when a sibling fails") { run_column(column::scope_error); }
}
