#pragma once
// What thousands of connections hold: OpenSSL's buffers only while there is something in them.

#include <dlfcn.h>

#include <hawser/base/crowd.hpp>

namespace hawser::tls::detail {

/// OpenSSL keeps two buffers of 16 KiB for each connection, busy or not, unless SSL_MODE_RELEASE_BUFFERS is set. libtls
/// neither sets it nor shows its SSL object, but OpenSSL tells who asks of each object that it makes. Where libtls stands
/// on something else, or is linked statically, nothing is changed.
class openssl_buffers {
public:
    /// Runs `make`, a call of libtls that makes a connection and gives 0 if it has, and sets the mode of that connection.
    template <class Make> static int released_after(Make make) noexcept {
        static const control set = watch();
        made_ = nullptr;
        const int failed = make();
        if (failed == 0 && set && made_) set(made_, set_mode, release_buffers, nullptr);
        return failed;
    }

private:
    // Of <openssl/ssl.h>, which users of libtls need not have.
    static constexpr int ssl_objects = 0, set_mode = 33;
    static constexpr long release_buffers = 0x10;
    using control = long (*)(void* ssl, int what, long value, void*);
    using observer = void (*)(void* ssl, void*, void*, int, long, void*);

    template <class F> static F find(const char* name) noexcept { return reinterpret_cast<F>(::dlsym(RTLD_DEFAULT, name)); }
    /// nullptr unless there is an OpenSSL 3 or later that can be watched.
    static control watch() noexcept {
        const auto version = find<unsigned (*)()>("OPENSSL_version_major");
        const auto observe = find<int (*)(int, long, void*, observer, void*, void*)>("CRYPTO_get_ex_new_index");
        if (!version || version() < 3 || !observe) return nullptr;
        // Only noted: the object is not complete yet.
        const auto note = [](void* ssl, void*, void*, int, long, void*) noexcept { made_ = ssl; };
        return observe(ssl_objects, 0, nullptr, note, nullptr, nullptr) < 0 ? nullptr : find<control>("SSL_ctrl");
    }

    static inline constinit thread_local void* made_ = nullptr;  // the last one of this thread
};

/// A connection as one of all TLS connections of its thread.
class one_of_many {
public:
    /// So many keep their buffers, which spares malloc() 1,700 instructions in each echo. Among more, what is not in the
    /// processor's caches costs as much.
    static constexpr int few = 128;
    static constexpr int crowd = 64;

    one_of_many() noexcept { all_.join(); }
    one_of_many(const one_of_many&) = delete;
    one_of_many& operator=(const one_of_many&) = delete;
    ~one_of_many() { all_.leave(); }

    /// Runs `make`, the call of libtls that makes the connection and gives 0 if it has.
    template <class Make> int connection(Make make) const noexcept {
        return all_.size() <= few ? make() : openssl_buffers::released_after(make);
    }

private:
    static inline constinit thread_local hawser::detail::crowd all_{crowd};
};

}  // namespace hawser::tls::detail
