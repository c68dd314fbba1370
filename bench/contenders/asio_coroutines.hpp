#pragma once
// What both contenders with Asio write with: coroutines and sockets whose executor is known, so that Asio calls it directly.

#if defined(__clang__) && !defined(ASIO_HAS_CO_AWAIT)
#define ASIO_HAS_CO_AWAIT 1  // Asio 1.22 knows only the coroutines that clang had before C++20
#endif

#include <asio.hpp>
#include <asio/ssl.hpp>

using executor = asio::io_context::executor_type;
template <class T = void> using task = asio::awaitable<T, executor>;
inline constexpr asio::use_awaitable_t<executor> await;

using tcp = asio::ip::tcp;
using tcp_line = asio::basic_stream_socket<tcp, executor>;
using tls_line = asio::ssl::stream<tcp_line>;
