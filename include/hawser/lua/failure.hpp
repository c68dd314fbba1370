#pragma once
// What a failed operation gives to Lua: nil, a message, and a number to compare with.

#include <netdb.h>

#include <hawser/base/error.hpp>
#include <hawser/lua/api.hpp>

namespace hawser::lua::detail {

/// The errno of a failure, or for names one of the negative numbers of getaddrinfo(3).
inline int number_of(const error_info& why) noexcept {
    if (why.code().category() == std::system_category()) return why.code().value();
    switch (static_cast<errc>(why.code().value())) {
        case errc::cancelled: return ECANCELED;
        case errc::timed_out: return ETIMEDOUT;
        case errc::closed: return EBADF;
        case errc::end_of_stream: return EPROTO;
        case errc::truncated: return EPROTO;
        case errc::busy: return EBUSY;
        case errc::no_reactor: return ENOTCONN;
        case errc::invalid_argument: return EINVAL;
        case errc::limit_exceeded: return EMSGSIZE;
        case errc::host_not_found: return EAI_NONAME;
        case errc::resolve_failed: return EAI_AGAIN;
        case errc::tls_failure: return EPROTO;
        case errc::no_trust: return ENOENT;
        case errc::io_uring_refused: return ENOSYS;
    }
    return EIO;
}

/// Pushes nil, message, number: 3.
inline int push_failure(state* L, std::string_view message, int number) {
    lua_pushnil(L);
    push(L, message);
    lua_pushinteger(L, number);
    return 3;
}

/// A failure in the form in which it waits to be pushed: what raises may not own strings of C++ while it does.
class failure {
public:
    failure() noexcept = default;
    failure(const error_info& why) : message_{why.message()}, number_{number_of(why)} {}
    failure(std::string message, int number) noexcept : message_{std::move(message)}, number_{number} {}
    explicit operator bool() const noexcept { return number_ != 0; }
    const std::string& message() const noexcept { return message_; }
    int number() const noexcept { return number_; }
    int push(state* L) const { return push_failure(L, message_, number_); }

private:
    std::string message_;
    int number_ = 0;
};

}  // namespace hawser::lua::detail
