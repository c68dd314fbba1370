#pragma once
// The two kinds of libtls context that hawser makes, counted: a server's, and a connection's.

#include <cerrno>
#include <string>
#include <utility>

#include <tls.h>

#include <hawser/base/intrusive.hpp>
#include <hawser/base/result.hpp>
#include <hawser/tls/config.hpp>

namespace hawser::tls::detail {

/// Owns a `struct tls`. Belongs to one thread.
class context : public hawser::detail::ref_counted {
public:
    explicit context(::tls* native) noexcept : native_{native} {}
    ::tls* native() const noexcept { return native_; }
    /// What libtls last said about it; empty if nothing. Copied, because the next call frees it.
    std::string text() const {
        const char* words = native_ ? ::tls_error(native_) : nullptr;
        return words ? words : "";
    }

protected:
    ~context() override { ::tls_free(native_); }

private:
    ::tls* native_;
};

/// A server's context: what tls_accept_cbs needs. One per reactor and configuration: libtls writes the reasons of
/// failed client verification into it, so that two threads must not share one. Each connection keeps it alive,
/// because libtls follows a bare pointer to it until the handshake has ended.
class server_context final : public context {
public:
    /// Cost: 0.1 to 1 ms (keys and certificates are parsed). Errors: errc::tls_failure with libtls's words.
    static result<hawser::detail::ref<server_context>> make(const server_config& settings) {
        ::tls* native = ::tls_server();
        if (!native) return error_info::from_errno(ENOMEM, phase::setup);
        hawser::detail::ref<server_context> made{new server_context{native}};
        if (::tls_configure(native, settings.native()) != 0) {
            return error_info{make_error_code(errc::tls_failure), phase::setup, {}, made->text()};
        }
        return made;
    }

    /// Why the verification of a client's certificate failed just now; empty if that was not the reason.
    std::string take_error() {
        std::string words = text();
        if (words == nothing_) words.clear();
        forget_error();
        return words;
    }

private:
    explicit server_context(::tls* native) noexcept : context{native} {}
    // There is no function that clears tls_error(), and an old text must not explain a later failure of another
    // connection: a call that is refused at once puts a text there that we know.
    void forget_error() {
        (void)::tls_handshake(native());
        nothing_ = text();
    }
    std::string nothing_;  // what text() says when nothing has failed since
};

}  // namespace hawser::tls::detail
