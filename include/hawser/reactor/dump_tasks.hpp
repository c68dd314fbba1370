#pragma once
// dump_tasks: the live tasks of a reactor as a tree, for the question of what a program waits for.

#include <cstdio>

#include <hawser/reactor/reactor.hpp>

namespace hawser {

/// The tasks of this thread's reactor, one line each: its name and place, what it awaits, where and for how long (as of the
/// turn of the loop), and the tasks that run on behalf of it below, indented. Gives a last line without its end, and an
/// explanation outside run().
///
/// A place is a file and a line; g++ gives the line on which a coroutine's body ends, clang the one on which it begins. A
/// task whose operation has ended but which has not been resumed yet still shows that operation. Costs time and memory
/// in proportion to the tasks; nothing is kept for it but a few words in each frame.
template <class = void> std::string task_tree() {
    std::string out;
    const reactor* loop = reactor::current();
    if (!loop) return "no reactor runs on this thread";
    loop->tasks().for_each([&](const detail::root_task& task) {
        if (!out.empty()) out += '\n';
        std::string tree;
        detail::inspector to{tree};
        to.below([&] { task.show(task, to); });
        out += tree;
    });
    return out;
}

/// Writes task_tree() and a line end to a std::ostream, or anything else that takes strings by `<<`:
/// `dump_tasks(std::cerr)`. Call it on the reactor's thread, for example in a task that waits for next_signal(SIGQUIT).
template <class Stream> void dump_tasks(Stream& to) { to << task_tree() + '\n'; }

/// The same to a stdio stream: `dump_tasks(stderr)`.
inline void dump_tasks(std::FILE* to) {
    const std::string tree = task_tree() + '\n';
    std::fwrite(tree.data(), 1, tree.size(), to);
    std::fflush(to);
}

}  // namespace hawser
