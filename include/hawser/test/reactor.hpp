#pragma once
// A deterministic reactor for tests: virtual time, simulated connections, and a seed that replays a run.

#include <concepts>
#include <string>
#include <vector>

#include <hawser/reactor/run.hpp>
#include <hawser/test/simulation.hpp>

namespace hawser::test {

/// Takes the place of hawser::run in tests: `test::reactor r{seed}; r.run(task)`. Nothing sleeps: when every task waits,
/// time jumps to the next timer or arrival. All that may vary in the order of events follows from the seed, so the same
/// program with the same seed runs the same way. It is the reactor of this thread from its construction to its end, so
/// streams, configurations and listeners can be made before run(); there can be no hawser::run on this thread meanwhile.
/// Its destructor lets destroyed streams send what they had accepted, and ends the others. Not movable.
class reactor {
public:
    /// Throws errc::invalid_argument where this thread has a reactor already.
    explicit reactor(const reactor_options& options = {}) : io_{checked(options)}, loop_{io_} {}
    template <std::integral Seed>
    explicit reactor(Seed seed) : reactor{reactor_options{.seed = static_cast<std::uint64_t>(seed)}} {}
    reactor(const reactor&) = delete;
    reactor& operator=(const reactor&) = delete;

    /// Runs an awaitable to its end, and gives its value or throws what it threw. May be called several times: the streams,
    /// what is on its way, and the time stay. Where nothing can ever happen any more, it stops the awaitable and throws a
    /// std::system_error with EDEADLK that lists what was waited for; beyond the limits of the options errc::limit_exceeded.
    /// What does not even end when it is stopped is printed and ends the process.
    template <awaitable Op>
        requires(!std::is_lvalue_reference_v<Op>)
    await_result_t<Op> run(Op&& op) {
        if (hawser::reactor::current() != &loop_) refuse("run() on another thread than that of the test::reactor");
        if (running_) refuse("run() inside run(): co_await the task instead");
        hawser::detail::root<Op> root{std::move(op)};
        auto ended = [&] {
            const active guard{*this, root.stop()};
            return root.run_to_end(loop_);
        }();
        if (io_.failure()) throw error{io_.failure()};
        return std::move(ended).get();
    }

    /// The virtual time; all deadlines are in it.
    time_point now() const noexcept { return io_.now(); }
    /// How much of it has passed since the construction.
    duration elapsed() const noexcept { return io_.elapsed(); }
    std::uint64_t seed() const noexcept { return io_.options().seed; }
    /// A hash of every event so far: what completed, where, with what, when. Two runs that are equal here were the same.
    std::uint64_t fingerprint() const noexcept { return io_.log().fingerprint(); }
    /// The events as text, a line for each; empty without reactor_options::trace.
    const std::string& trace() const noexcept { return io_.log().text(); }

    /// The reactor that the library sees.
    hawser::reactor& loop() noexcept { return loop_; }
    /// For stream_pair.
    hawser::detail::simulation& io() noexcept { return io_; }

private:
    struct active {
        active(reactor& r, stop_source& stop) noexcept : owner{r} {
            owner.running_ = true;
            owner.io_.begin_run(stop);
        }
        active(const active&) = delete;
        active& operator=(const active&) = delete;
        ~active() {
            owner.running_ = false;
            owner.io_.end_run();
        }
        reactor& owner;
    };
    [[noreturn]] static void refuse(const char* why) {
        throw error{error_info{make_error_code(errc::invalid_argument), phase::setup, {}, why}};
    }
    static const reactor_options& checked(const reactor_options& options) {
        if (options.time_limit <= duration::zero()) refuse("reactor_options::time_limit is not positive");
        if (options.turn_limit == 0) refuse("reactor_options::turn_limit is 0");
        if (options.patience < duration::zero()) refuse("reactor_options::patience is negative");
        return options;
    }

    hawser::detail::recycled_memory memory_;
    hawser::detail::simulation io_;
    hawser::reactor loop_;
    bool running_ = false;
};

/// The seed in the environment variable HAWSER_TEST_SEED (decimal, or 0x...), or else `otherwise`. Throws
/// errc::invalid_argument where the variable is not a number.
inline std::uint64_t seed_from_environment(std::uint64_t otherwise) {
    const char* text = std::getenv("HAWSER_TEST_SEED");
    if (!text) return otherwise;
    char* end = nullptr;
    const std::uint64_t seed = std::strtoull(text, &end, 0);
    if (end == text || *end != '\0') {
        const std::string why = std::string{"HAWSER_TEST_SEED is not a number: "} + text;
        throw error{error_info{make_error_code(errc::invalid_argument), phase::setup, {}, why}};
    }
    return seed;
}

/// The seeds 1 to `count`, or only that in HAWSER_TEST_SEED: `for (auto seed : test::seeds(100))`.
inline std::vector<std::uint64_t> seeds(std::size_t count) {
    if (std::getenv("HAWSER_TEST_SEED")) return {seed_from_environment(0)};
    std::vector<std::uint64_t> all;
    for (std::uint64_t seed = 1; seed <= count; ++seed) all.push_back(seed);
    return all;
}

}  // namespace hawser::test
