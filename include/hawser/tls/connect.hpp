#pragma once
// tls::connect: a name to a verified TLS stream.

#include <hawser/net/connect.hpp>
#include <hawser/tls/stream.hpp>

namespace hawser::tls {

/// Options of tls::connect. Views must live until the connect ends.
struct connect_options {
    duration handshake_timeout = defaults::handshake_timeout;
    std::string_view server_name{};   ///< the name to verify and to ask for by SNI, if it is not the host
    hawser::connect_options tcp{};    ///< timeouts, a given address, socket options
};
static_assert(std::is_trivially_destructible_v<connect_options>);

/// Resolves `host`, races its addresses, connects, and completes a TLS handshake that verifies the certificate's chain
/// and name. `service` is a port number or a name such as "https". Throws what tcp::connect and tls::handshake throw;
/// each error names the host, the address and the cause. Every phase has its deadline: see hawser::defaults.
template <class = void> operation<stream> connect(std::string host, std::string service, config settings = {}, connect_options options = {}) {
    auto line = co_await as_result(tcp::connect(host, std::move(service), options.tcp));
    if (!line) co_return line.error();
    std::string name{options.server_name.empty() ? std::string_view{host} : options.server_name};
    if (name.size() > 2 && name.front() == '[' && name.back() == ']') name = name.substr(1, name.size() - 2);
    const handshake_options limits{.timeout = options.handshake_timeout};
    co_return co_await as_result(handshake(*std::move(line), std::move(name), std::move(settings), limits));
}

}  // namespace hawser::tls
