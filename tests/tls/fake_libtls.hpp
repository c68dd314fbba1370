#pragma once
// A libtls of our own making, for one program that does not link the real one. It speaks a toy protocol of records
// (type, checksum, two bytes of length, version; then the body, not encrypted) and shows, on demand, each behaviour in
// which the implementations of libtls differ. To be included once in a program, before any header of hawser.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include <tls.h>

namespace fake {

enum class flavour { libretls, libressl_12, libressl_13 };

enum record : unsigned char { renegotiate = 20, alert = 21, handshake = 22, data = 23, post_handshake = 24 };

/// What the library was asked to do, and what it is to do next.
struct library {
    flavour kind = flavour::libretls;
    int reads = 0, writes = 0, closes = 0, handshakes = 0, frees = 0;
    int empty_writes = 0, calls_after_failure = 0, handshakes_when_complete = 0;
    bool mute = false;              ///< tls_error gives NULL
    bool refuse_certificate = false;  ///< the next handshake message makes a server's verification fail
    bool refuse_name = false;       ///< a client finds a wrong name after its Finished went out
    bool endless = false;           ///< tls_read says WANT_POLLIN and asks for nothing, for ever
    bool hides_failure = false;     ///< a record that write_cb refused is not noticed
    int failing_write = -1;         ///< the tls_write with this number fails
    std::size_t largest_write = 0;
    bool want_pollout = false;      ///< tls_read and tls_write say WANT_POLLOUT, which they never should
    void reset(flavour f) { *this = library{f}; }
};
inline library lib;

}  // namespace fake

struct tls_config {
    std::string error;
};

struct tls {
    bool server_context = false, server = false, complete = false, failed = false, renegotiating = false, poisoned = false;
    bool sent_close = false, eof = false, owes_answer = false, began = false;
    ::tls* parent = nullptr;
    tls_read_cb read_cb = nullptr;
    tls_write_cb write_cb = nullptr;
    void* arg = nullptr;
    std::string error, header, body, plain;
    std::size_t wanted = 0;

    int fail(const char* text) {
        error = text;
        failed = true;
        return -1;
    }
    bool send(fake::record type, const void* from, std::size_t n) {
        std::string wire(5, '\0');
        unsigned char sum = 0;
        for (std::size_t i = 0; i < n; ++i) sum = static_cast<unsigned char>(sum + static_cast<const unsigned char*>(from)[i]);
        wire[0] = static_cast<char>(type);
        wire[1] = static_cast<char>(sum);
        wire[2] = static_cast<char>(n >> 8);
        wire[3] = static_cast<char>(n & 255);
        wire.append(static_cast<const char*>(from), n);
        for (std::size_t done = 0; done < wire.size();) {  // a short write is called again
            const ssize_t r = write_cb(this, wire.data() + done, wire.size() - done, arg);
            if (r <= 0) return false;
            done += static_cast<std::size_t>(r);
        }
        return true;
    }
    /// One record: 1, or what the call that needs it is to return. `type` and `body` are set.
    int receive(unsigned char& type) {
        while (header.size() < 5 || body.size() < wanted) {
            char part[17000];
            std::string& to = header.size() < 5 ? header : body;
            const std::size_t need = header.size() < 5 ? 5 - header.size() : wanted - body.size();
            const ssize_t r = read_cb(this, part, need, arg);
            if (r == TLS_WANT_POLLIN) return TLS_WANT_POLLIN;
            if (r == 0) {
                if (!complete || fake::lib.kind == fake::flavour::libretls) return fail("unexpected eof while reading");
                eof = true;
                return 0;
            }
            if (r < 0) {
                if (fake::lib.kind == fake::flavour::libretls) return fail("unexpected eof while reading");
                return fail(errno ? std::strerror(errno) : "unknown failure occurred");
            }
            to.append(part, static_cast<std::size_t>(r));
            if (&to == &header && header.size() == 5) {
                wanted = std::size_t{static_cast<unsigned char>(header[2])} << 8 | static_cast<unsigned char>(header[3]);
            }
        }
        type = static_cast<unsigned char>(header[0]);
        unsigned char sum = 0;
        for (const char c : body) sum = static_cast<unsigned char>(sum + static_cast<unsigned char>(c));
        const bool good = sum == static_cast<unsigned char>(header[1]);
        header.clear();
        wanted = 0;
        if (good) return 1;
        if (fake::lib.kind != fake::flavour::libressl_13) send(fake::alert, "bad mac", 7);
        return fail("bad record mac");
    }
    std::string take_body() {
        std::string taken;
        taken.swap(body);
        return taken;
    }
    int go_on() {
        for (;;) {
            if (!server && !began) {
                began = true;
                if (!send(fake::handshake, "client hello", 12)) return fail("write failed");
            }
            unsigned char type = 0;
            if (const int r = receive(type); r != 1) return r;
            const std::string message = take_body();
            if (type == fake::alert) return fail("alert received");
            if (type != fake::handshake) return fail("unexpected message");
            if (server && message == "client hello") {
                if (!send(fake::handshake, "server hello", 12)) return fail("write failed");
            } else if (server && message == "finished") {
                if (fake::lib.refuse_certificate) {
                    parent->error = "certificate verification failed: the reason";
                    send(fake::alert, "bad certificate", 15);
                    return fail("certificate verify failed");
                }
                complete = true;
                return 0;
            } else if (!server && message == "server hello") {
                if (!send(fake::handshake, "finished", 8)) return fail("write failed");
                if (fake::lib.refuse_name) return fail("name not present in server certificate");
                complete = true;
                return 0;
            } else {
                return fail("unexpected message");
            }
        }
    }
    /// What a broken connection says to one more call.
    ssize_t after_failure(bool reading) {
        ++fake::lib.calls_after_failure;
        switch (fake::lib.kind) {
            case fake::flavour::libretls: return 0;
            case fake::flavour::libressl_12: return reading ? TLS_WANT_POLLIN : 0;
            case fake::flavour::libressl_13: break;
        }
        return reading ? -1 : 5;
    }
};

extern "C" {

inline int tls_init() { return 0; }
inline tls_config* tls_config_new() { return new tls_config; }
inline void tls_config_free(tls_config* c) { delete c; }
inline const char* tls_config_error(tls_config* c) { return c->error.empty() ? nullptr : c->error.c_str(); }
inline const char* tls_default_ca_cert_file() { return "/nowhere/cert.pem"; }
inline int tls_config_set_alpn(tls_config*, const char*) { return 0; }
inline int tls_config_set_ciphers(tls_config*, const char*) { return 0; }
inline int tls_config_set_ecdhecurves(tls_config*, const char*) { return 0; }
inline int tls_config_set_dheparams(tls_config*, const char*) { return 0; }
inline int tls_config_set_protocols(tls_config*, uint32_t) { return 0; }
inline int tls_config_set_verify_depth(tls_config*, int) { return 0; }
inline int tls_config_set_ca_path(tls_config*, const char*) { return 0; }
inline int tls_config_set_ca_mem(tls_config*, const uint8_t*, size_t) { return 0; }
inline int tls_config_set_crl_mem(tls_config*, const uint8_t*, size_t) { return 0; }
inline int tls_config_set_cert_mem(tls_config*, const uint8_t*, size_t) { return 0; }
inline int tls_config_set_key_mem(tls_config*, const uint8_t*, size_t) { return 0; }
inline int tls_config_set_keypair_ocsp_mem(tls_config*, const uint8_t*, size_t, const uint8_t*, size_t, const uint8_t*, size_t) { return 0; }
inline int tls_config_add_keypair_ocsp_mem(tls_config*, const uint8_t*, size_t, const uint8_t*, size_t, const uint8_t*, size_t) { return 0; }
inline void tls_config_prefer_ciphers_client(tls_config*) {}
inline void tls_config_insecure_noverifycert(tls_config*) {}
inline void tls_config_insecure_noverifyname(tls_config*) {}
inline void tls_config_insecure_noverifytime(tls_config*) {}
inline void tls_config_ocsp_require_stapling(tls_config*) {}
inline void tls_config_verify_client(tls_config*) {}
inline void tls_config_verify_client_optional(tls_config*) {}

inline tls* tls_client() { return new tls; }
inline tls* tls_server() {
    tls* made = new tls;
    made->server_context = true;
    return made;
}
inline int tls_configure(tls*, tls_config*) { return 0; }
inline void tls_free(tls* t) {
    if (!t) return;
    ++fake::lib.frees;
    delete t;
}
inline const char* tls_error(tls* t) { return t->error.empty() || fake::lib.mute ? nullptr : t->error.c_str(); }
inline const char* tls_conn_version(tls* t) { return !t->complete ? nullptr : fake::lib.kind == fake::flavour::libressl_12 ? "TLSv1.2" : "TLSv1.3"; }

inline int tls_connect_cbs(tls* t, tls_read_cb r, tls_write_cb w, void* arg, const char*) {
    t->read_cb = r;
    t->write_cb = w;
    t->arg = arg;
    return 0;
}
inline int tls_accept_cbs(tls* parent, tls** made, tls_read_cb r, tls_write_cb w, void* arg) {
    *made = new tls;
    (*made)->server = true;
    (*made)->parent = parent;
    return tls_connect_cbs(*made, r, w, arg, nullptr);
}
inline int tls_handshake(tls* t) {
    ++fake::lib.handshakes;
    if (t->server_context) {
        t->error = "invalid operation for context";
        return -1;
    }
    if (t->failed) return static_cast<int>(t->after_failure(true));
    t->error.clear();
    if (t->complete) {
        ++fake::lib.handshakes_when_complete;
        t->error = "handshake already completed";
        return -1;
    }
    const int r = t->go_on();
    errno = 0;
    return r;
}
inline ssize_t tls_read(tls* t, void* to, size_t room) {
    ++fake::lib.reads;
    if (t->failed) return t->after_failure(true);
    if (fake::lib.endless) return TLS_WANT_POLLIN;
    if (fake::lib.want_pollout) return TLS_WANT_POLLOUT;
    t->error.clear();
    while (t->plain.empty()) {
        unsigned char type = 0;
        if (const int r = t->receive(type); r != 1) return errno = 0, r;
        std::string body = t->take_body();
        if (type == fake::alert) return body == "close notify" ? 0 : t->fail("alert received");
        if (type == fake::renegotiate) {
            t->renegotiating = body == "begin";
            if (t->renegotiating && !t->send(fake::renegotiate, "answer", 6)) return t->fail("write failed");
            return TLS_WANT_POLLIN;
        }
        if (type == fake::post_handshake) {
            if (body == "answer me") {
                if (fake::lib.kind == fake::flavour::libretls) t->owes_answer = true;  // with the next write
                else if (!t->send(fake::post_handshake, "answered", 8) && !fake::lib.hides_failure) return t->fail("write failed");
            }
            if (fake::lib.hides_failure) continue;
            return TLS_WANT_POLLIN;
        }
        if (type != fake::data) return t->fail("unexpected message");
        if (body.empty()) return TLS_WANT_POLLIN;
        t->plain.swap(body);
    }
    const size_t n = room < t->plain.size() ? room : t->plain.size();
    std::memcpy(to, t->plain.data(), n);
    t->plain.erase(0, n);
    return static_cast<ssize_t>(n);
}
inline ssize_t tls_write(tls* t, const void* from, size_t n) {
    ++fake::lib.writes;
    if (n == 0) {
        ++fake::lib.empty_writes;
        t->poisoned = true;
        return 0;
    }
    if (t->failed) return t->after_failure(false);
    if (fake::lib.want_pollout) return TLS_WANT_POLLOUT;
    t->error.clear();
    if (t->sent_close) return t->fail("protocol is shutdown");
    while (t->renegotiating) {
        unsigned char type = 0;
        if (const int r = t->receive(type); r != 1) return r;
        t->renegotiating = t->take_body() != "done";
    }
    if (t->owes_answer && !t->send(fake::post_handshake, "answered", 8)) return t->fail("write failed");
    t->owes_answer = false;
    if (n > fake::lib.largest_write) fake::lib.largest_write = n;
    if (n > 16384) n = 16384;
    if (fake::lib.writes == fake::lib.failing_write) return t->fail("write failed");
    if (!t->send(fake::data, from, n) && !fake::lib.hides_failure) {
        if (fake::lib.kind == fake::flavour::libressl_13) return t->fail("unknown failure occurred");
        t->error = "write failed: Broken pipe";  // may be called again, they think
        return -1;
    }
    return static_cast<ssize_t>(n);
}
inline int tls_close(tls* t) {
    ++fake::lib.closes;
    if (t->failed) {
        ++fake::lib.calls_after_failure;
        if (fake::lib.kind != fake::flavour::libretls) t->send(fake::alert, "close notify", 12);
        return fake::lib.kind == fake::flavour::libretls ? -1 : 0;
    }
    if (!t->complete) return fake::lib.kind == fake::flavour::libretls ? -1 : 0;
    if (!t->sent_close && !t->send(fake::alert, "close notify", 12)) return -1;
    t->sent_close = true;
    return t->poisoned || t->eof ? -1 : 0;
}

}  // extern "C"
