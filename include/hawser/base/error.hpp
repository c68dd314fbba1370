#pragma once
// What can go wrong, as a value (`error_info`), as an exception (`error`), and as the quiet exception of a
// cancelled task (`cancelled`).

#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace hawser {

/// Conditions that hawser itself reports. What the system reported keeps its errno in std::system_category().
enum class errc {
    cancelled = 1,     ///< the task was asked to stop before the operation finished
    timed_out,         ///< a deadline set by hawser or by with_timeout passed
    closed,            ///< the stream or listener was closed on this side
    end_of_stream,     ///< the peer ended properly before the requested number of bytes had come
    truncated,         ///< a TLS peer's connection ended without close_notify: the data may be cut short
    busy,              ///< another operation of the same direction is in progress on this object
    no_reactor,        ///< no reactor runs on this thread, or the object's reactor has ended
    invalid_argument,  ///< an argument that can never work
    limit_exceeded,    ///< a line, body, buffer or connection limit was reached
    host_not_found,    ///< the name does not exist or has no address
    resolve_failed,    ///< the name service gave no usable answer
    tls_failure,       ///< libtls refused: verification, protocol or configuration; detail() has its words
    no_trust,          ///< no certificate authorities to verify against were found
    io_uring_refused,  ///< the kernel or a sandbox does not let this process use io_uring
};

/// The category of errc; `name()` is "hawser".
const std::error_category& hawser_category() noexcept;
std::error_code make_error_code(errc e) noexcept;

/// What was being done when an error occurred.
enum class phase : unsigned char { none, setup, resolve, connect, listen, accept, handshake, read, write, close, wait };

}  // namespace hawser

template <> struct std::is_error_code_enum<hawser::errc> : std::true_type {};

namespace hawser {

/// An immutable, cheaply copied description of a failure: what was being done, to which peer, what the system or
/// libtls said, and how many bytes the operation had moved before it. Routine ones (errc without context) do not
/// allocate. May be copied between threads.
class [[nodiscard]] error_info {
public:
    error_info(errc code) noexcept;  // NOLINT: errc is the natural spelling of a routine error
    explicit error_info(std::error_code code, phase doing = phase::none, std::string_view peer = {},
                        std::string_view detail = {}, std::size_t transferred = 0);
    /// From an errno value (positive).
    static error_info from_errno(int number, phase doing, std::string_view peer = {}, std::string_view detail = {},
                                 std::size_t transferred = 0) {
        return error_info{std::error_code{number, std::system_category()}, doing, peer, detail, transferred};
    }

    /// No failure: its code is 0.
    static const error_info& none() noexcept {
        static const error_info& success = *new error_info{static_cast<errc>(0)};
        return success;
    }

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ -O2 does not see that a result<T> with a value has no error to copy
#endif
    error_info(const error_info& other) noexcept : state_{other.state_} { state_->add_ref(); }
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
    error_info(error_info&& other) noexcept : error_info{std::as_const(other)} {}
    error_info& operator=(const error_info& other) noexcept {
        other.state_->add_ref();
        release();
        state_ = other.state_;
        return *this;
    }
    ~error_info() { release(); }

    /// False for none().
    explicit operator bool() const noexcept { return static_cast<bool>(state_->code); }
    const std::error_code& code() const noexcept { return state_->code; }
    phase doing() const noexcept { return state_->doing; }
    /// The peer as the caller named it and as it was reached: "example.org (192.0.2.1:443)"; empty if none.
    const std::string& peer() const noexcept { return state_->peer; }
    /// What libtls, c-ares or hawser has to add, and what to change; empty if nothing.
    const std::string& detail() const noexcept { return state_->detail; }
    /// Bytes that the failed operation had moved before it failed.
    std::size_t transferred() const noexcept { return state_->transferred; }
    /// One line: "connect to localhost (127.0.0.1:1): Connection refused (is the server running?)".
    std::string message() const;

    /// The same failure with another count of transferred bytes.
    error_info with_transferred(std::size_t n) const {
        return n == transferred() ? *this : error_info{code(), doing(), peer(), detail(), n};
    }
    /// The same failure with what was being done and to whom, unless it already says.
    error_info with_context(phase doing, std::string_view peer) const {
        const bool has_phase = this->doing() != phase::none;
        return error_info{code(), has_phase ? this->doing() : doing, this->peer().empty() ? peer : this->peer(), detail(),
                          transferred()};
    }

    friend bool operator==(const error_info& a, errc b) noexcept { return a.code() == make_error_code(b); }
    friend bool operator==(const error_info& a, const std::error_code& b) noexcept { return a.code() == b; }

private:
    struct state {
        std::atomic<unsigned> refs{1};
        bool immortal = false;  // not counted: all threads would write to the same few cache lines
        std::error_code code;
        phase doing = phase::none;
        std::size_t transferred = 0;
        std::string peer, detail;

        void add_ref() noexcept {
            if (!immortal) refs.fetch_add(1, std::memory_order_relaxed);
        }
    };
    // Not inlined: g++ 12 -O2 would warn that the table is freed by the last reference, which never goes.
    [[gnu::noinline]] static state* routine(errc code) noexcept {
        // One immortal state per errc: a static table would be destroyed before errors held by other statics.
        static state* const table = [] {
            constexpr int count = static_cast<int>(errc::io_uring_refused) + 1;
            static state* made = new state[count];
            for (int i = 0; i < count; ++i) made[i].immortal = true;
            for (int i = 1; i < count; ++i) made[i].code = make_error_code(static_cast<errc>(i));
            return made;
        }();
        return &table[static_cast<int>(code)];
    }
    void release() noexcept {
        if (!state_->immortal && state_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(state_);
    }
    // Not inlined: g++ 12 -O2 would warn of errors used after their last reference where it is another one's that has gone.
    [[gnu::cold, gnu::noinline]] static void destroy(state* last) noexcept { delete last; }
    state* state_;
};

/// The exception that operations throw. `code()` and `what()` are those of std::system_error.
class error : public std::system_error {
public:
    explicit error(error_info info) : std::system_error{info.code()}, info_{std::move(info)}, what_{info_.message()} {}
    const error_info& info() const noexcept { return info_; }
    phase doing() const noexcept { return info_.doing(); }
    const std::string& peer() const noexcept { return info_.peer(); }
    const std::string& detail() const noexcept { return info_.detail(); }
    /// Bytes that the failed operation had moved before it failed.
    std::size_t transferred() const noexcept { return info_.transferred(); }
    const char* what() const noexcept override { return what_.c_str(); }

private:
    error_info info_;
    std::string what_;
};

/// Thrown out of the operations of a task that was asked to stop. Derives from nothing, so that loops which retry
/// on errors do not swallow it; let it pass, scopes take it as a quiet end.
class cancelled {
public:
    explicit cancelled(std::size_t transferred = 0) noexcept : transferred_{transferred} {}
    /// Bytes that the cancelled operation had moved before.
    std::size_t transferred() const noexcept { return transferred_; }

private:
    std::size_t transferred_;
};

/// Throws `cancelled` for errc::cancelled and `error` for everything else.
[[noreturn]] inline void throw_error(const error_info& info) {
    if (info == errc::cancelled) throw cancelled{info.transferred()};
    throw error{info};
}

namespace detail {

inline const char* text(errc e) noexcept {
    switch (e) {
        case errc::cancelled: return "cancelled";
        case errc::timed_out: return "timed out";
        case errc::closed: return "closed on this side";
        case errc::end_of_stream: return "the peer ended the stream early";
        case errc::truncated: return "truncated: the connection ended without TLS close_notify";
        case errc::busy: return "another operation of the same direction is in progress on this object";
        case errc::no_reactor: return "no reactor: use it inside hawser::run(), on the thread that it was made on";
        case errc::invalid_argument: return "invalid argument";
        case errc::limit_exceeded: return "limit exceeded";
        case errc::host_not_found: return "no such host";
        case errc::resolve_failed: return "name resolution failed";
        case errc::tls_failure: return "TLS failure";
        case errc::no_trust: return "no certificate authorities found";
        case errc::io_uring_refused: return "io_uring is not available";
    }
    return "unknown hawser error";
}

inline const char* text(phase p) noexcept {
    switch (p) {
        case phase::none: return "";
        case phase::setup: return "set up";
        case phase::resolve: return "resolve";
        case phase::connect: return "connect to";
        case phase::listen: return "listen on";
        case phase::accept: return "accept on";
        case phase::handshake: return "TLS handshake with";
        case phase::read: return "read from";
        case phase::write: return "write to";
        case phase::close: return "close";
        case phase::wait: return "wait for";
    }
    return "";
}

class category final : public std::error_category {
public:
    const char* name() const noexcept override { return "hawser"; }
    std::string message(int value) const override { return text(static_cast<errc>(value)); }
};

}  // namespace detail

inline const std::error_category& hawser_category() noexcept {
    static const detail::category instance;
    return instance;
}

inline std::error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), hawser_category()}; }

inline error_info::error_info(errc code) noexcept : state_{routine(code)} {}

inline error_info::error_info(std::error_code code, phase doing, std::string_view peer, std::string_view detail,
                              std::size_t transferred)
    : state_{new state} {
    state_->code = code;
    state_->doing = doing;
    state_->transferred = transferred;
    state_->peer = peer;
    state_->detail = detail;
}

inline std::string error_info::message() const {
    std::string out = detail::text(doing());
    if (!peer().empty()) {
        if (!out.empty()) out += ' ';
        out += peer();
    } else if (!out.empty() && doing() != phase::setup && doing() != phase::close) {
        out += doing() == phase::resolve || doing() == phase::wait ? "" : " peer";
    }
    if (!out.empty()) out += ": ";
    // libtls's own words say more than the class of the failure.
    if (*this == errc::tls_failure && !detail().empty()) return out + detail();
    out += code().message();
    if (!detail().empty()) out.append(": ").append(detail());
    return out;
}

}  // namespace hawser
