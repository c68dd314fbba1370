#pragma once
// Descriptors of tests: how many are open, and one that only names a scripted connection.

#include <dirent.h>

#include <cstddef>

#include <hawser/net/tcp.hpp>
#include <hawser/test/fake_backend.hpp>

namespace hawser_test {

inline std::size_t open_descriptors() {
    std::size_t n = 0;
    DIR* directory = ::opendir("/proc/self/fd");
    while (::readdir(directory)) ++n;
    ::closedir(directory);
    return n;
}

inline constexpr int wire = hawser::test::fake_backend::descriptor(1);
/// A stream on that scripted descriptor.
inline hawser::tcp::stream scripted_socket(const char* host = "example.test") {
    return hawser::tcp::stream::make(*hawser::reactor::current(), hawser::detail::unique_fd{wire}, hawser::endpoint::loopback(443), host);
}

}  // namespace hawser_test
