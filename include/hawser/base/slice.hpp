#pragma once
// A pointer and a count. std::span is what users see; but making one checks the concepts of its iterators, which costs every
// file that includes us as much time to compile as <tuple>, for each element type. A std::span can be made of a slice.

#include <cstddef>
#include <span>

namespace hawser::detail {

template <class T> class slice {
public:
    constexpr slice() noexcept = default;
    constexpr slice(T* data, std::size_t size) noexcept : data_{data}, size_{size} {}
    template <class R>
        requires requires(R& r) { static_cast<T*>(r.data()), r.size(); }
    constexpr slice(R&& range) noexcept : slice{range.data(), range.size()} {}
    template <std::size_t N> constexpr slice(T (&array)[N]) noexcept : slice{array, N} {}

    constexpr T* data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T* begin() const noexcept { return data_; }
    constexpr T* end() const noexcept { return data_ + size_; }
    constexpr T& front() const noexcept { return *data_; }
    constexpr T& operator[](std::size_t i) const noexcept { return data_[i]; }
    constexpr slice first(std::size_t n) const noexcept { return {data_, n}; }
    constexpr slice subspan(std::size_t from) const noexcept { return {data_ + from, size_ - from}; }

private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace hawser::detail

template <class T> inline constexpr bool std::ranges::enable_borrowed_range<hawser::detail::slice<T>> = true;
