#pragma once
// Views of bytes as arguments: what `write` and `read_some` accept.

#include <cstddef>
#include <string_view>
#include <type_traits>

#include <hawser/base/slice.hpp>

namespace hawser {

namespace detail {

template <class T> concept byte_like = sizeof(T) == 1 && std::is_trivially_copyable_v<T> && !std::is_same_v<std::remove_cv_t<T>, bool>;

template <class R> concept byte_range = requires(R& r) {
    r.data();
    r.size();
} && byte_like<std::remove_pointer_t<decltype(std::declval<R&>().data())>>;

}  // namespace detail

/// Bytes to send: a string, a string literal (without its NUL), or any contiguous range of one-byte elements.
/// Refers to them; they must live until the operation that takes it has finished.
class const_buffer {
public:
    constexpr const_buffer() noexcept = default;
    const_buffer(const void* data, std::size_t size) noexcept : bytes_{static_cast<const std::byte*>(data), size} {}
    // A template, because an array would prefer to become a pointer, and end at its first NUL or none.
    template <class P>
        requires(std::is_same_v<P, const char*> || std::is_same_v<P, char*>)
    const_buffer(const P& text) noexcept : const_buffer{std::string_view{text}} {}
    const_buffer(std::string_view text) noexcept : const_buffer{text.data(), text.size()} {}
    template <detail::byte_range R>
        requires(!std::is_same_v<std::remove_cvref_t<R>, const_buffer>)
    const_buffer(const R& range) noexcept : const_buffer{range.data(), range.size()} {}
    template <detail::byte_like T, std::size_t N>
        requires(!std::is_same_v<T, const char>)
    const_buffer(T (&array)[N]) noexcept : const_buffer{array, N} {}
    template <std::size_t N>
    const_buffer(const char (&literal)[N]) noexcept : const_buffer{literal, literal[N - 1] == '\0' ? N - 1 : N} {}

    const std::byte* data() const noexcept { return bytes_.data(); }
    std::size_t size() const noexcept { return bytes_.size(); }
    bool empty() const noexcept { return bytes_.empty(); }
    template <class S>
        requires std::is_same_v<S, std::span<const std::byte>>
    operator S() const noexcept {
        return S{bytes_.data(), bytes_.size()};
    }
    const_buffer dropped(std::size_t n) const noexcept { return {data() + n, size() - n}; }

private:
    detail::slice<const std::byte> bytes_;
};

/// Room to receive into: an array, vector, string or span of one-byte elements. Refers to it; it must live until
/// the operation that takes it has finished.
class mutable_buffer {
public:
    constexpr mutable_buffer() noexcept = default;
    mutable_buffer(void* data, std::size_t size) noexcept : bytes_{static_cast<std::byte*>(data), size} {}
    template <detail::byte_range R>
        requires(!std::is_same_v<std::remove_cvref_t<R>, mutable_buffer> &&
                 !std::is_const_v<std::remove_pointer_t<decltype(std::declval<R&>().data())>>)
    mutable_buffer(R&& range) noexcept : mutable_buffer{range.data(), range.size()} {}
    template <detail::byte_like T, std::size_t N>
        requires(!std::is_const_v<T>)
    mutable_buffer(T (&array)[N]) noexcept : mutable_buffer{array, N} {}

    std::byte* data() const noexcept { return bytes_.data(); }
    std::size_t size() const noexcept { return bytes_.size(); }
    bool empty() const noexcept { return bytes_.empty(); }
    template <class S>
        requires std::is_same_v<S, std::span<std::byte>>
    operator S() const noexcept {
        return S{bytes_.data(), bytes_.size()};
    }

private:
    detail::slice<std::byte> bytes_;
};

/// The bytes as text, for printing and parsing.
inline std::string_view as_text(const_buffer bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace hawser
