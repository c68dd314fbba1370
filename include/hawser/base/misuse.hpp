#pragma once
// The end of a program that uses hawser in a way that cannot be an error of an operation.

#include <cstdio>
#include <cstdlib>

namespace hawser::detail {

/// Says what was done wrong and how to do it right, on stderr, and aborts: for destructors and functions that have
/// nobody to throw to, where going on would corrupt memory.
[[noreturn, gnu::cold, gnu::noinline]] inline void misuse(const char* what) noexcept {
    std::fprintf(stderr, "hawser: %s\n", what);
    std::abort();
}

}  // namespace hawser::detail
