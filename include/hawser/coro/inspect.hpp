#pragma once
// How tasks and operations show themselves to dump_tasks: one line each, and below it what runs on behalf of it.

#include <cstdio>
#include <source_location>
#include <string>
#include <string_view>

#include <hawser/base/clock.hpp>

namespace hawser::detail {

/// Writes the tree. An operation shows itself by `void inspect(inspector&) const`: it says in a few words what is
/// waited for, then shows or branches to what it runs. One without that function is shown by the name of its type.
class inspector {
public:
    explicit inspector(std::string& out) noexcept : out_{&out} {}

    /// Adds to the line: "read from 192.0.2.1:443".
    void say(std::string_view words) {
        out_->append(words);
        fresh_ = false;
    }
    void say(std::size_t number) { say(std::to_string(number)); }

    /// Whether this line has begun.
    bool has_words() const noexcept { return !fresh_; }

    /// Shows `op` as part of this line.
    template <class Op> void show(const Op& op) {
        if constexpr (requires { op.inspect(*this); }) op.inspect(*this);
        else say(type_name<Op>());
    }
    /// Shows `op` on a line of its own below this one.
    template <class Op> void branch(const Op& op) {
        below([&] { show(op); });
    }
    /// Calls `show()` for a line below this one; on this one if it is still empty.
    template <class F> void below(F show_line) {
        const bool nested = !fresh_;
        if (nested) {
            end_line();
            if (!out_->empty()) *out_ += '\n';
            out_->append(static_cast<std::size_t>(++depth_) * 2, ' ');
            fresh_ = true;
        }
        show_line();
        end_line();
        if (nested) --depth_;
    }

    /// A coroutine, by its name and place.
    void say_name(const std::source_location& made) {
        say(shortened(made.function_name()));
        say(" at ");
        say_place(made, *out_);
    }
    /// What comes at the end of the line: where the coroutine waits and for how long.
    void end_with(const std::source_location& where, duration waited) {
        end_ = " at ";
        say_place(where, end_);
        const auto ms = waited.count() / 1'000'000;
        char text[32];
        std::snprintf(text, sizeof text, ", %lld.%03d s", static_cast<long long>(ms / 1000), static_cast<int>(ms % 1000));
        end_ += text;
    }

private:
    void end_line() {
        out_->append(end_);
        end_.clear();
        fresh_ = false;
    }
    static void say_place(const std::source_location& place, std::string& to) {
        to.append(place.file_name()).append(":").append(std::to_string(place.line()));
    }
    /// "hawser::task<void> fetch(T) [with T = int]" without the type that it returns and what T is.
    static std::string_view shortened(std::string_view whole) noexcept {
        whole = whole.substr(0, whole.find(" ["));
        std::size_t name = 0;
        int depth = 0;
        for (std::size_t i = 0; i < whole.size(); ++i) {
            const char c = whole[i];
            if (c == '(' && depth == 0) break;
            if (c == '<' || c == '(') ++depth;
            if (c == '>' || c == ')') --depth;
            if (c == ' ' && depth == 0) name = i + 1;
        }
        return whole.substr(name);
    }
    /// The type in the compiler's name of this function.
    template <class T> static std::string_view type_name() {
        const std::string_view whole = __PRETTY_FUNCTION__;
        const std::size_t from = whole.find("T = ") + 4;
        return whole.substr(from, whole.find_first_of(";]", from) - from);
    }

    std::string* out_;
    std::string end_;
    int depth_ = 0;
    bool fresh_ = true;
};

}  // namespace hawser::detail
