#pragma once
// ios: a stream as Lua has it, with what was read ahead and what waits to be written.

#include <string>
#include <vector>

#include <hawser/lua/read_formats.hpp>
#include <hawser/stream/buffered.hpp>
#include <hawser/tls/stream.hpp>

namespace hawser::lua::detail {

/// An "input/output stream". Lua's userdata and the operations in progress share it.
class ios final : public hawser::detail::ref_counted {
public:
    enum class buffering : unsigned char { no, line, full };

    explicit ios(any_stream line) : in{std::move(line)} { note(); }
    explicit ios(tls::stream line)
        : in{any_stream{std::move(line)}}, tls_{static_cast<tls::detail::core*>(in.next_layer().core().get())} { note(); }

    any_stream& line() noexcept { return in.next_layer(); }
    int descriptor() noexcept { return line().native_handle(); }
    /// The TLS state, also of a stream that was closed; nullptr: it has none.
    tls::detail::engine* engine() const noexcept { return tls_ ? &tls_->machine() : nullptr; }
    /// Closes it without a word; who waits on it gets ECANCELED.
    void drop() noexcept {
        closed = true;
        line() = any_stream{};
    }
    const std::string& peer() const noexcept { return peer_; }
    const endpoint& remote() const noexcept { return remote_; }
    const endpoint& local() const noexcept { return local_; }

    std::string_view unread() const noexcept { return as_text(in.peek<hawser::detail::slice<const std::byte>>()); }
    /// Looks again at what has come. True: the read has its results.
    bool scan() noexcept { return request.scan(unread(), !ended ? input_end::none : ending ? input_end::cut : input_end::proper, limits); }
    /// No more bytes will come, for this reason; an empty one is the peer's proper end.
    void end_input(const error_info& why) {
        ended = true;
        truncated = why == errc::truncated;
        if (why) ending = why;
    }
    buffered<any_stream> in;
    read_request request;
    read_limits limits;
    std::string out;  // what write() keeps back under setvbuf()
    std::size_t out_limit = 4096;
    buffering mode = buffering::no;
    duration read_limit = duration::max(), write_limit = duration::max();
    std::size_t bytes_read = 0, bytes_written = 0;
    failure ending;
    bool ended = false;
    bool truncated = false;  // a TLS peer went away without saying that this was all
    bool strict = false;     // what was cut short is then no result of read("a")
    bool reading = false, writing = false, closed = false;
    bool flushing = false;  // it writes because a read has to wait

private:
    void note() {
        peer_ = line().peer_name();
        remote_ = hawser::detail::endpoint_of(descriptor(), ::getpeername);
        local_ = hawser::detail::endpoint_of(descriptor(), ::getsockname);
    }

    ref<tls::detail::core> tls_;
    std::string peer_;
    endpoint remote_, local_;
};

template <> inline constexpr const char* type_name<ref<ios>> = "hawser.ios";

}  // namespace hawser::lua::detail
