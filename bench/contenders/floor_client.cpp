// The floor's HTTPS client: libtls and io_uring in a bare loop, a state machine for each connection.

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "../support/client_options.hpp"
#include "../support/go.hpp"
#include "../support/http_response.hpp"
#include "floor_tls.hpp"
#include "libtls_settings.hpp"
#include "sockets.hpp"

namespace {

using std::chrono::steady_clock;

class exchange;

/// What a go has still to do, and who can do it.
struct client {
    bare::loop loop;
    const client_options& of;
    const std::string request;
    const sockaddr_in server;
    tls_config* config;
    latencies* took = nullptr;
    std::size_t to_start = 0;       ///< requests of this go
    std::size_t busy = 0;           ///< connections that have a request, or that are still being closed
    std::vector<exchange*> idle;    ///< kept open

    inline ~client();
    inline void run(std::size_t count, latencies& into);
    inline void start_one();
};

/// A connection to the server: one request, or one after the other.
class exchange final : public bare::tls_connection {
public:
    exchange(client& of, steady_clock::time_point since)
        : tls_connection{of.loop, sockets::open_socket()}, client_{of}, since_{since} {
        io_uring_sqe* sqe = in_.io.entry();
        ::io_uring_prep_connect(sqe, fd_, reinterpret_cast<const sockaddr*>(&of.server), sizeof of.server);
        ::io_uring_sqe_set_data64(sqe, tag(op::connect));
    }

    ~exchange() override { --client_.busy; }

    void ask(steady_clock::time_point since) {
        since_ = since;
        step_ = step::waits;
        if (!write(std::as_bytes(std::span{client_.request}))) give_up("tls_write");
    }

private:
    enum class step : unsigned char { shakes_hands, waits, idle };

    void complete(op which, const io_uring_cqe& cqe) override {
        if (which != op::connect) return tls_connection::complete(which, cqe);
        if (cqe.res < 0) fail(std::string{"connect: "} + std::strerror(-cqe.res));
        session_ = libtls::client_context(client_.config);
        if (::tls_connect_cbs(session_, take_input, give_output, this, client_.of.host.c_str()) != 0) give_up("tls_connect_cbs");
        drive();
        settle();
    }

    void drive() override {
        if (step_ == step::shakes_hands) {
            int r;
            do r = ::tls_handshake(session_);
            while (r == TLS_WANT_POLLIN && !inbox_.empty());
            if (r == TLS_WANT_POLLIN && !ended_) return;
            if (r != 0) give_up("handshake");
            ask(since_);
        }
        for (;;) {
            const ssize_t n = read(in_.plaintext);
            if (n == TLS_WANT_POLLIN) return;
            if (n <= 0) return on_end(n);
            heard_ = true;
            if (step_ != step::waits) fail("the server sent what nobody asked for");
            const char* const text = reinterpret_cast<const char*>(in_.plaintext.data());
            if (response_.take({text, static_cast<std::size_t>(n)}, client_.of.size)) return on_response();
        }
    }

    void on_response() {
        client_.took->add(steady_clock::now() - since_);
        if (client_.of.keep_alive && response_.head().keeps_open) {
            heard_ = false;
            reused_ = true;
            if (client_.to_start != 0) {
                --client_.to_start;
                return ask(steady_clock::now());
            }
            step_ = step::idle;
            --client_.busy;
            client_.idle.push_back(this);
        } else {
            close();
            if (client_.to_start != 0) client_.start_one();
        }
    }

    void on_end(ssize_t n) {
        if (step_ == step::idle) {
            std::erase(client_.idle, this);
            ++client_.busy;
        } else if (reused_ && !heard_) {  // the server had closed it when the request came: a new one takes over
            new exchange{client_, since_};
            ++client_.busy;
        } else if (n < 0) {
            give_up("tls_read");
        } else {
            fail("the server closed the connection before the end of its response");
        }
        close();
    }

    [[noreturn]] void give_up(const char* what) {
        const char* why = ::tls_error(session_);
        fail(std::string{what} + ": " + (why ? why : "the server closed the connection"));
    }

    client& client_;
    steady_clock::time_point since_;
    http_response_reader response_;
    step step_ = step::shakes_hands;
    bool reused_ = false;
    bool heard_ = false;  // there is some of the response
};

client::~client() {
    for (exchange* one : idle) delete one;  // the kernel only waits for them to receive
}

void client::start_one() {
    const auto now = steady_clock::now();
    --to_start;
    ++busy;
    if (idle.empty()) {
        new exchange{*this, now};
    } else {
        exchange* const again = idle.back();
        idle.pop_back();
        again->ask(now);
    }
}

void client::run(std::size_t count, latencies& into) {
    took = &into;
    to_start = count;
    for (std::size_t i = 0; i < of.concurrency && to_start != 0; ++i) start_one();
    while (busy != 0) loop.turn();
    loop.io.submit();  // the last closes
}

libtls::config_ptr trust(const client_options& of) {
    libtls::config_ptr config = libtls::new_config();
    if (!of.system_trust) {
        libtls::trust_file(*config, of.ca);
        return config;
    }
    // The hashed directory and not the bundle, which libtls would parse for each connection.
    const char* directory = std::getenv("SSL_CERT_DIR");
    if (::tls_config_set_ca_path(config.get(), directory ? directory : "/etc/ssl/certs") != 0) {
        libtls::give_up("tls_config_set_ca_path", ::tls_config_error(config.get()));
    }
    return config;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"The floor's HTTPS client: libtls and io_uring in a bare loop."};
    const client_options of = parse_client_options(app, argc, argv);
    const libtls::config_ptr config = trust(of);
    const sockaddr_in server = sockets::loopback(of.port);
    client all{.loop = {}, .of = of, .request = of.request(), .server = server, .config = config.get(), .idle = {}};
    return run_goes([&](std::size_t count, latencies& took) { all.run(count, took); });
}
