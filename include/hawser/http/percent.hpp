#pragma once
// Percent-encoding: which characters a part of a URL cannot hold as they are, and how they are written there.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hawser {

/// The characters that percent_encode() replaces, by the part of a URL that the text is for. Each set has the control
/// characters, DEL and all bytes from 0x80 in it, and those named here. Only `component` has the percent sign: the
/// others leave what is encoded already as it is. Source: WHATWG URL Standard, section 1.3 "Percent-encoded bytes".
enum class percent_set : unsigned char {
    fragment,   ///< space " < > `
    query,      ///< space " # < > ' (the standard's special-query set, which is that of http and https)
    path,       ///< space " # < > ? ^ ` { }
    userinfo,   ///< as path, and / : ; = @ [ \ ] |
    component,  ///< as userinfo, and $ % & + , (what encodeURIComponent of JavaScript replaces): data, for any part
};

namespace detail {

/// A set of ASCII characters.
struct ascii_set {
    std::uint64_t low = 0, high = 0;

    constexpr ascii_set with(std::string_view more) const noexcept {
        ascii_set out = *this;
        for (const char c : more) (c < 0x40 ? out.low : out.high) |= std::uint64_t{1} << (c & 0x3f);
        return out;
    }
    constexpr bool has(char c) const noexcept {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x80 && ((byte < 0x40 ? low : high) >> (byte & 0x3f) & 1) != 0;
    }
};

inline constexpr ascii_set control_characters = ascii_set{0xffffffff, 0}.with("\x7f");
inline constexpr ascii_set path_set = control_characters.with(" \"#<>?^`{}");
inline constexpr ascii_set userinfo_set = path_set.with("/:;=@[\\]|");
inline constexpr ascii_set percent_sets[] = {
    control_characters.with(" \"<>`"), control_characters.with(" \"#<>'"), path_set, userinfo_set,
    userinfo_set.with("$%&+,"),
};

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) noexcept { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
constexpr char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

/// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) noexcept {
    if (is_digit(c)) return c - '0';
    const char lower = to_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// The byte that a percent sign and two hexadecimal digits at text[at] stand for, or -1 if there are none.
constexpr int encoded_byte(std::string_view text, std::size_t at) noexcept {
    if (text[at] != '%' || text.size() - at < 3) return -1;
    const int high = hex_value(text[at + 1]), low = hex_value(text[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

inline void append_encoded(std::string& out, std::string_view text, percent_set set) {
    const ascii_set& replaced = percent_sets[static_cast<std::size_t>(set)];
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x80 || replaced.has(c)) {
            out += '%';
            out += "0123456789ABCDEF"[byte >> 4];
            out += "0123456789ABCDEF"[byte & 0xf];
        } else {
            out += c;
        }
    }
}

}  // namespace detail

/// `text` with each byte of `set` written as % and two hexadecimal digits in upper case. With percent_set::component
/// the result can stand as one segment of a path, or as a name or value in a query, and percent_decode() gives back
/// `text`, whatever bytes are in it. The other sets are for text that is encoded in part: they leave % alone.
/// One pass over the text.
inline std::string percent_encode(std::string_view text, percent_set set = percent_set::component) {
    std::string out;
    out.reserve(text.size());
    detail::append_encoded(out, text, set);
    return out;
}

/// `text` with each % and two hexadecimal digits (of either case) replaced by the byte that they stand for. A percent
/// sign without two digits stays as it is, so this cannot fail; nor is + a space, which it is in forms only. The result
/// may hold any byte, such as /, CR, LF and NUL, and need not be UTF-8: do not build paths of files or header lines of
/// it unchecked. One pass over the text. Source: WHATWG URL Standard, section 1.3.
inline std::string percent_decode(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int byte = detail::encoded_byte(text, i);
        out += byte < 0 ? text[i] : static_cast<char>(byte);
        if (byte >= 0) i += 2;
    }
    return out;
}

}  // namespace hawser
