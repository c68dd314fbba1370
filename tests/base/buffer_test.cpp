#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <hawser/base/buffer.hpp>

using namespace hawser;

namespace {

std::string text(const_buffer b) { return std::string{as_text(b)}; }

}  // namespace

TEST_SUITE("buffer") {
    TEST_CASE("what may be written") {
        const std::string s = "string";
        const char* pointer = "pointer";
        const std::string_view view{"view\0!", 6};
        const std::vector<std::uint8_t> vector{'v', 'e', 'c'};
        const std::array<std::byte, 2> array{std::byte{'h'}, std::byte{'i'}};
        const char letters[] = {'a', 'b'};  // no NUL at its end
        char mutable_letters[] = {'c', '\0', 'd', '\0'};
        CHECK(text(s) == "string");
        CHECK(text(pointer) == "pointer");
        CHECK(text(view) == std::string("view\0!", 6));
        CHECK(text(vector) == "vec");
        CHECK(text(array) == "hi");
        CHECK(text(letters) == "ab");
        CHECK(text(mutable_letters) == std::string("c\0d\0", 4));  // an array of data, not a string
        CHECK(text({s.data(), 3}) == "str");
        CHECK(text(std::span{array}) == "hi");
        CHECK(const_buffer{}.empty());
        CHECK(const_buffer{std::string{}}.empty());
    }

    TEST_CASE("a literal goes without its NUL, and with those inside") {
        CHECK(text("literal") == "literal");
        CHECK(text("") == "");
        CHECK(const_buffer{"a\0b"}.size() == 3);
        CHECK(const_buffer{"a\0"}.size() == 2);
    }

    TEST_CASE("dropping the beginning") {
        const const_buffer b = "abcdef";
        CHECK(text(b.dropped(0)) == "abcdef");
        CHECK(text(b.dropped(4)) == "ef");
        CHECK(b.dropped(6).empty());
    }

    TEST_CASE("what may be received into") {
        std::string s(5, 'x');
        std::vector<unsigned char> v(6);
        std::byte a[7];
        std::array<char, 8> c;
        CHECK(mutable_buffer{s}.size() == 5);
        CHECK(mutable_buffer{s}.data() == reinterpret_cast<std::byte*>(s.data()));
        CHECK(mutable_buffer{v}.size() == 6);
        CHECK(mutable_buffer{a}.size() == 7);
        CHECK(mutable_buffer{c}.size() == 8);
        CHECK(mutable_buffer{std::span{c}.first(2)}.size() == 2);
        CHECK(mutable_buffer{s.data(), 1}.size() == 1);
        CHECK(mutable_buffer{}.empty());
        const mutable_buffer m{s};
        CHECK(const_buffer{m}.size() == 5);
    }

    TEST_CASE("what is not bytes, or may not be changed, does not compile") {
        static_assert(!std::is_constructible_v<const_buffer, std::vector<int>&>);
        static_assert(!std::is_constructible_v<const_buffer, std::vector<bool>&>);
        static_assert(!std::is_constructible_v<const_buffer, int (&)[3]>);
        static_assert(!std::is_constructible_v<const_buffer, int>);
        static_assert(!std::is_constructible_v<mutable_buffer, const std::string&>);
        static_assert(!std::is_constructible_v<mutable_buffer, std::string_view>);
        static_assert(!std::is_constructible_v<mutable_buffer, const char (&)[3]>);
        static_assert(!std::is_constructible_v<mutable_buffer, std::vector<int>&>);
    }
}
