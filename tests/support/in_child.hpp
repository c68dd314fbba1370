#pragma once
// Running what ends the process.

#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

namespace hawser_test {

/// Runs `f` in a child process; gives its exit status and what it wrote to stderr.
template <class F> std::pair<int, std::string> in_child(F f) {
    int fds[2];
    if (::pipe(fds) != 0) std::abort();
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(fds[1], 2);
        ::signal(SIGABRT, SIG_DFL);  // doctest's handler would report it as a failed test
        f();
        ::_exit(0);
    }
    ::close(fds[1]);
    std::string said;
    char buffer[512];
    for (ssize_t n; (n = ::read(fds[0], buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<std::size_t>(n));
    ::close(fds[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return {status, said};
}

/// Whether `f` ends the process by abort(), and what it said before.
template <class F> std::string words_of_abort(F f) {
    const auto [status, said] = in_child(f);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? said : "it did not abort; it said: " + said;
}

}  // namespace hawser_test
