#pragma once
// Counts the HTTP requests in a stream by the empty lines that end them, however the stream is cut.

#include <cstddef>
#include <span>

class empty_lines {
public:
    std::size_t in(std::span<const std::byte> bytes) {
        std::size_t count = 0;
        for (const std::byte b : bytes) {
            const char c = static_cast<char>(b);
            matched_ = c == "\r\n\r\n"[matched_] ? matched_ + 1 : c == '\r' ? 1 : 0;
            if (matched_ < 4) continue;
            matched_ = 0;
            ++count;
        }
        return count;
    }

private:
    std::size_t matched_ = 0;
};
