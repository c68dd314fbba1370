#pragma once
// Why io_uring was refused, in words that say what to change.

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include <hawser/base/error.hpp>

namespace hawser::detail {

inline std::string read_small_file(const char* path) {
    std::string text(4096, '\0');
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return {};
    const ssize_t n = ::read(fd, text.data(), text.size());
    ::close(fd);
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
}

/// The error for io_uring_setup(2) having failed with `number`.
inline error_info io_uring_refusal(int number) {
    const std::string sysctl = read_small_file("/proc/sys/kernel/io_uring_disabled");
    const std::string status = read_small_file("/proc/self/status");
    const bool disabled = !sysctl.empty() && sysctl[0] != '0';
    const bool filtered = status.find("Seccomp:\t2") != std::string::npos;
    std::string why = "io_uring_setup failed with ";
    why += ::strerrorname_np(number);
    why.append(" (").append(::strerrordesc_np(number)).append("); ");
    if (number == EPERM && disabled) {
        why.append("the sysctl kernel.io_uring_disabled is ").append(1, sysctl[0]).append(": set it to 0");
        if (sysctl[0] == '1') why += ", or add this user's group to kernel.io_uring_group";
    } else if ((number == EPERM || number == ENOSYS) && filtered) {
        why += "a seccomp filter is in force (the default profile of Docker and containerd is one): allow "
               "io_uring_setup, io_uring_enter and io_uring_register in it";
    } else if (number == EPERM) {
        why += "a security module refuses it: allow io_uring for this process";
    } else if (number == ENOSYS) {
        why += "this kernel has no io_uring: use Linux 5.11 or later with CONFIG_IO_URING";
    } else if (number == ENOMEM) {
        rlimit limit{};
        ::getrlimit(RLIMIT_MEMLOCK, &limit);
        why.append("locked memory is limited to ").append(std::to_string(limit.rlim_cur)).append(
            " bytes: raise RLIMIT_MEMLOCK (ulimit -l), or run fewer reactors");
    } else if (number == EMFILE || number == ENFILE) {
        why += "too many open files: raise RLIMIT_NOFILE (ulimit -n)";
    } else {
        why += "the kernel refused every set of flags that was tried";
    }
    return error_info{make_error_code(errc::io_uring_refused), phase::setup, "the reactor", why};
}

}  // namespace hawser::detail
