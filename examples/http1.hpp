#pragma once
// HTTP/1.1 as far as these examples need it (RFC 9110, RFC 9112): GET and HEAD from both sides. hawser's own HTTP layer
// will take its place. Everything that reads takes a hw::buffered over any stream.

#include <hawser/hawser.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <ctime>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace http1 {

namespace hw = hawser;

inline constexpr std::size_t head_limit = std::size_t{64} << 10;         // bytes of a head, or of a body's trailers
inline constexpr std::size_t request_line_limit = std::size_t{8} << 10;  // as most servers have it
inline constexpr std::size_t chunk_line_limit = std::size_t{4} << 10;    // a chunk's size with its extensions
inline constexpr std::size_t fields_limit = 128;                         // header fields of a head

/// The peer's bytes are not the HTTP that this file takes. status() is what a server answers to them.
class error : public std::runtime_error {
public:
    explicit error(const std::string& what, int status = 400) : std::runtime_error{what}, status_{status} {}
    int status() const noexcept { return status_; }

private:
    int status_;
};

// Text.

inline char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

inline std::string lower(std::string_view text) {
    std::string out{text};
    for (char& c : out) c = lower(c);
    return out;
}

inline bool same(std::string_view a, std::string_view b) noexcept {
    return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

inline std::string_view trimmed(std::string_view text) noexcept {
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == text.npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

inline bool is_token(std::string_view text) noexcept {
    const auto allowed = [](char c) {
        return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') ||
               std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
    };
    return !text.empty() && std::ranges::all_of(text, allowed);
}

/// Digits and nothing else; empty for what is no number or too large.
inline std::optional<std::uint64_t> number(std::string_view text, int base = 10) noexcept {
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, failed] = std::from_chars(text.data(), end, value, base);
    if (text.empty() || stopped != end || failed != std::errc{}) return {};
    return value;
}

// URLs.

/// An http or https URL, taken apart.
struct url {
    std::string scheme;  // "http" or "https"
    std::string host;    // in lower case; an IPv6 address stands without its brackets
    std::uint16_t port = 0;
    std::string target;  // path and query, as a request asks for them

    bool secure() const { return scheme == "https"; }
    /// What the Host field says: the port only if it is not the scheme's own.
    std::string authority() const {
        const std::string name = host.find(':') == host.npos ? host : "[" + host + "]";
        return port == (secure() ? 443 : 80) ? name : name + ":" + std::to_string(port);
    }
    /// Requests of one origin may share a connection.
    std::string origin() const { return scheme + "://" + authority(); }
    /// The last segment of the path, as it is written; empty if the path ends with a slash.
    std::string_view file_name() const {
        const std::string_view path = std::string_view{target}.substr(0, target.find('?'));
        return path.substr(path.rfind('/') + 1);
    }
};

/// Throws error with what is wrong. The fragment is dropped: it is nothing to a server.
inline url parse_url(std::string_view text) {
    for (const char c : text) {
        if (c <= ' ' || c == '\x7f') throw error{"this URL has a character in it that must be percent-encoded"};
    }
    const std::size_t colon = text.find("://");
    if (colon == text.npos) throw error{"this is not a URL: write http://HOST/PATH or https://HOST/PATH"};
    url made;
    made.scheme = lower(text.substr(0, colon));
    if (made.scheme != "http" && made.scheme != "https") throw error{"only http and https URLs are fetched"};
    text = text.substr(colon + 3, text.find('#', colon + 3) - (colon + 3));

    const std::size_t path = std::min(text.find_first_of("/?"), text.size());
    std::string_view authority = text.substr(0, path);
    made.target = text.substr(path);
    if (!made.target.starts_with('/')) made.target.insert(0, 1, '/');

    if (authority.find('@') != authority.npos) throw error{"a user name or password in a URL is not supported"};
    const bool bracketed = authority.starts_with('[');
    const std::size_t bracket = bracketed ? authority.find(']') : 0;
    if (bracket == authority.npos) throw error{"the IPv6 address in this URL has no closing bracket"};
    const std::size_t before_port = std::min(authority.find(':', bracket), authority.size());
    made.host = lower(bracketed ? authority.substr(1, bracket - 1) : authority.substr(0, before_port));
    if (made.host.empty()) throw error{"this URL has no host"};
    if (bracketed) {
        const auto literal = hw::ip_address::parse(made.host);
        if (!literal || !literal->is_v6() || before_port != bracket + 1) throw error{"what stands in brackets is no IPv6 address"};
    } else if (made.host.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-._") != made.host.npos) {
        throw error{"the host of this URL has a character in it that no host name has"};
    }
    made.port = made.secure() ? 443 : 80;
    if (before_port + 1 < authority.size()) {
        const auto port = number(authority.substr(before_port + 1));
        if (!port || *port == 0 || *port > 65535) throw error{"the port of this URL is not a number from 1 to 65535"};
        made.port = static_cast<std::uint16_t>(*port);
    }
    return made;
}

// Header fields.

/// The fields of a head, in order. Names are compared without regard to case.
class fields {
public:
    /// Throws error for what is no field; continuation lines, which RFC 9112 took out of the protocol, are refused.
    void add(std::string_view line) {
        const std::size_t colon = std::min(line.find(':'), line.size());
        const std::string_view name = line.substr(0, colon);
        if (colon == line.size() || !is_token(name)) throw error{"a malformed header field"};
        const std::string_view value = trimmed(line.substr(colon + 1));
        for (const char c : value) {
            if ((static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f') throw error{"a control character in a header field"};
        }
        all_.emplace_back(name, value);
    }
    std::size_t size() const noexcept { return all_.size(); }

    /// The first field of this name, or nullptr.
    const std::string* find(std::string_view name) const noexcept {
        for (const auto& [its_name, value] : all_) if (same(its_name, name)) return &value;
        return nullptr;
    }
    std::size_t count(std::string_view name) const noexcept {
        return static_cast<std::size_t>(std::ranges::count_if(all_, [&](const auto& f) { return same(f.first, name); }));
    }
    /// Whether a list such as `Connection: keep-alive, upgrade` has this member.
    bool has(std::string_view name, std::string_view member) const noexcept {
        for (const auto& [its_name, value] : all_) {
            if (!same(its_name, name)) continue;
            for (std::string_view rest = value; !rest.empty();) {
                const std::size_t comma = std::min(rest.find(','), rest.size());
                if (same(trimmed(rest.substr(0, comma)), member)) return true;
                rest.remove_prefix(std::min(comma + 1, rest.size()));
            }
        }
        return false;
    }

private:
    std::vector<std::pair<std::string, std::string>> all_;
};

/// Where a body ends.
struct body_extent {
    enum class kind { none, length, chunked, until_close } how = kind::none;
    std::uint64_t length = 0;
};

/// What the fields say of the body. Whatever two readers could take differently is refused (RFC 9112, 6.3).
inline body_extent extent_of(const fields& head, int minor_version) {
    const std::size_t lengths = head.count("Content-Length");
    if (const std::string* coding = head.find("Transfer-Encoding")) {
        if (lengths != 0 || minor_version == 0) throw error{"Transfer-Encoding beside Content-Length or HTTP/1.0"};
        if (head.count("Transfer-Encoding") != 1 || !same(*coding, "chunked")) throw error{"an unknown Transfer-Encoding", 501};
        return {body_extent::kind::chunked, 0};
    }
    if (lengths == 0) return {};
    const auto length = number(*head.find("Content-Length"));
    if (lengths > 1 || !length) throw error{"more than one Content-Length, or one that is no number"};
    return {body_extent::kind::length, *length};
}

inline bool keeps_alive(const fields& head, int minor_version) {
    return !head.has("Connection", "close") && (minor_version >= 1 || head.has("Connection", "keep-alive"));
}

// Reading, for both sides.

/// How many bytes a part of a message may still have, and what it is to have more.
struct allowance {
    std::size_t left;
    int status;
    const char* exceeded;
};

inline hw::error cut_short(std::string_view what, std::string_view peer) {
    return hw::error{hw::error_info{hw::make_error_code(hw::errc::end_of_stream), hw::phase::read, peer, what}};
}

/// The next line, without its end.
template <class In> hw::task<std::string> next_line(In& in, allowance& of) {
    auto read = co_await hw::as_result(in.read_until("\n", of.left + 2));
    if (!read && read.error() == hw::errc::limit_exceeded) throw error{of.exceeded, of.status};
    if (!read && read.error() == hw::errc::end_of_stream) throw cut_short("in the middle of an HTTP message", in.peer_name());
    std::string line = std::move(read).value();
    of.left -= std::min(of.left, line.size());
    line.pop_back();
    if (line.ends_with('\r')) line.pop_back();
    co_return line;
}

template <class In> hw::task<fields> read_fields(In& in, allowance& of) {
    fields all;
    for (;;) {
        const std::string line = co_await next_line(in, of);
        if (line.empty()) break;
        if (all.size() == fields_limit) throw error{"too many header fields", 431};
        all.add(line);
    }
    co_return all;
}

/// Gives the next n bytes to `sink(std::span<const std::byte>)`, in pieces.
template <class In, class Sink> hw::task<> take(In& in, std::uint64_t n, Sink& sink) {
    while (n != 0) {
        if (in.peek().empty() && co_await in.fill() == 0) {
            throw cut_short(std::to_string(n) + " bytes before the end of the body", in.peer_name());
        }
        const auto piece = in.peek().first(static_cast<std::size_t>(std::min<std::uint64_t>(n, in.peek().size())));
        sink(piece);
        in.consume(piece.size());
        n -= piece.size();
    }
}

/// "1a" or "1a;name=value".
inline std::uint64_t parse_chunk_size(std::string_view line) {
    line = line.substr(0, line.find(';'));
    const auto size = number(line.substr(0, line.find_last_not_of(" \t") + 1), 16);
    if (!size) throw error{"a malformed chunk size"};
    return *size;
}

/// Gives the body to `sink` in pieces, never held as a whole, and gives its size. A body that is cut short throws; so
/// does one of more than `limit` bytes.
template <class In, class Sink>
hw::task<std::uint64_t> read_body(In& in, body_extent of, Sink& sink, std::uint64_t limit = std::numeric_limits<std::uint64_t>::max()) {
    using enum body_extent::kind;
    const auto check = [limit](std::uint64_t more, std::uint64_t total) {
        if (more > limit - total) throw error{"a body of more than " + std::to_string(limit) + " bytes", 413};
    };
    std::uint64_t total = 0;
    if (of.how == length) {
        check(of.length, 0);
        co_await take(in, of.length, sink);
        total = of.length;
    } else if (of.how == chunked) {
        for (;;) {
            allowance line{chunk_line_limit, 400, "a chunk size that never ends"};
            const std::uint64_t size = parse_chunk_size(co_await next_line(in, line));
            if (size == 0) break;
            check(size, total);
            co_await take(in, size, sink);
            total += size;
            allowance line_end{0, 400, "a chunk is longer than its size"};
            const std::string between = co_await next_line(in, line_end);
            if (!between.empty()) throw error{line_end.exceeded};
        }
        allowance trailers{head_limit, 431, "the trailers are too large"};
        co_await read_fields(in, trailers);
    } else if (of.how == until_close) {
        // Only a proper end counts: a TLS stream that is cut off throws errc::truncated here.
        while (!in.peek().empty() || co_await in.fill() != 0) {
            check(in.peek().size(), total);
            total += in.peek().size();
            sink(in.peek());
            in.consume(in.peek().size());
        }
    }
    co_return total;
}

// The client's side.

/// The head of a request, all of it.
inline std::string request_head(std::string_view method, const url& of, std::string_view user_agent) {
    std::string out{method};
    out.append(" ").append(of.target).append(" HTTP/1.1\r\nHost: ").append(of.authority());
    out.append("\r\nUser-Agent: ").append(user_agent).append("\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n");
    return out;
}

struct response {
    int status = 0;
    int minor_version = 0;
    std::string reason;
    fields head;
    body_extent body;
    bool keep_alive = false;  // once the body was read
};

/// "HTTP/1.1 200 OK"
inline response parse_status_line(std::string_view line) {
    const auto status = number(line.substr(std::min<std::size_t>(line.size(), 9), 3));
    const bool known = line.starts_with("HTTP/1.0 ") || line.starts_with("HTTP/1.1 ");
    if (!known || !status || *status < 100 || *status > 599 || (line.size() > 12 && line[12] != ' ')) {
        throw error{"the answer is not HTTP/1.1"};
    }
    response made;
    made.status = static_cast<int>(*status);
    made.minor_version = line[7] - '0';
    if (line.size() > 13) made.reason = line.substr(13);
    for (char& c : made.reason) if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
    return made;
}

/// Reads the head of the response to a request of `method`, past interim (1xx) ones.
template <class In> hw::task<response> read_response(In& in, std::string_view method) {
    using enum body_extent::kind;
    allowance head{head_limit, 502, "the head of the answer is too large"};
    for (;;) {
        response got = parse_status_line(co_await next_line(in, head));
        got.head = co_await read_fields(in, head);
        if (got.status == 101) throw error{"the answer changes the protocol, which nobody asked for"};
        if (got.status < 200) continue;
        const body_extent said = extent_of(got.head, got.minor_version);
        const bool has_body = method != "HEAD" && got.status != 204 && got.status != 304;
        if (has_body) got.body = said.how == none ? body_extent{until_close, 0} : said;
        got.keep_alive = keeps_alive(got.head, got.minor_version) && got.body.how != until_close;
        co_return got;
    }
}

// The server's side.

struct request {
    std::string method, target;  // target: path and query
    int minor_version = 0;
    fields head;
    body_extent body;
    bool keep_alive = false;
};

/// "GET /index.html HTTP/1.1"
inline request parse_request_line(std::string_view line) {
    const std::size_t first = std::min(line.find(' '), line.size());
    const std::size_t last = line.rfind(' ');
    if (first >= line.size() || last <= first + 1) throw error{"a malformed request line"};
    const std::string_view version = line.substr(last + 1);
    request made;
    made.method = line.substr(0, first);
    made.target = line.substr(first + 1, last - first - 1);
    if (!is_token(made.method)) throw error{"a malformed method"};
    if (version != "HTTP/1.1" && version != "HTTP/1.0") {
        throw error{"an unknown version of HTTP", version.starts_with("HTTP/") ? 505 : 400};
    }
    for (const char c : made.target) if (c <= ' ' || c == '\x7f') throw error{"a malformed request target"};
    // Proxies are asked by whole URLs, and a server must know them as well (RFC 9112, 3.2.2).
    if (same(std::string_view{made.target}.substr(0, 7), "http://") || same(std::string_view{made.target}.substr(0, 8), "https://")) {
        made.target = parse_url(made.target).target;
    }
    made.minor_version = version.back() - '0';
    return made;
}

/// Reads the head of a request. Throws error with the status to answer, after which the connection can only be closed:
/// nobody knows where the next request begins.
template <class In> hw::task<request> read_request(In& in) {
    allowance line{request_line_limit, 414, "the request line is too long"};
    std::string first = co_await next_line(in, line);
    if (first.empty()) first = co_await next_line(in, line);  // a line end that some clients send after a body
    request got = parse_request_line(first);
    allowance head{head_limit, 431, "the head of the request is too large"};
    got.head = co_await read_fields(in, head);
    if (got.head.count("Host") > 1 || (got.minor_version == 1 && got.head.count("Host") == 0)) {
        throw error{"a request needs one Host field"};
    }
    got.body = extent_of(got.head, got.minor_version);
    got.keep_alive = keeps_alive(got.head, got.minor_version);
    co_return got;
}

inline const char* reason(int status) noexcept {
    switch (status) {
        case 200: return "OK";
        case 301: return "Moved Permanently";
        case 304: return "Not Modified";
        case 400: return "Bad Request";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 408: return "Request Timeout";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 503: return "Service Unavailable";
        case 505: return "HTTP Version Not Supported";
        default: return "Unknown";
    }
}

/// "Sun, 06 Nov 1994 08:49:37 GMT"
inline std::string date(std::time_t when) {
    std::tm utc{};
    ::gmtime_r(&when, &utc);
    char text[64];
    return std::string(text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc));
}

}  // namespace http1
