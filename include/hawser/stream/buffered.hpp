#pragma once
// buffered: reading by lines and delimiters, with limits.

#include <cstring>
#include <optional>
#include <string>

#include <hawser/base/byte_queue.hpp>
#include <hawser/stream/algorithms.hpp>

namespace hawser {

/// A stream with a look-ahead buffer: `buffered in{line}` refers to `line`, which must outlive it; `buffered
/// in{std::move(line)}` owns it. Models `stream` itself: read_some gives what is buffered first, so it may be handed to
/// tls::handshake after a proxy's answer was read; the stream that it refers to is then moved along with it. Whatever an operation had read before it failed or was cancelled stays
/// in the buffer for the next. An empty buffer holds no memory.
template <class S>
    requires stream<std::remove_reference_t<S>>
class buffered {
public:
    explicit buffered(S&& next) : next_{std::forward<S>(next)} {}

    /// Reads up to and including `delimiter`, which must live until the await ends and not be empty. Throws
    /// errc::limit_exceeded when `limit` bytes have come without it, errc::end_of_stream when the peer ended before it.
    operation<std::string> read_until(std::string_view delimiter, std::size_t limit = defaults::line_limit) {
        std::size_t searched = 0;
        if (delimiter.empty()) {
            co_return error_info{make_error_code(errc::invalid_argument), phase::read, {}, "an empty delimiter"};
        }
        for (;;) {
            const std::string_view have = as_text(buffer_.view());
            const std::size_t at = have.find(delimiter, searched);
            if (at != std::string_view::npos && at + delimiter.size() <= limit) co_return take(at + delimiter.size());
            if (have.size() >= limit || at != std::string_view::npos) {
                co_return error_info{make_error_code(errc::limit_exceeded), phase::read, {},
                                     "no delimiter within " + std::to_string(limit) + " bytes"};
            }
            searched = have.size() < delimiter.size() ? 0 : have.size() - delimiter.size() + 1;
            auto n = co_await as_result(fill());
            if (!n) co_return n.error();
            if (*n == 0) co_return error_info{make_error_code(errc::end_of_stream), phase::read, {}, "before the delimiter"};
        }
    }

    /// Reads a line and gives it without its end, "\n" or "\r\n"; a last line without one counts. An empty optional is the
    /// end of the stream. Throws errc::limit_exceeded when a line is longer than `limit` bytes.
    operation<std::optional<std::string>> read_line(std::size_t limit = defaults::line_limit) {
        std::size_t searched = 0;
        for (;;) {
            const std::string_view have = as_text(buffer_.view());
            const std::size_t at = have.find('\n', searched);
            const std::size_t length = at == std::string_view::npos ? have.size() : at;
            const bool may_end_there = length != 0 && have[length - 1] == '\r';
            if (length - (may_end_there ? 1 : 0) > limit) co_return too_long(limit);
            if (at != std::string_view::npos) {
                std::string line = take(at + 1);
                line.pop_back();
                if (!line.empty() && line.back() == '\r') line.pop_back();
                co_return std::optional<std::string>{std::move(line)};
            }
            searched = have.size();
            auto n = co_await as_result(fill());
            if (!n) co_return n.error();
            if (*n != 0) continue;
            if (buffer_.empty()) co_return std::optional<std::string>{};
            if (buffer_.size() > limit) co_return too_long(limit);  // that "\r" was no part of an end
            co_return std::optional<std::string>{take(buffer_.size())};
        }
    }

    /// What is buffered, without waiting.
    template <class Span = std::span<const std::byte>>  // a template, because making one is costly to compile
    Span peek() const noexcept {
        return buffer_.view();
    }
    /// Puts bytes that were read from the next layer itself behind those that are buffered. False: memory is short.
    template <class Bytes> [[nodiscard]] bool append(const Bytes& bytes) noexcept {
        return buffer_.append(bytes);
    }
    /// Drops the first n buffered bytes; n is at most peek().size().
    void consume(std::size_t n) noexcept { buffer_.consume(n); }
    /// Reads more into the buffer, and gives how much; 0 is the end.
    operation<std::size_t> fill() {
        if constexpr (requires { next_.read(); }) {
            auto chunk = co_await as_result(next_.read());
            if (!chunk) co_return chunk.error();
            if (!*chunk) co_return std::size_t{0};
            if (!buffer_.append(**chunk)) co_return out_of_memory();
            co_return (*chunk)->size();
        } else {
            const detail::slice<std::byte> room = buffer_.prepare(4096);
            if (room.empty()) co_return out_of_memory();
            auto n = co_await as_result(next_.read_some(mutable_buffer{room}));
            if (!n) co_return n.error();
            buffer_.commit(*n);
            co_return *n;
        }
    }

    /// As the stream's read_some, with what is buffered first.
    operation<std::size_t> read_some(mutable_buffer into) {
        if (buffer_.empty() || into.empty()) co_return co_await as_result(next_.read_some(into));
        const std::size_t n = into.size() < buffer_.size() ? into.size() : buffer_.size();
        std::memcpy(into.data(), buffer_.view().data(), n);
        buffer_.consume(n);
        co_return n;
    }
    /// The stream's write.
    template <class... Pieces> [[nodiscard]] auto write(const Pieces&... pieces) { return next_.write(pieces...); }
    [[nodiscard]] auto flush()
        requires requires(std::remove_reference_t<S>& s) { s.flush(); }
    { return next_.flush(); }
    [[nodiscard]] auto shutdown_send()
        requires requires(std::remove_reference_t<S>& s) { s.shutdown_send(); }
    { return next_.shutdown_send(); }
    /// The stream's close; its arguments are the stream's.
    template <class... Args> [[nodiscard]] auto close(Args... args)
        requires requires(std::remove_reference_t<S>& s) { s.close(args...); }
    { return next_.close(args...); }
    std::string peer_name() const
        requires requires(const std::remove_reference_t<S>& s) { s.peer_name(); }
    { return next_.peer_name(); }

    std::remove_reference_t<S>& next_layer() noexcept { return next_; }
    /// For the layers above: gives the stream away, also one that it only refers to, and what was buffered of it.
    std::remove_reference_t<S> surrender(detail::byte_queue& buffered_bytes) {
        buffered_bytes.swap(buffer_);
        return std::move(next_);
    }

private:
    std::string take(std::size_t n) {
        std::string out{as_text(buffer_.view().first(n))};
        buffer_.consume(n);
        return out;
    }
    static error_info too_long(std::size_t limit) {
        return error_info{make_error_code(errc::limit_exceeded), phase::read, {}, "a line of more than " + std::to_string(limit) + " bytes"};
    }
    static error_info out_of_memory() { return error_info::from_errno(ENOMEM, phase::read); }

    S next_;
    detail::byte_queue buffer_;
};
template <class S> buffered(S&&) -> buffered<S>;

}  // namespace hawser
