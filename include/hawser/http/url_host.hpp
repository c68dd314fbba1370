#pragma once
// The host of a URL: a name, an IPv4 address in one of its many spellings, or an IPv6 address in brackets.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <hawser/http/percent.hpp>
#include <hawser/net/address.hpp>

namespace hawser::detail {

// WHATWG URL Standard, section 3.1: the forbidden domain code points.
inline constexpr ascii_set forbidden_in_host = control_characters.with(" #%/:<>?@[\\]^|");

/// nullptr, or why `c` cannot be in a name.
inline const char* check_host_character(char c) noexcept {
    if (static_cast<unsigned char>(c) >= 0x80)
        return "the host is not ASCII: give an international name in its xn-- form (punycode, RFC 3492)";
    if (!forbidden_in_host.has(c)) return nullptr;
    if (c == ' ') return "a space in the host: take it out";
    if (c == '%') return "a percent sign in the host, alone or encoded: take it out";
    if (control_characters.has(c)) return "a control character in the host: take it out, encoded or not";
    return "none of # / : < > ? @ [ \\ ] ^ | can be in a host, encoded or not: take it out";
}

/// A decimal number, a hexadecimal one after 0x or an octal one after 0; false if it is none. What exceeds 32 bits is
/// only known to do so.
constexpr bool parse_ipv4_number(std::string_view text, std::uint64_t& value) noexcept {
    int radix = 10;
    if (text.empty()) return false;
    if (text.starts_with("0x")) {
        radix = 16;
        text.remove_prefix(2);
    } else if (text.size() > 1 && text[0] == '0') {
        radix = 8;
        text.remove_prefix(1);
    }
    value = 0;
    for (const char c : text) {
        const int digit = hex_value(c);
        if (digit < 0 || digit >= radix) return false;
        if (value <= 0xffffffff) value = value * static_cast<unsigned>(radix) + static_cast<unsigned>(digit);
    }
    return true;
}

/// Whether a host, in lower case, can only be meant as an IPv4 address.
constexpr bool ends_in_number(std::string_view host) noexcept {
    if (host.ends_with('.')) host.remove_suffix(1);
    const std::string_view last = host.substr(host.rfind('.') + 1);  // npos + 1 is 0
    std::uint64_t ignored = 0;
    return parse_ipv4_number(last, ignored) || (!last.empty() && last.find_first_not_of("0123456789") == last.npos);
}

/// WHATWG URL Standard, section 3.5, the IPv4 parser. nullptr, or what is wrong.
inline const char* parse_short_ipv4(std::string_view host, ip_address& into) noexcept {
    if (host.ends_with('.')) host.remove_suffix(1);
    std::uint64_t parsed = 0;
    for (unsigned parts = 1;; ++parts) {
        const std::size_t dot = host.find('.');
        std::uint64_t number = 0;
        if (parts > 4) return "a host that ends in a number is an IPv4 address, and has at most four numbers";
        if (!parse_ipv4_number(host.substr(0, dot), number))
            return "a host that ends in a number is an IPv4 address, of decimal numbers (or 0x hexadecimal, 0 octal)";
        if (dot == host.npos) {
            const unsigned bits = 8 * (5 - parts);  // the last number fills what the others leave
            if (number >> bits != 0) return "the last number of the IPv4 address is too large";
            parsed = parsed << bits | number;
            break;
        }
        if (number > 255) return "each number of an IPv4 address but the last is at most 255";
        parsed = parsed << 8 | number;
        host.remove_prefix(dot + 1);
    }
    const auto byte = [parsed](int i) { return static_cast<std::uint8_t>(parsed >> 8 * (3 - i) & 0xff); };
    into = ip_address::v4(byte(0), byte(1), byte(2), byte(3));
    return nullptr;
}

/// "[...]" to the text of RFC 5952, in brackets. As the standard has it, a mapped IPv4 address keeps its hexadecimal
/// groups, "[::ffff:c000:201]", so that a URL reads the same in every program.
inline const char* append_ipv6_host(std::string& out, std::string_view text) {
    if (text.back() != ']') return "an IPv6 address stands in brackets, and nothing follows them but :port";
    text = text.substr(1, text.size() - 2);
    if (text.find('%') != text.npos) return "an IPv6 address in a URL has no zone: take out the % and what follows it";
    std::array<std::uint8_t, 16> bytes{};
    if (const char* wrong = parse_groups(text, bytes)) return wrong;
    const ip_address address = ip_address::v6(bytes);
    out += '[';
    if (address.is_v4_mapped()) {
        out += "::ffff";
        for (std::size_t i = 12; i < 16; i += 2) {
            const unsigned group = static_cast<unsigned>(bytes[i] << 8 | bytes[i + 1]);
            out += ':';
            for (unsigned shift = 16; shift > 0;) {
                shift -= 4;
                if (shift == 0 || group >> shift != 0) out += "0123456789abcdef"[group >> shift & 0xf];
            }
        }
    } else {
        out += address.to_string();
    }
    out += ']';
    return nullptr;
}

/// WHATWG URL Standard, section 3.5, the host parser for http and https, without IDNA. Appends the canonical host and
/// returns nullptr, or returns what is wrong with text[at]. `text` is not empty.
inline const char* append_host(std::string& out, std::string_view text, std::size_t& at) {
    at = 0;
    if (text[0] == '[') return append_ipv6_host(out, text);
    const std::size_t begin = out.size();
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int byte = encoded_byte(text, i);
        const char c = byte < 0 ? text[i] : static_cast<char>(byte);
        if (const char* wrong = check_host_character(c)) return at = i, wrong;
        out += to_lower(c);
        if (byte >= 0) i += 2;
    }
    const std::string_view host = std::string_view{out}.substr(begin);
    if (!ends_in_number(host)) return nullptr;
    ip_address address;
    if (const char* wrong = parse_short_ipv4(host, address)) return wrong;
    out.replace(begin, std::string::npos, address.to_string());
    return nullptr;
}

}  // namespace hawser::detail
