#pragma once
// A table of CPU times: rounds in which its rows take turns, medians as Markdown or JSON.

#include <time.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace bench {

/// User and system time of this process.
inline double cpu_nanoseconds() {
    timespec used{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) * 1e9 + static_cast<double>(used.tv_nsec);
}

/// Something to do `count` times; `Task` is the coroutine type of the library that does it.
template <class Task> struct row {
    const char* name;
    std::size_t count;
    Task (*times)(std::size_t count);
    std::vector<double> nanoseconds{};  ///< of CPU for each time, a figure per round
};

struct rounds_options {
    std::size_t rounds = 7;
    bool json = false;
    std::string only;
};

/// Ends the program after --help, and with status 2 if the command line is wrong.
inline rounds_options parse_rounds_options(CLI::App& app, int argc, char** argv) {
    rounds_options of;
    app.add_option("--rounds", of.rounds, "rounds in which the rows take turns")->check(CLI::Range(1, 10'000))->capture_default_str();
    app.add_flag("--json", of.json, "print one line of JSON instead of a table");
    app.add_option("--only", of.only, "measure only rows whose name contains this");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        std::exit(app.exit(e) == 0 ? 0 : 2);
    }
    return of;
}

/// Measures every row in each round, after one go to warm up.
template <class Task> Task measure(std::vector<row<Task>>& rows, std::size_t rounds) {
    for (std::size_t round = 0; round < rounds; ++round) {
        for (row<Task>& r : rows) {
            if (round == 0) co_await r.times(r.count / 10);
            const double before = cpu_nanoseconds();
            co_await r.times(r.count);
            r.nanoseconds.push_back((cpu_nanoseconds() - before) / static_cast<double>(r.count));
        }
    }
}

template <class Task> void leave_only(std::vector<row<Task>>& rows, const std::string& only) {
    std::erase_if(rows, [&](const row<Task>& r) { return std::string{r.name}.find(only) == std::string::npos; });
    if (!rows.empty()) return;
    std::fprintf(stderr, "--only: no row has \"%s\" in its name\n", only.c_str());
    std::exit(2);
}

template <class Task> void print(std::vector<row<Task>>& rows, bool json) {
    std::printf(json ? "{\"rows\":[" : "| ns of CPU each | median | min | max |\n|---|---:|---:|---:|\n");
    const char* between = "";
    for (row<Task>& r : rows) {
        std::vector<double>& ns = r.nanoseconds;
        std::sort(ns.begin(), ns.end());
        const double median = ns[ns.size() / 2];
        if (json) {
            std::printf("%s{\"name\":\"%s\",\"ns_median\":%.2f,\"ns_min\":%.2f,\"ns_max\":%.2f,\"rounds\":%zu}", between, r.name, median,
                        ns.front(), ns.back(), ns.size());
        } else {
            std::printf("| %s | %.1f | %.1f | %.1f |\n", r.name, median, ns.front(), ns.back());
        }
        between = ",";
    }
    if (json) std::printf("]}\n");
}

}  // namespace bench
