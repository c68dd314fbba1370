#pragma once
// The concept that every stream models, and that the algorithms ask for.

#include <concepts>

#include <hawser/base/buffer.hpp>
#include <hawser/net/any_stream.hpp>

namespace hawser {

/// A stream of bytes in both directions. `read_some` gives at least one byte, or 0 at the proper end; `write` takes a
/// piece and gives how many bytes of it were accepted. Both are awaitables of hawser. A user's own class that models
/// it works with every algorithm, with `buffered`, under tls::handshake, and in make_any_stream.
template <class S> concept stream = requires(S& s, mutable_buffer into, const_buffer from) {
    { s.read_some(into) } -> awaitable;
    { s.write(from) } -> awaitable;
    requires std::convertible_to<await_result_t<decltype(s.read_some(into))>, std::size_t>;
    requires std::convertible_to<await_result_t<decltype(s.write(from))>, std::size_t>;
};

static_assert(stream<any_stream>);

}  // namespace hawser
