#pragma once
// Every limit and deadline that is in force unless the caller says otherwise. docs/defaults.md is this table in prose.

#include <cstddef>

#include <hawser/base/clock.hpp>

namespace hawser::detail {

// Not std::chrono's: its conversions cost every file that includes this.
constexpr duration milliseconds(duration::rep n) noexcept { return duration{n * 1'000'000}; }

}  // namespace hawser::detail

namespace hawser::defaults {

inline constexpr duration resolve_timeout = detail::milliseconds(5000);      ///< a name and all of its addresses
inline constexpr duration connect_timeout = detail::milliseconds(10000);     ///< all addresses of one connect() together
inline constexpr duration attempt_delay = detail::milliseconds(250);     ///< before the next address is tried beside the last (RFC 8305, 5)
inline constexpr duration handshake_timeout = detail::milliseconds(10000);   ///< a TLS handshake, on either side
inline constexpr duration close_timeout = detail::milliseconds(2000);        ///< flushing, close_notify and the peer's end
inline constexpr duration write_timeout = detail::milliseconds(60000);       ///< a write that makes no progress because the peer does not read
inline constexpr duration accept_retry = detail::milliseconds(100);      ///< accept() again after running out of descriptors or memory
inline constexpr duration stop_grace = detail::milliseconds(5000);           ///< connections of a stopped server may finish for so long

inline constexpr std::size_t max_connections = 10000;  ///< open at once per listener; more wait in the backlog
inline constexpr std::size_t max_handshakes = 2048;    ///< unfinished at once per listener; beyond it the oldest is cut
inline constexpr std::size_t handshakes_per_turn = 8;  ///< handshake steps per turn of the loop, the others take turns
inline constexpr int backlog = 4096;                   ///< listen(2); the kernel caps it at net.core.somaxconn

inline constexpr std::size_t send_buffer_limit = std::size_t{256} << 10;     ///< accepted and not yet given to the kernel
inline constexpr std::size_t receive_buffer_limit = std::size_t{256} << 10;  ///< received and not yet read; receiving stops 64 KiB before
inline constexpr std::size_t lent_buffer_size = std::size_t{16} << 10;       ///< the largest chunk that read() lends
inline constexpr std::size_t line_limit = std::size_t{64} << 10;             ///< read_line and read_until
inline constexpr std::size_t read_all_limit = std::size_t{64} << 20;         ///< read_all

}  // namespace hawser::defaults
