#pragma once
// What read() was asked for, found in the bytes that have come: the formats of Lua's io library, and "h" and "b".

#include <cmath>
#include <cstring>

#include <hawser/base/defaults.hpp>
#include <hawser/lua/userdata.hpp>

namespace hawser::lua::detail {

/// Limits against peers that never end a line.
struct read_limits {
    std::size_t line = defaults::line_limit;
    std::size_t header = defaults::line_limit;
    std::size_t all = ~std::size_t{0};
};

/// Whether more bytes will come. `cut`: the last ones were lost, or the peer did not say that they were the last.
enum class input_end : unsigned char { none, proper, cut };

/// One format and, once it was found, the bytes that it stands for.
struct read_format {
    enum class kind : unsigned char { line, line_with_end, all, header, number, some, bytes };
    enum class outcome : unsigned char { open, found, nothing, invalid, too_long, cut_short };

    kind what = kind::line;
    outcome how = outcome::open;
    std::size_t count = 0;           // bytes
    std::size_t begin = 0, size = 0;  // of the value
    std::size_t next = 0;            // where the next format begins
};

/// The formats of one read(). Plain data: it is filled while Lua may raise errors.
class read_request {
public:
    static constexpr int most = 32;

    /// Reads the formats from `first` to the top of the stack; raises an argument error for a bad one.
    void parse(state* L, int first) {
        const int top = lua_gettop(L);
        if (top - first >= most) luaL_error(L, "more than %d formats", most);
        count_ = done_ = 0;
        from_ = searched_ = 0;
        for (int i = first; i <= top; ++i) formats_[count_++] = parse_one(L, i);
        if (count_ == 0) formats_[count_++] = read_format{};
    }

    /// Looks for what is open. True: all is known, or one has failed.
    bool scan(std::string_view have, input_end ended, const read_limits& limits) noexcept {
        while (done_ < count_) {
            read_format& f = formats_[done_];
            f.begin = f.next = from_;
            find(f, have.substr(from_), ended, limits);
            if (f.how == read_format::outcome::open) return false;
            ++done_;
            from_ = f.next;
            searched_ = 0;
            if (f.how != read_format::outcome::found) return true;
        }
        return true;
    }

    int done() const noexcept { return done_; }
    const read_format& operator[](int i) const noexcept { return formats_[i]; }
    /// The one that failed, or is still open.
    const read_format* unfinished() const noexcept {
        if (done_ > 0 && formats_[done_ - 1].how != read_format::outcome::found) return &formats_[done_ - 1];
        return done_ < count_ ? &formats_[done_] : nullptr;
    }
    /// Bytes to drop after the results were pushed.
    std::size_t consumed() const noexcept { return from_; }

private:
    using kind = read_format::kind;
    using outcome = read_format::outcome;

    static read_format parse_one(state* L, int index) {
        read_format f;
        if (lua_type(L, index) == LUA_TNUMBER) {
            const lua_Number n = lua_tonumber(L, index);
            luaL_argcheck(L, n >= 0 && n <= 4.0e9 && n == std::floor(n), index, "a whole number of bytes from 0 to 4e9");
            f.what = kind::bytes;
            f.count = static_cast<std::size_t>(n);
            return f;
        }
        const char* name = luaL_checkstring(L, index);
        if (*name == '*') ++name;
        switch (*name) {
            case 'l': f.what = kind::line; break;
            case 'L': f.what = kind::line_with_end; break;
            case 'a': f.what = kind::all; break;
            case 'h': f.what = kind::header; break;
            case 'n': f.what = kind::number; break;
            case 'b': f.what = kind::some; break;
            default: luaL_argerror(L, index, "no such format: use \"l\", \"L\", \"a\", \"h\", \"n\", \"b\" or a number of bytes");
        }
        return f;
    }

    static void found(read_format& f, std::size_t size, std::size_t with_end) noexcept {
        f.how = outcome::found;
        f.size = size;
        f.next = f.begin + with_end;
    }
    static void nothing(read_format& f) noexcept { f.how = outcome::nothing; }
    /// The last bytes, without the end that was to follow.
    static void found_rest(read_format& f, std::size_t size, input_end ended) noexcept {
        if (ended == input_end::cut) f.how = outcome::cut_short;
        else found(f, size, size);
    }

    void find(read_format& f, std::string_view have, input_end ended, const read_limits& limits) noexcept {
        const bool no_more = ended != input_end::none;
        switch (f.what) {
            case kind::line:
            case kind::line_with_end: return find_line(f, have, ended, limits.line);
            case kind::header: return find_header(f, have, no_more, limits.header);
            case kind::number: return find_number(f, have, ended, limits.line);
            case kind::all:
                if (have.size() > limits.all) f.how = outcome::too_long;
                else if (no_more) found(f, have.size(), have.size());
                return;
            case kind::some:
                if (!have.empty()) found(f, have.size(), have.size());
                else if (no_more) nothing(f);
                return;
            case kind::bytes:
                if (have.size() >= f.count && (f.count != 0 || !have.empty())) found(f, f.count, f.count);
                else if (no_more && have.empty()) nothing(f);
                else if (no_more) found_rest(f, have.size(), ended);
                return;
        }
    }

    void find_line(read_format& f, std::string_view have, input_end ended, std::size_t limit) noexcept {
        const std::size_t at = have.find('\n', searched_);
        const std::size_t length = at == have.npos ? have.size() : at;
        const std::size_t text = length > 0 && have[length - 1] == '\r' ? length - 1 : length;
        searched_ = length;
        if (text > limit) return void(f.how = outcome::too_long);
        if (at == have.npos) {
            if (ended == input_end::none) return;
            if (have.empty()) return nothing(f);
            return found_rest(f, length, ended);
        }
        found(f, f.what == kind::line_with_end ? at + 1 : text, at + 1);
    }

    /// Through the first empty line, which may be the first line.
    void find_header(read_format& f, std::string_view have, bool ended, std::size_t limit) noexcept {
        for (std::size_t at = have.find('\n', searched_); at != have.npos; at = have.find('\n', at + 1)) {
            const std::string_view before = have.substr(0, at);
            const bool empty_line = before.empty() || before == "\r" || before.ends_with('\n') || before.ends_with("\n\r");
            if (empty_line && at < limit) return found(f, at + 1, at + 1);
            searched_ = at + 1;
        }
        if (have.size() > limit) f.how = outcome::too_long;
        else if (ended && have.empty()) nothing(f);
        else if (ended) f.how = outcome::cut_short;
    }

    /// A numeral as liolib.c of Lua reads it: of at most 200 characters, with the blanks before it. What is none is taken
    /// up to the character that shows it.
    void find_number(read_format& f, std::string_view have, input_end ended, std::size_t limit) noexcept {
        std::size_t at = 0;
        while (at < have.size() && (have[at] == ' ' || (have[at] >= '\t' && have[at] <= '\r'))) ++at;
        const std::size_t begin = at;
        if (begin > limit) return void(f.how = outcome::too_long);
        bool hex = false, overlong = false;
        const auto one_of = [&](const char* set) {
            if (at == have.size() || have[at] == '\0' || !std::strchr(set, have[at])) return false;
            overlong = overlong || at - begin >= 200;
            if (!overlong) ++at;
            return !overlong;
        };
        const auto digits = [&] {
            std::size_t n = 0;
            while (one_of(hex ? "0123456789abcdefABCDEF" : "0123456789")) ++n;
            return n;
        };
        one_of("+-");
        std::size_t count = 0;
        if (one_of("0")) {
            if (one_of("xX")) hex = true;
            else count = 1;
        }
        count += digits();
        if (one_of(".")) count += digits();
        bool is_number = count > 0;
        if (is_number && one_of(hex ? "pP" : "eE")) {
            one_of("+-");
            hex = false;
            is_number = digits() > 0;
        }
        if (at == have.size() && !overlong && ended == input_end::none) return;  // more of it may come
        f.begin += begin;
        f.size = at - begin;
        f.next = f.begin + f.size;
        if (at == have.size() && !overlong && ended == input_end::cut) f.how = f.size == 0 ? outcome::nothing : outcome::cut_short;
        else if (is_number && !overlong) f.how = outcome::found;
        else f.how = have.empty() ? outcome::nothing : outcome::invalid;
    }

    read_format formats_[most];
    int count_ = 0, done_ = 0;
    std::size_t from_ = 0, searched_ = 0;
};

}  // namespace hawser::lua::detail
