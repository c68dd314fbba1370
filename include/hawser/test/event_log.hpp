#pragma once
// What happened in a simulation: as a hash that tells two runs apart, and as text.

#include <cstdio>
#include <initializer_list>
#include <string>
#include <string_view>

#include <hawser/base/clock.hpp>
#include <hawser/reactor/op.hpp>
#include <hawser/test/random.hpp>

namespace hawser::detail {

class event_log {
public:
    static constexpr unsigned elsewhere = ~0u;

    explicit event_log(bool keeps_text) noexcept : keeps_text_{keeps_text} {}

    void time_passed(duration now) {
        add({0, static_cast<std::uint64_t>(now.count())});
        if (keeps_text_) text_.append(seconds(now)).append("  time passes\n");
    }
    void completed(duration now, op_kind kind, unsigned socket, std::string_view where, int result) {
        const auto what = 1 + static_cast<std::uint64_t>(kind);
        add({what, static_cast<std::uint64_t>(now.count()), socket, static_cast<std::uint32_t>(result)});
        if (!keeps_text_) return;
        text_.append(seconds(now)).append("  ").append(name_of(kind)).append(" on ").append(where);
        text_.append(": ").append(std::to_string(result)).append(1, '\n');
    }
    std::uint64_t fingerprint() const noexcept { return hash_; }
    const std::string& text() const noexcept { return text_; }

    static const char* name_of(op_kind kind) noexcept {
        static constexpr const char* names[] = {"receive", "send", "accept", "connect", "poll"};
        return names[static_cast<unsigned>(kind)];
    }
    static std::string seconds(duration d) {
        char text[40];
        std::snprintf(text, sizeof text, "%.9f s", static_cast<double>(d.count()) / 1e9);
        return text;
    }

private:
    void add(std::initializer_list<std::uint64_t> words) noexcept {
        for (const std::uint64_t word : words) hash_ = test::random::mix(hash_ + word + 0x9e3779b97f4a7c15u);
    }
    const bool keeps_text_;
    std::uint64_t hash_ = 0;
    std::string text_;
};

}  // namespace hawser::detail
