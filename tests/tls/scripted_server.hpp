#pragma once
// A real OpenSSL server at the other end of a scripted socket.

#include "openssl_peer.hpp"
#include "support/descriptors.hpp"

namespace hawser_test {

struct scripted_server {
    hawser::test::fake_backend& io;
    openssl_peer peer{true, TLS1_3_VERSION};
    std::size_t seen = 0;

    /// What the client has sent goes to the server; what the server has to say is given back.
    bytes exchange() {
        const std::string& sent = io.sent(wire);
        const auto fresh = view(std::string_view{sent}.substr(seen));
        seen = sent.size();
        peer.receive(bytes{fresh.begin(), fresh.end()});
        return peer.take_output();
    }
    void deliver(const bytes& ciphertext) { io.deliver(wire, ciphertext); }
};

}  // namespace hawser_test
