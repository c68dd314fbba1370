// Configurations are shared by threads; contexts and engines are not.

#include <atomic>
#include <thread>

#include "support.hpp"

using namespace hawser_test;

TEST_CASE("libtls rule 13: threads share configurations, each with a server context of its own") {
    const std::string ca = cert("ca.pem"), good = cert("client.pem"), good_key = cert("client.key");
    const std::string bad = cert("self-signed.pem"), bad_key = cert("self-signed.key");
    const hw::tls::server_config server = server_config("server", {.client_ca_file = ca, .require_client_certificate = true});
    const hw::tls::config welcome = client_config({.cert_file = good, .key_file = good_key});
    const hw::tls::config refused = client_config({.cert_file = bad, .key_file = bad_key});
    std::atomic<int> let_in = 0, kept_out = 0;  // doctest's own checks would synchronise the threads
    constexpr int threads = 4, rounds = 10;
    {
        std::vector<std::jthread> running;
        for (int t = 0; t < threads; ++t) {
            running.emplace_back([&] {
                const auto context = context_of(server);
                for (int i = 0; i < 2 * rounds; ++i) {
                    end c, s;
                    const hw::tls::config mine = i % 2 ? welcome : refused;  // copies of handles
                    c.line.connect(mine, "localhost").value();
                    s.line.accept(context).value();
                    for (int step = 0; step < 4; ++step) {
                        c.drive_quietly();
                        s.line.feed(c.out.view());
                        s.drive_quietly();
                        s.line.release_input();
                        c.out.clear();
                        c.line.feed(s.out.view());
                        c.drive_quietly();
                        c.line.release_input();
                        s.out.clear();
                    }
                    if (s.line.handshake_complete() && c.line.handshake_complete()) ++let_in;
                    if (s.line.has_failed() && !s.line.error(phase::handshake).detail().empty()) ++kept_out;
                }
            });
        }
    }
    CHECK(let_in == threads * rounds);
    CHECK(kept_out == threads * rounds);
}

TEST_CASE("the system's configuration may be asked for by all threads at once") {
    std::atomic<int> same = 0;
    std::atomic<::tls_config*> first = nullptr;
    {
        std::vector<std::jthread> running;
        for (int t = 0; t < 4; ++t) {
            running.emplace_back([&] {
                ::tls_config* mine = nullptr;
                try {
                    mine = hw::tls::config::system().native();
                } catch (const hawser::error&) {  // a machine without authorities
                }
                ::tls_config* expected = nullptr;
                if (first.compare_exchange_strong(expected, mine) || expected == mine) ++same;
            });
        }
    }
    CHECK(same == 4);
}
