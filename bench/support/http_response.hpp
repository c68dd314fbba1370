#pragma once
// As much of HTTP/1.1 as the clients need: the head of a response, and a reader for whole responses of known length.

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

struct http_head {
    unsigned status = 0;
    std::size_t content_length = 0;
    bool keeps_open = true;  // the server does not mean to close the connection
};

namespace http_detail {

inline bool same_word(std::string_view a, std::string_view lower) {
    if (a.size() != lower.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if ((a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] + ('a' - 'A')) : a[i]) != lower[i]) return false;
    }
    return true;
}

template <class Number> Number parse_number(std::string_view text, const char* what) {
    Number value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) throw std::runtime_error{std::string{"the server sent no valid "} + what};
    return value;
}

}  // namespace http_detail

/// Parses the status line and the header fields; `text` may go on behind them. Throws std::runtime_error.
inline http_head parse_http_head(std::string_view text) {
    using namespace http_detail;
    if (text.size() < 12 || !text.starts_with("HTTP/1.") || text[8] != ' ') throw std::runtime_error{"the server sent no HTTP/1 response"};
    http_head head;
    head.status = parse_number<unsigned>(text.substr(9, 3), "status");
    bool has_length = false;
    for (;;) {
        text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
        std::string_view line = text.substr(0, text.find('\r'));
        if (line.empty()) break;
        const std::size_t colon = line.find(':');
        if (colon == line.npos) throw std::runtime_error{"the server sent a header line without a colon"};
        const std::string_view name = line.substr(0, colon);
        std::string_view value = line.substr(colon + 1);
        while (value.starts_with(' ')) value.remove_prefix(1);
        if (same_word(name, "content-length")) {
            head.content_length = parse_number<std::size_t>(value, "Content-Length");
            has_length = true;
        } else if (same_word(name, "connection")) {
            head.keeps_open = !same_word(value, "close");
        }
    }
    if (!has_length) throw std::runtime_error{"the server sent no Content-Length"};
    return head;
}

/// Throws std::runtime_error unless the response is what was asked for.
inline void check_http_head(const http_head& head, std::size_t size) {
    if (head.status != 200) throw std::runtime_error{"the server answered with status " + std::to_string(head.status)};
    if (head.content_length != size)
        throw std::runtime_error{"the body has " + std::to_string(head.content_length) + " bytes and not " + std::to_string(size)};
}

/// Takes responses to pieces, wherever reads cut them, and checks them.
class http_response_reader {
public:
    /// Takes what a read brought. True at the end of the response; then the next one may come. Throws std::runtime_error
    /// if it is not one with status 200 and a body of `size` bytes.
    bool take(std::string_view bytes, std::size_t size) {
        if (!in_body_) {
            // Nearly always one read brings the whole head, and then it is parsed where it is.
            const bool whole = kept_.empty();
            if (!whole) kept_ += bytes;
            const std::string_view all = whole ? bytes : std::string_view{kept_};
            const std::size_t end = all.find("\r\n\r\n");
            if (end == all.npos) {
                if (all.size() > most_head) throw std::runtime_error{"the head of the response does not end"};
                if (whole) kept_ = bytes;
                return false;
            }
            head_ = parse_http_head(all.substr(0, end + 4));
            check_http_head(head_, size);
            left_ = size;
            in_body_ = true;
            const std::size_t body = all.size() - (end + 4);
            bytes = bytes.substr(bytes.size() - body);
            kept_.clear();
        }
        if (bytes.size() > left_) throw std::runtime_error{"the server sent more than it said"};
        left_ -= bytes.size();
        if (left_ != 0) return false;
        in_body_ = false;
        return true;
    }
    /// Of the last response.
    const http_head& head() const { return head_; }
    /// Whether the server may end the connection here.
    bool between_responses() const { return !in_body_ && kept_.empty(); }

private:
    static constexpr std::size_t most_head = 16384;

    std::string kept_;  // a head that is not complete
    http_head head_;
    std::size_t left_ = 0;
    bool in_body_ = false;
};
