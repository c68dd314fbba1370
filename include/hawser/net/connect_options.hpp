#pragma once
// What connecting takes besides a name.

#include <hawser/net/socket.hpp>

namespace hawser {

/// Options of tcp::connect and tls::connect. Views must live until the connect ends.
struct connect_options {
    duration resolve_timeout = defaults::resolve_timeout;  ///< for the name
    duration connect_timeout = defaults::connect_timeout;  ///< for all addresses together
    duration attempt_delay = defaults::attempt_delay;      ///< before the next address is tried beside the last
    std::optional<endpoint> address{};        ///< connect there instead of resolving; the name is still what TLS verifies
    std::optional<endpoint> local_endpoint{};  ///< bind(2) to it first; port 0 lets the kernel choose
    socket_options socket{};
};
static_assert(std::is_trivially_destructible_v<connect_options>);

}  // namespace hawser
