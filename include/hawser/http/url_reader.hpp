#pragma once
// The parser behind url: from text to a URL in one string, and where its parts lie in it.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <hawser/http/percent.hpp>
#include <hawser/http/url_host.hpp>
#include <hawser/net/address.hpp>

namespace hawser::detail {

/// A URL, and where its parts begin and end. No query: query_begin is fragment_begin; no fragment: that is the size.
struct url_parts {
    std::string_view scheme() const noexcept { return std::string_view{href}.substr(0, href[4] == 's' ? 5 : 4); }

    std::string href;
    std::uint32_t username_end = 0, host_begin = 0, host_end = 0, path_begin = 0, query_begin = 0, fragment_begin = 0;
    std::uint16_t port = 0;
};

/// The states of the basic URL parser (WHATWG URL Standard, section 4.4) that http and https go through, each as a
/// function. The text is trimmed and has no tabs and line breaks.
class url_reader {
public:
    url_reader(std::string_view text, const url_parts* base) noexcept : text_{text}, base_{base} {}

    /// Fills made(). False where the text is no URL; see wrong() and at().
    bool read() {
        const std::size_t colon = scheme_end();
        if (colon == text_.npos) {
            if (base_) return relative(0);
            return fail(0, "there is no scheme: begin with http:// or https://");
        }
        std::string scheme;
        for (const char c : text_.substr(0, colon)) scheme += to_lower(c);
        if (scheme != "http" && scheme != "https")
            return fail(0, "the scheme " + detail::quoted(scheme) + " is not supported: begin with http:// or https://");
        if (base_ && base_->scheme() == scheme) return relative(colon + 1);
        return authority(scheme, colon + 1);
    }

    url_parts& made() noexcept { return made_; }
    /// What is wrong, and what to do about it.
    const std::string& wrong() const noexcept { return wrong_; }
    /// Where in the text.
    std::size_t at() const noexcept { return at_; }

private:
    static bool is_slash(char c) noexcept { return c == '/' || c == '\\'; }
    bool slash_at(std::size_t i) const noexcept { return i < text_.size() && is_slash(text_[i]); }
    /// The first of `marks` from `from` on, or the end.
    std::size_t find(std::string_view marks, std::size_t from) const noexcept {
        const std::size_t found = text_.find_first_of(marks, from);
        return found < text_.size() ? found : text_.size();
    }
    std::uint32_t mark() const noexcept { return static_cast<std::uint32_t>(made_.href.size()); }
    bool fail(std::size_t at, std::string wrong) {
        at_ = at;
        wrong_ = std::move(wrong);
        return false;
    }

    /// Where the colon of the scheme stands, or npos.
    std::size_t scheme_end() const noexcept {
        for (std::size_t i = 0; i < text_.size(); ++i) {
            const char c = text_[i];
            if (c == ':' && i > 0) return i;
            if (!is_letter(c) && (i == 0 || (!is_digit(c) && c != '+' && c != '-' && c != '.'))) break;
        }
        return text_.npos;
    }

    bool relative(std::size_t from) {
        if (slash_at(from) && slash_at(from + 1)) return authority(base_->scheme(), from);
        made_ = *base_;
        if (slash_at(from)) {
            made_.href.resize(base_->path_begin);
            path(from + 1);
        } else if (from == text_.size() || text_[from] == '#') {
            made_.href.resize(base_->fragment_begin);
            fragment(from);
        } else {
            made_.href.resize(base_->query_begin);
            if (text_[from] == '?') {
                query(from);
            } else {
                drop_segment();
                path(from);
            }
        }
        return true;
    }

    bool authority(std::string_view scheme, std::size_t from) {
        made_.href.reserve(text_.size() + 16);
        made_.href.append(scheme).append("://");
        while (slash_at(from)) ++from;
        const std::size_t end = find("/\\?#", from);
        std::string_view rest = text_.substr(from, end - from);
        made_.username_end = mark();
        if (const std::size_t sign = rest.rfind('@'); sign != rest.npos) {
            credentials(rest.substr(0, sign));
            rest.remove_prefix(sign + 1);
            from += sign + 1;
        }
        const std::size_t colon = host_size(rest);
        if (colon == 0) return fail(from, "there is no host: write " + std::string{scheme} + "://host/path");
        made_.host_begin = mark();
        std::size_t at = 0;
        if (const char* wrong = append_host(made_.href, rest.substr(0, colon), at)) return fail(from + at, wrong);
        made_.host_end = mark();
        const std::uint16_t usual = scheme == "https" ? 443 : 80;
        made_.port = usual;
        if (colon < rest.size() && !port(rest.substr(colon + 1), from + colon + 1)) return false;
        if (made_.port != usual) made_.href.append(1, ':').append(std::to_string(made_.port));
        made_.path_begin = mark();
        path(slash_at(end) ? end + 1 : end);
        return true;
    }

    void credentials(std::string_view text) {
        const std::size_t colon = text.find(':');
        const std::string_view password = colon == text.npos ? std::string_view{} : text.substr(colon + 1);
        append_encoded(made_.href, text.substr(0, colon), percent_set::userinfo);
        const bool any = mark() > made_.username_end || !password.empty();
        made_.username_end = mark();
        if (!password.empty()) append_encoded(made_.href += ':', password, percent_set::userinfo);
        if (any) made_.href += '@';
    }

    /// Up to the colon of the port, which is the first one outside of brackets.
    static std::size_t host_size(std::string_view text) noexcept {
        bool bracketed = false;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == ':' && !bracketed) return i;
            if (text[i] == '[') bracketed = true;
            if (text[i] == ']') bracketed = false;
        }
        return text.size();
    }

    bool port(std::string_view digits, std::size_t from) {
        std::uint32_t number = 0;
        for (std::size_t i = 0; i < digits.size(); ++i) {
            // A slash that should have been encoded in a password leads here too.
            if (!is_digit(digits[i]))
                return fail(from + i, "a port is a number from 0 to 65535 (in a password, / is %2F and # is %23)");
            number = number * 10 + static_cast<unsigned>(digits[i] - '0');
            if (number > 65535) return fail(from, "the port is too large: it is a number from 0 to 65535");
        }
        if (!digits.empty()) made_.port = static_cast<std::uint16_t>(number);
        return true;
    }

    static bool is_dot(std::string_view text) noexcept {
        return text == "." || (text.size() == 3 && encoded_byte(text, 0) == '.');
    }
    static bool is_double_dot(std::string_view text) noexcept {
        for (const std::size_t first : {std::size_t{1}, std::size_t{3}})
            if (text.size() > first && is_dot(text.substr(0, first)) && is_dot(text.substr(first))) return true;
        return false;
    }
    /// Takes the last segment off the path that is written so far.
    void drop_segment() {
        if (made_.href.size() > made_.path_begin) made_.href.resize(made_.href.rfind('/'));
    }

    /// Appends the segments from `from` on; the slash before them has been read.
    void path(std::size_t from) {
        const std::size_t end = find("?#", from);
        for (bool last = false; !last;) {
            std::size_t next = from;
            while (next < end && !is_slash(text_[next])) ++next;
            last = next == end;
            const std::string_view segment = text_.substr(from, next - from);
            const bool up = is_double_dot(segment);
            if (up) drop_segment();
            if (!up && !is_dot(segment)) append_encoded(made_.href += '/', segment, percent_set::path);
            else if (last) made_.href += '/';
            from = next + 1;
        }
        query(end);
    }

    void query(std::size_t from) {
        const std::size_t end = find("#", from);
        made_.query_begin = mark();
        if (from < end) append_encoded(made_.href += '?', text_.substr(from + 1, end - from - 1), percent_set::query);
        fragment(end);
    }

    void fragment(std::size_t from) {
        made_.fragment_begin = mark();
        if (from < text_.size()) append_encoded(made_.href += '#', text_.substr(from + 1), percent_set::fragment);
    }

    std::string_view text_;
    const url_parts* base_;
    url_parts made_;
    std::string wrong_;
    std::size_t at_ = 0;
};

}  // namespace hawser::detail
