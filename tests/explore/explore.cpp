// Runs many small programs of tasks, time-outs and faults on simulated lines, each drawn from a seed, and checks that no
// byte is lost, doubled or changed, that every end is told rightly, and that nothing hangs. `explore --help`.

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "program.hpp"

namespace explore {

std::uint64_t at_work = 0;
/// Says which seed it was that broke the process, or that did not end within a minute.
void say_seed(int number) {
    std::fprintf(stderr, "explore: signal %d at seed %llu\n", number, static_cast<unsigned long long>(at_work));
    std::signal(number, SIG_DFL);
    std::raise(number);
}

/// Faults of the line on what one side sends.
void disturb(world& w, hw::test::faults& line, flow& sent, bool tls) {
    hw::test::random& c = w.choice;
    if (c.one_in(3)) line.delay(w.below(200ms));
    if (c.one_in(4)) line.jitter(w.below(20ms));
    if (c.one_in(4)) line.cut(1 + c.below(c.one_in(2) ? 20 : 2'000));
    if (c.one_in(6)) line.window(1 + c.below(c.one_in(2) ? 100 : 100'000));
    if (c.one_in(8)) {
        line.bandwidth(50'000 + c.below(10'000'000));
        w.flows[0].may_reset = w.flows[1].may_reset = true;  // where it is too slow for the last 2 s
    }
    if (!c.one_in(4)) return;
    const std::uint64_t bytes = (tls ? 1'000 : 0) + c.below(c.one_in(2) ? 3'000 : 60'000);
    switch (c.below(5)) {
        case 0: line.truncate_after(bytes), sent.may_be_cut = true; break;
        case 1: line.truncate_after(w.below(3s)), sent.may_be_cut = true; break;
        case 2: line.reset_after(bytes), w.flows[0].may_reset = w.flows[1].may_reset = true; break;
        case 3: line.reset_after(w.below(3s)), w.flows[0].may_reset = w.flows[1].may_reset = true; break;
        default: line.stall_after(bytes), sent.may_stall = true; break;
    }
}

/// What must hold of one direction when both sides have ended.
void check_end(const flow& f, const flow& other, bool tls, bool reader_closing) {
    const std::string counts = std::to_string(f.received) + " of " + std::to_string(f.accepted) + " bytes";
    if (f.received > f.accepted) throw violation{"more was read than was written: " + counts};
    // A plain line cut short looks like one that has ended; TLS never does.
    const bool end_is_whole = tls || !f.may_be_cut;
    if (f.read_to_end && end_is_whole && f.received != f.accepted) throw violation{"a proper end was read after " + counts};
    if (f.read_to_end && tls && !f.ended_by_writer) throw violation{"a proper end was read that nobody wrote"};
    if (f.write_error) {
        const hw::error_info& e = *f.write_error;
        const bool gone = e.code().category() == std::system_category() && (e.code().value() == ECONNRESET || e.code().value() == EPIPE);
        const bool stalled = e == hw::errc::timed_out && e.doing() == hw::phase::write;
        const bool engine = tls && (e == hw::errc::tls_failure || e == hw::errc::truncated) && (other.may_be_cut || other.may_reset || !other.ended_by_writer);
        if (!(gone && (f.may_reset || f.may_be_cut)) && !stalled && !engine) throw violation{"a write failed for no reason: " + e.message()};
    }
    if (!f.read_error) return;
    const hw::error_info& e = *f.read_error;
    const bool reset = e.code().category() == std::system_category() && (e.code().value() == ECONNRESET || e.code().value() == EPIPE);
    // A writer whose own reading was cut short within a record gives its peer an alert about that.
    const bool alert = e == hw::errc::tls_failure && other.may_be_cut;
    const bool allowed = (e == hw::errc::closed && reader_closing) || alert || (reset && f.may_reset) ||
                         (e == hw::errc::truncated && (f.may_be_cut || f.may_reset || !f.ended_by_writer));
    if (!allowed) throw violation{"a read failed for no reason: " + e.message() + " after " + counts};
}

struct tls_setup {
    hw::tls::server_config server;
    hw::tls::config client;
};

hw::task<> secure(world& w, hw::any_stream plain, side& me, const tls_setup& tls, bool server) {
    const auto limit = w.choice.one_in(5) ? w.below(1s) : hw::duration{10s};
    if (server) {
        auto line = co_await hw::with_timeout(limit, hw::tls::accept(std::move(plain), tls.server));
        me.line = std::move(line);
    } else {
        auto line = co_await hw::with_timeout(limit, hw::tls::handshake(std::move(plain), "localhost", tls.client));
        me.line = std::move(line);
    }
}

/// Runs the schedule of one seed. Throws violation. Gives the fingerprint of the run.
std::uint64_t explore_one(std::uint64_t seed, const tls_setup* tls, tally& counts, bool trace) {
    at_work = seed, ::alarm(60);
    hw::test::reactor r{hw::test::reactor_options{.seed = seed, .time_limit = 2000h, .trace = trace}};
    world w{seed, counts, r};
    w.tls = tls != nullptr;
    try {
        auto [near, far] = hw::test::stream_pair(r);
        disturb(w, near, w.flows[0], tls != nullptr);
        disturb(w, far, w.flows[1], tls != nullptr);
        const bool may_stall = w.flows[0].may_stall || w.flows[1].may_stall;
        bool connected = true;
        if (tls) {
            try {
                r.run(hw::when_all(secure(w, std::move(near), w.sides[0], *tls, false), secure(w, std::move(far), w.sides[1], *tls, true)));
            } catch (const hw::error&) {
                connected = false;
                ++counts.failed_handshakes;
                for (side& s : w.sides) s.line = hw::any_stream{};
            }
        } else {
            w.sides[0].line = std::move(near);
            w.sides[1].line = std::move(far);
        }
        if (connected) {
            try {
                // A line that stalls for ever is waited for in vain; on every other a wait without an end is a deadlock.
                auto both = hw::when_all(run_side(w, w.sides[0]), run_side(w, w.sides[1]));
                if (may_stall) static_cast<void>(r.run(hw::as_result(hw::with_timeout(1000h, std::move(both)))));
                else r.run(std::move(both));
            } catch (const hw::error& e) {
                throw violation{std::string{"it hangs, or an error got out: "} + e.what()};
            }
            check_end(w.flows[0], w.flows[1], tls != nullptr, w.sides[1].closing);
            check_end(w.flows[1], w.flows[0], tls != nullptr, w.sides[0].closing);
        }
    } catch (...) {
        for (side& s : w.sides) s.line = hw::any_stream{};
        if (trace) std::fputs(r.trace().c_str(), stderr);
        throw;
    }
    if (trace) std::fputs(r.trace().c_str(), stderr);
    ++counts.schedules;
    return r.fingerprint();
}

struct arguments {
    std::uint64_t plain = 0, tls = 0, first = 1;
    std::uint64_t seed = 0;
    bool one = false, over_tls = false;
};

void print(const char* what, const tally& t, double seconds) {
    std::printf("%s: %llu schedules in %.1f s; %llu operations: %llu timed out, %llu cancelled (%llu of both had moved something), %llu finished "
                "although stopped; %llu scope errors; %llu bytes; %llu proper ends, %llu cut, %llu handshakes failed\n", what,
                static_cast<unsigned long long>(t.schedules), seconds, static_cast<unsigned long long>(t.operations), static_cast<unsigned long long>(t.timed_out),
                static_cast<unsigned long long>(t.cancelled), static_cast<unsigned long long>(t.partial),
                static_cast<unsigned long long>(t.finished_although_stopped), static_cast<unsigned long long>(t.scope_errors),
                static_cast<unsigned long long>(t.bytes), static_cast<unsigned long long>(t.proper_ends), static_cast<unsigned long long>(t.cut_ends),
                static_cast<unsigned long long>(t.failed_handshakes));
}

/// Explores `count` seeds. False if one failed.
bool explore_many(std::uint64_t first, std::uint64_t count, const tls_setup* tls) {
    const auto began = std::chrono::steady_clock::now();
    tally counts;
    unsigned failed = 0;
    for (std::uint64_t seed = first; seed < first + count && failed < 10; ++seed) {
        try {
            const std::uint64_t once = explore_one(seed, tls, counts, false);
            if (seed % 100 == 0 && explore_one(seed, tls, counts, false) != once) throw violation{"the same seed ran another way"};
        } catch (const std::exception& e) {
            ++failed;
            std::printf("FAILED: %s\n  replay: explore --seed %llu%s\n", e.what(), static_cast<unsigned long long>(seed), tls ? " --over-tls" : "");
        }
    }
    print(tls ? "TLS" : "plain", counts, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    return failed == 0;
}

}  // namespace explore

int main(int argc, char** argv) {
    using namespace explore;
    arguments of;
    for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGALRM}) std::signal(number, say_seed);
    std::setvbuf(stdout, nullptr, _IOLBF, 1 << 12);
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        const auto number = [&](std::uint64_t& into) {
            const char* text = ++i < argc ? argv[i] : "";
            const auto [end, bad] = std::from_chars(text, text + std::strlen(text), into);
            if (bad == std::errc{} && *end == '\0') return;
            std::fprintf(stderr, "explore: %.*s takes a number\n", static_cast<int>(name.size()), name.data());
            std::exit(2);
        };
        if (name == "--plain") number(of.plain);
        else if (name == "--tls") number(of.tls);
        else if (name == "--first") number(of.first);
        else if (name == "--seed") number(of.seed), of.one = true;
        else if (name == "--over-tls") of.over_tls = true;
        else {
            const bool asked = name == "--help";
            std::fputs("usage: explore [--plain COUNT] [--tls COUNT] [--first SEED] | --seed SEED [--over-tls]\n\n"
                       "Runs so many seeded schedules, from --first on (1), or replays one and prints its events.\n"
                       "Exit status 1 when something that must never happen did.\n", asked ? stdout : stderr);
            return asked ? 0 : 2;
        }
    }

    std::optional<tls_setup> tls;
    if (of.tls > 0 || of.over_tls) {
        const char* given = std::getenv("HAWSER_EXPLORE_CERTIFICATE");
        if (!given) {
            std::fputs("explore: TLS needs HAWSER_EXPLORE_CERTIFICATE, NAME of NAME.pem and NAME.key for localhost (scripts/explore makes them)\n", stderr);
            return 2;
        }
        const std::string certificate = std::string{given} + ".pem";
        tls.emplace(tls_setup{hw::tls::server_config::from_files(certificate, std::string{given} + ".key"),
                              hw::tls::config{hw::tls::client_options{.ca_file = certificate}}});
    }
    if (of.one) {
        tally counts;
        try {
            explore_one(of.seed, of.over_tls ? &*tls : nullptr, counts, true);
        } catch (const std::exception& e) {
            std::printf("FAILED: %s\n", e.what());
            return 1;
        }
        print("it passed", counts, 0);
        return 0;
    }
    bool passed = of.plain == 0 || explore_many(of.first, of.plain, nullptr);
    if (of.tls > 0) passed = explore_many(of.first, of.tls, &*tls) && passed;
    return passed ? 0 : 1;
}
