#pragma once
// url: an absolute http or https URL, and what a reference means on the page that it names.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <hawser/base/result.hpp>
#include <hawser/http/percent.hpp>
#include <hawser/http/url_reader.hpp>
#include <hawser/net/address.hpp>

namespace hawser {

/// An absolute URL with the scheme http or https, read as the WHATWG URL Standard says, which is what browsers do: RFC
/// 3986 with the corrections that the Web needs. Always in canonical form: scheme and host in lower case, the default
/// port left out, no dot segments, and all percent-encoded that has to be. What was encoded stays encoded as it was.
///
/// No space, control character (CR, LF, NUL, ...) or byte above 0x7e can be in any part of it, so that it is safe in a
/// request line and in a header. An immutable value: one string, and where its parts lie in it. The views that it
/// gives are valid until it is assigned to, moved from or destroyed; after a move it may only be assigned or destroyed.
class url {
public:
    /// The longest text that is read, and the longest URL that is made of it, in bytes.
    static constexpr std::size_t max_size = std::size_t{64} << 10;

    /// Reads an absolute URL, "https://user:password@example.org:8080/path?query#fragment", with the tolerance of the
    /// standard (WHATWG URL Standard, section 4.4, the basic URL parser): spaces and control characters around it are
    /// ignored, and tabs and line breaks anywhere; a backslash before the query is a slash; any number of slashes may
    /// follow the scheme; bytes that cannot stand where they do, UTF-8 or not, are percent-encoded.
    ///
    /// The host is a name; an IPv4 address, also as "127.1", "0x7f000001" or "017700000001", which become 127.0.0.1; or
    /// an IPv6 address in brackets, without zone. International names (IDNA) are not translated: a host that is not
    /// ASCII is refused, and its xn-- form is taken as it is, unchecked.
    ///
    /// Fails with errc::invalid_argument and a detail() that says at which byte (from 0) of `text` what is wrong, and
    /// what to write instead; or with errc::limit_exceeded where the text or the URL is longer than max_size. The
    /// detail() quotes nothing before an @, where passwords stand. The cost is linear in the text.
    static result<url> parse(std::string_view text) { return read(text, nullptr); }

    /// What `reference`, found on the page of this URL, means, as in a link of HTML or in Location of HTTP. An absolute
    /// URL stands for itself; "//host/path" takes the scheme from here; "/path" the authority too; "other" and
    /// "../other" stand beside the last segment of the path; "?query" takes the path too, and "#fragment" the query; ""
    /// is this URL without its fragment. "http:path" is relative to a URL with this scheme. Fails and costs as parse()
    /// does; references to other schemes, such as "mailto:", fail too. Source: WHATWG URL Standard, section 4.4; RFC
    /// 3986, section 5.4, has examples.
    result<url> resolve(std::string_view reference) const { return read(reference, &parts_); }

    /// "http" or "https".
    std::string_view scheme() const noexcept { return parts_.scheme(); }
    /// The user, percent-encoded; empty if there is none.
    std::string_view username() const noexcept { return part(scheme().size() + 3, parts_.username_end); }
    /// The password, percent-encoded; empty if there is none.
    std::string_view password() const noexcept {
        const std::size_t colon = parts_.username_end;
        if (colon == parts_.host_begin || parts_.href[colon] != ':') return {};
        return part(colon + 1, parts_.host_begin - 1);
    }
    /// The host as connect(), certificates and ip_address::parse() know it: "example.org", "192.0.2.1", or
    /// "2001:db8::1", without brackets. Never empty.
    std::string_view host() const noexcept {
        const bool bracketed = parts_.href[parts_.host_begin] == '[';
        return bracketed ? part(parts_.host_begin + 1, parts_.host_end - 1) : bracketed_host();
    }
    /// The host as it stands in the URL, without port: "example.org", "192.0.2.1", or "[2001:db8::1]". JavaScript calls
    /// this hostname.
    std::string_view bracketed_host() const noexcept { return part(parts_.host_begin, parts_.host_end); }
    /// The port to connect to: the one that is written, or the default of the scheme, 80 or 443.
    std::uint16_t port() const noexcept { return parts_.port; }
    /// Whether a port is written; the default one never is.
    bool has_port() const noexcept { return parts_.host_end < parts_.path_begin; }
    /// The path, percent-encoded; begins with a slash.
    std::string_view path() const noexcept { return part(parts_.path_begin, parts_.query_begin); }
    /// What follows the question mark, percent-encoded; empty for "/path?", and nothing for "/path".
    std::optional<std::string_view> query() const noexcept {
        return after_mark(parts_.query_begin, parts_.fragment_begin);
    }
    /// What follows the number sign, percent-encoded; empty for "/path#", and nothing for "/path".
    std::optional<std::string_view> fragment() const noexcept {
        return after_mark(parts_.fragment_begin, parts_.href.size());
    }

    /// What stands in a request line: the path, and the query with its question mark (RFC 9112, section 3.2.1).
    std::string_view target() const noexcept { return part(parts_.path_begin, parts_.fragment_begin); }
    /// What stands in a Host header: the host, in brackets if it is IPv6, and the port if has_port() (RFC 9110, section
    /// 7.2).
    std::string_view host_header() const noexcept { return part(parts_.host_begin, parts_.path_begin); }
    /// Scheme, host and port: "https://example.org" or "http://[::1]:8080". What two URLs share that are of the same
    /// site to a browser. Source: WHATWG URL Standard, section 4.7.
    std::string origin() const { return std::string{scheme()}.append("://").append(host_header()); }
    /// The segments of the path, still percent-encoded: "a", "b" and "" for "/a/b/"; one "" for "/". percent_decode()
    /// belongs after the split, because an encoded slash does not end a segment.
    std::vector<std::string_view> path_segments() const& {
        std::vector<std::string_view> out;
        std::string_view rest = path().substr(1);
        for (std::size_t end; (end = rest.find('/')) != rest.npos; rest.remove_prefix(end + 1))
            out.push_back(rest.substr(0, end));
        out.push_back(rest);
        return out;
    }
    void path_segments() const&& = delete;

    /// The whole URL, which parse() takes to an equal one. It shows the password, if there is one. JavaScript calls
    /// this href.
    const std::string& to_string() const& noexcept { return parts_.href; }
    std::string to_string() && noexcept { return std::move(parts_.href); }

    /// Whether the texts are the same, fragments included. "/%41" and "/A" differ, though servers may take them as one.
    friend bool operator==(const url& a, const url& b) noexcept { return a.parts_.href == b.parts_.href; }

private:
    explicit url(detail::url_parts&& parts) noexcept : parts_{std::move(parts)} {}
    static result<url> read(std::string_view text, const detail::url_parts* base);

    std::string_view part(std::size_t from, std::size_t to) const noexcept {
        return {parts_.href.data() + from, to - from};
    }
    std::optional<std::string_view> after_mark(std::size_t from, std::size_t to) const noexcept {
        if (from == to) return std::nullopt;
        return part(from + 1, to);
    }

    detail::url_parts parts_;
};

inline result<url> url::read(std::string_view text, const detail::url_parts* base) {
    const auto refuse = [text](errc code, const std::string& why) {
        const std::size_t sign = text.rfind('@');  // passwords stand before it, and are not for logs
        const std::string shown = sign == text.npos ? detail::quoted(text)
                                                    : detail::quoted("..." + std::string{text.substr(sign, 100)});
        return error_info{make_error_code(code), phase::none, {}, shown + " is no URL that hawser can use: " + why};
    };
    const auto too_long = [&](std::size_t size) {
        return refuse(errc::limit_exceeded, "it has " + std::to_string(size) + " bytes, and a URL has at most " +
                                                std::to_string(max_size));
    };
    if (text.size() > max_size) return too_long(text.size());

    const auto is_blank = [](char c) { return static_cast<unsigned char>(c) <= 0x20; };
    const auto is_skipped = [](char c) { return c == '\t' || c == '\n' || c == '\r'; };
    std::size_t begin = 0, end = text.size();
    while (begin < end && is_blank(text[begin])) ++begin;
    while (end > begin && is_blank(text[end - 1])) --end;
    std::string_view clean = text.substr(begin, end - begin);
    std::string copy;
    if (clean.find_first_of("\t\n\r") != clean.npos) {
        for (const char c : clean) if (!is_skipped(c)) copy += c;
        clean = copy;
    }

    detail::url_reader reader{clean, base};
    if (!reader.read()) {
        std::size_t at = begin;  // the offset in `text` of what stands at reader.at() in `clean`
        for (std::size_t left = reader.at(); at < end && (left > 0 || is_skipped(text[at])); ++at)
            if (!is_skipped(text[at])) --left;
        return refuse(errc::invalid_argument, "at byte " + std::to_string(at) + ": " + reader.wrong());
    }
    if (reader.made().href.size() > max_size) return too_long(reader.made().href.size());
    return url{std::move(reader.made())};
}

}  // namespace hawser
