#pragma once
// IP addresses: IPv4, and IPv6 with its zone.

#include <net/if.h>

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include <hawser/base/result.hpp>
#include <hawser/base/slice.hpp>

namespace hawser {

class ip_address;

namespace detail {

/// What the user wrote, fit to stand in a message: short, and without control characters.
inline std::string quoted(std::string_view text) {
    constexpr std::size_t longest = 80;
    std::string out{'"'};
    for (const char c : text.substr(0, longest)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    if (text.size() > longest) out += "...";
    out += '"';
    return out;
}

/// A decimal number without sign, blanks or leading zeros, at most `largest`.
constexpr bool parse_decimal(std::string_view text, std::uint32_t largest, std::uint32_t& value) noexcept {
    if (text.empty() || text.size() > 10 || (text.size() > 1 && text[0] == '0')) return false;
    std::uint64_t sum = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return false;
        sum = sum * 10 + static_cast<std::uint64_t>(c - '0');
    }
    value = static_cast<std::uint32_t>(sum);
    return sum <= largest;
}

/// nullptr, or what is wrong with `text`; allocates nothing.
const char* parse_ip(std::string_view text, ip_address& into) noexcept;

/// The same as address.bytes().
constexpr slice<const std::uint8_t> bytes_of(const ip_address& address) noexcept;

}  // namespace detail

/// An IPv4 address, or an IPv6 address with an optional zone (scope id: the index of an interface, RFC 4007).
/// A trivially copyable value; default is 0.0.0.0. Ordered: IPv4 first, then by bytes, then by scope id.
class ip_address {
public:
    constexpr ip_address() noexcept = default;

    /// a.b.c.d
    static constexpr ip_address v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) noexcept {
        return v4(std::array<std::uint8_t, 4>{a, b, c, d});
    }
    /// The four bytes in network order.
    static constexpr ip_address v4(const std::array<std::uint8_t, 4>& bytes) noexcept {
        ip_address made;
        for (std::size_t i = 0; i < bytes.size(); ++i) made.bytes_[i] = bytes[i];
        return made;
    }
    /// The sixteen bytes in network order; `scope_id` 0 means no zone.
    static constexpr ip_address v6(const std::array<std::uint8_t, 16>& bytes, std::uint32_t scope_id = 0) noexcept {
        ip_address made;
        made.bytes_ = bytes;
        made.scope_id_ = scope_id;
        made.is_v6_ = true;
        return made;
    }

    static constexpr ip_address any_v4() noexcept { return {}; }                           ///< 0.0.0.0
    static constexpr ip_address any_v6() noexcept { return v6({}); }                       ///< ::
    static constexpr ip_address loopback_v4() noexcept { return v4(127, 0, 0, 1); }        ///< 127.0.0.1
    static constexpr ip_address loopback_v6() noexcept {                                   ///< ::1
        std::array<std::uint8_t, 16> bytes{};
        bytes[15] = 1;
        return v6(bytes);
    }

    /// Reads "192.0.2.1" (four decimal numbers; no octal, hexadecimal, short or zero-padded forms, which programs read
    /// differently) or the text forms of RFC 4291 section 2.2, with the zone of RFC 4007 section 11: "2001:db8::1",
    /// "::ffff:192.0.2.1", "fe80::1%eth0", "fe80::1%2". No brackets. Fails with errc::invalid_argument and a detail()
    /// that says what is wrong. A zone given by name is looked up with if_nametoindex(3) (a system call).
    static result<ip_address> parse(std::string_view text) {
        ip_address made;
        if (const char* wrong = detail::parse_ip(text, made)) {
            return error_info{make_error_code(errc::invalid_argument), phase::none, {},
                              detail::quoted(text) + " is not an IP address: " + wrong};
        }
        return made;
    }

    constexpr bool is_v4() const noexcept { return !is_v6_; }
    constexpr bool is_v6() const noexcept { return is_v6_; }
    /// 127.0.0.0/8, ::1, and the first of them mapped into IPv6.
    constexpr bool is_loopback() const noexcept {
        if (is_v4_mapped()) return bytes_[12] == 127;
        return is_v6_ ? with_scope_id(0) == loopback_v6() : bytes_[0] == 127;
    }
    /// 0.0.0.0 or ::, what a server binds to for all interfaces.
    constexpr bool is_unspecified() const noexcept {
        for (const std::uint8_t b : bytes_) if (b != 0) return false;
        return true;
    }
    /// 224.0.0.0/4 or ff00::/8.
    constexpr bool is_multicast() const noexcept { return is_v6_ ? bytes_[0] == 0xff : (bytes_[0] & 0xf0) == 0xe0; }
    /// 169.254.0.0/16 or fe80::/10: meaningful on one link only; IPv6 needs a zone then.
    constexpr bool is_link_local() const noexcept {
        return is_v6_ ? bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80 : bytes_[0] == 169 && bytes_[1] == 254;
    }
    /// ::ffff:0:0/96, how a dual-stack socket shows an IPv4 peer.
    constexpr bool is_v4_mapped() const noexcept {
        if (!is_v6_ || bytes_[10] != 0xff || bytes_[11] != 0xff) return false;
        for (std::size_t i = 0; i < 10; ++i) if (bytes_[i] != 0) return false;
        return true;
    }

    /// The IPv4 address inside a mapped one; any other address as it is.
    constexpr ip_address unmapped() const noexcept {
        return is_v4_mapped() ? v4(bytes_[12], bytes_[13], bytes_[14], bytes_[15]) : *this;
    }
    constexpr std::uint32_t scope_id() const noexcept { return scope_id_; }
    /// The same address in another zone; an IPv4 address has none and stays as it is.
    constexpr ip_address with_scope_id(std::uint32_t id) const noexcept { return is_v6_ ? v6(bytes_, id) : *this; }

    /// The 4 or 16 bytes in network order; valid as long as this object.
    template <class Span = std::span<const std::uint8_t>>  // a template, because making one is costly to compile
    constexpr Span bytes() const& noexcept {
        return {bytes_.data(), is_v6_ ? 16u : 4u};
    }
    void bytes() const&& = delete;
    friend constexpr detail::slice<const std::uint8_t> detail::bytes_of(const ip_address& a) noexcept;

    /// The canonical text of RFC 5952: lower case, the longest run of zero groups as "::", mapped addresses with
    /// their dotted quad. The zone is printed as a number, "fe80::1%2", which costs no system call.
    std::string to_string() const;

    friend constexpr std::strong_ordering operator<=>(const ip_address& a, const ip_address& b) noexcept {
        if (a.is_v6_ != b.is_v6_) return a.is_v6_ <=> b.is_v6_;
        for (std::size_t i = 0; i < a.bytes_.size(); ++i) if (a.bytes_[i] != b.bytes_[i]) return a.bytes_[i] <=> b.bytes_[i];
        return a.scope_id_ <=> b.scope_id_;
    }
    friend constexpr bool operator==(const ip_address& a, const ip_address& b) noexcept { return (a <=> b) == 0; }

private:
    std::array<std::uint8_t, 16> bytes_{};  // IPv4: the first four
    std::uint32_t scope_id_ = 0;
    bool is_v6_ = false;
};

namespace detail {

constexpr slice<const std::uint8_t> bytes_of(const ip_address& a) noexcept { return {a.bytes_.data(), a.is_v6_ ? 16u : 4u}; }

inline const char* parse_dotted_quad(std::string_view text, std::uint8_t* into) noexcept {
    for (int i = 0; i < 4; ++i) {
        const std::size_t end = i < 3 ? text.find('.') : text.size();
        if (end == std::string_view::npos) return "an IPv4 address has four numbers with dots between them";
        std::uint32_t number = 0;
        if (!parse_decimal(text.substr(0, end), 255, number))
            return "each of the four numbers is decimal, from 0 to 255, without leading zeros";
        into[i] = static_cast<std::uint8_t>(number);
        text.remove_prefix(i < 3 ? end + 1 : end);
    }
    return nullptr;
}

inline const char* parse_zone(std::string_view text, std::uint32_t& into) noexcept {
    char name[IF_NAMESIZE] = {};
    if (text.empty()) return "nothing after the %";
    if (parse_decimal(text, 0xffffffff, into)) return nullptr;
    if (text.size() >= sizeof name || text.find('\0') != std::string_view::npos) return "no such network interface after the %";
    std::memcpy(name, text.data(), text.size());
    into = ::if_nametoindex(name);
    return into ? nullptr : "no such network interface after the %";
}

/// RFC 4291 section 2.2, without zone.
inline const char* parse_groups(std::string_view text, std::array<std::uint8_t, 16>& into) noexcept {
    constexpr std::size_t none = 17;
    std::size_t filled = 0, gap = none;  // bytes written; where "::" stands
    if (text.starts_with("::")) {
        gap = 0;
        text.remove_prefix(2);
    }
    while (!text.empty()) {
        std::size_t digits = 0;
        unsigned group = 0;
        for (; digits < text.size() && digits < 5; ++digits) {
            const char c = text[digits];
            const char lower = static_cast<char>(c | 0x20);
            if (c >= '0' && c <= '9') group = group * 16 + static_cast<unsigned>(c - '0');
            else if (lower >= 'a' && lower <= 'f') group = group * 16 + static_cast<unsigned>(lower - 'a' + 10);
            else break;
        }
        if (digits < text.size() && text[digits] == '.') {
            if (filled > 12) return "too many groups";
            if (const char* wrong = parse_dotted_quad(text, &into[filled])) return wrong;
            filled += 4;
            break;
        }
        if (digits == 0 || digits > 4) return "an IPv6 group has one to four hexadecimal digits";
        if (filled > 14) return "an IPv6 address has at most eight groups";
        into[filled++] = static_cast<std::uint8_t>(group >> 8);
        into[filled++] = static_cast<std::uint8_t>(group & 0xff);
        text.remove_prefix(digits);
        if (text.empty()) break;
        if (text[0] != ':') return "an unexpected character";
        text.remove_prefix(1);
        if (text.empty()) return "it ends in a single colon";
        if (text[0] == ':') {
            if (gap != none) return "\"::\" may stand once only";
            gap = filled;
            text.remove_prefix(1);
        }
    }
    if (gap == none) return filled == 16 ? nullptr : "an IPv6 address has eight groups, unless \"::\" stands for some";
    if (filled > 14) return "\"::\" stands for at least one group, and there are eight without it";
    std::memmove(&into[gap + 16 - filled], &into[gap], filled - gap);
    std::memset(&into[gap], 0, 16 - filled);
    return nullptr;
}

inline const char* parse_ip(std::string_view text, ip_address& into) noexcept {
    if (text.find(':') == std::string_view::npos) {
        std::array<std::uint8_t, 4> bytes{};
        if (const char* wrong = parse_dotted_quad(text, bytes.data())) return wrong;
        into = ip_address::v4(bytes);
        return nullptr;
    }
    std::array<std::uint8_t, 16> bytes{};
    std::uint32_t zone = 0;
    const std::size_t percent = text.find('%');
    if (const char* wrong = parse_groups(text.substr(0, percent), bytes)) return wrong;
    if (percent != std::string_view::npos)
        if (const char* wrong = parse_zone(text.substr(percent + 1), zone)) return wrong;
    into = ip_address::v6(bytes, zone);
    return nullptr;
}

inline void append_quad(std::string& out, const std::uint8_t* bytes) {
    for (int i = 0; i < 4; ++i) {
        if (i > 0) out += '.';
        out += std::to_string(bytes[i]);
    }
}

}  // namespace detail

inline std::string ip_address::to_string() const {
    std::string out;
    if (!is_v6_) {
        detail::append_quad(out, bytes_.data());
        return out;
    }
    const std::size_t groups = is_v4_mapped() ? 6 : 8;
    const auto group = [&](std::size_t i) { return static_cast<unsigned>(bytes_[2 * i] << 8 | bytes_[2 * i + 1]); };
    std::size_t gap = groups, gap_size = 1;  // a single zero group is written out
    for (std::size_t i = 0; i < groups; ++i) {
        std::size_t run = 0;
        while (i + run < groups && group(i + run) == 0) ++run;
        if (run > gap_size) {
            gap = i;
            gap_size = run;
        }
        i += run;
    }
    for (std::size_t i = 0; i < groups;) {
        if (i == gap) {
            out += "::";
            i += gap_size;
            continue;
        }
        if (!out.empty() && out.back() != ':') out += ':';
        bool leading = true;
        for (unsigned shift = 16; shift > 0;) {
            shift -= 4;
            const unsigned digit = group(i) >> shift & 0xf;
            leading = leading && digit == 0 && shift > 0;
            if (!leading) out += "0123456789abcdef"[digit];
        }
        ++i;
    }
    if (groups == 6) {
        out += ':';
        detail::append_quad(out, &bytes_[12]);
    }
    if (scope_id_ != 0) out.append(1, '%').append(std::to_string(scope_id_));
    return out;
}

}  // namespace hawser
