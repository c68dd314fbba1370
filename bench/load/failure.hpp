#pragma once
// What goes wrong: with one connection, or with a whole command.

#include <cstring>
#include <stdexcept>
#include <string>

namespace load {

/// A command cannot be carried out; its text is the answer.
struct failure : std::runtime_error {
    using runtime_error::runtime_error;
};

/// One connection is of no more use.
struct broken : std::runtime_error {
    using runtime_error::runtime_error;
};

inline std::string because(const std::string& what, int error) { return what + ": " + std::strerror(error); }

}  // namespace load
