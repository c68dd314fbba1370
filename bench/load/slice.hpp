#pragma once
// A slice of work: what is done in it, and what it cost.

#include <algorithm>
#include <string>

#include "clocks.hpp"
#include "histogram.hpp"

namespace load {

struct figures {
    std::uint64_t ops = 0, bytes = 0, errors = 0, resumed = 0;
    std::uint64_t ended = 0;  // when the last of it was there
    std::string first_error;
    histogram latency;

    void fails(const std::string& why) {
        if (errors++ == 0) first_error = why;
    }
};

inline std::string json_text(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    return out + '"';
}

/// How long a slice warms up before it counts.
inline std::uint64_t warm_up_of(std::uint64_t nanoseconds) { return std::min(5 * millisecond, nanoseconds / 10); }

/// The most that is waited for what is on its way when the time is over.
inline constexpr std::uint64_t patience = 5 * second;

/// Runs warm_up(figures&), then counted(figures&), and gives the answer. Both return when nothing is on its way any more.
///
/// So the server sleeps before and after what is counted, all it did in between was for what is counted, and the clock of its
/// CPU time is exact. The price is that the counted part begins and ends with fewer messages on their way than in the middle.
template <class WarmUp, class Counted> std::string measure(const server_process& server, WarmUp&& warm_up, Counted&& counted) {
    figures before, of;
    warm_up(before);
    server.settle();
    const std::uint64_t cpu = server.cpu_ns(), own_cpu = own_cpu_ns(), start = now();
    counted(of);
    const std::uint64_t own_cpu_after = own_cpu_ns();
    server.settle();
    const std::uint64_t cpu_after = server.cpu_ns();
    std::string text = "{";
    const auto add = [&](const char* name, std::uint64_t value) { text += json_text(name) + ':' + std::to_string(value) + ','; };
    add("ops", of.ops);
    add("wall_ns", of.ended > start ? of.ended - start : 0);
    add("cpu_ns", cpu_after - cpu);
    add("load_cpu_ns", own_cpu_after - own_cpu);
    add("bytes", of.bytes);
    add("errors", before.errors + of.errors);
    add("resumed", of.resumed);
    add("all_ops", before.ops + of.ops);
    add("all_bytes", before.bytes + of.bytes);
    const std::string& error = before.errors > 0 ? before.first_error : of.first_error;
    if (!error.empty()) text += "\"first_error\":" + json_text(error) + ',';
    return text + "\"latency\":" + of.latency.json() + '}';
}

}  // namespace load
