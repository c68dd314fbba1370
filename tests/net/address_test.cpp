#include <doctest/doctest.h>

#include <arpa/inet.h>

#include <algorithm>
#include <random>
#include <string>
#include <type_traits>

#include <hawser/net/address.hpp>

using hawser::ip_address;

namespace {

std::string reprinted(std::string_view text) {
    const auto r = ip_address::parse(text);
    return r ? r->to_string() : "refused";
}

}  // namespace

TEST_SUITE("ip_address") {
    static_assert(std::is_trivially_copyable_v<ip_address>);
    static_assert(ip_address::v4(127, 0, 0, 1) == ip_address::loopback_v4());

    TEST_CASE("IPv4 text") {
        CHECK(reprinted("0.0.0.0") == "0.0.0.0");
        CHECK(reprinted("192.0.2.1") == "192.0.2.1");
        CHECK(reprinted("255.255.255.255") == "255.255.255.255");
    }

    TEST_CASE("forms of IPv4 that programs read differently are refused") {
        for (const char* text : {"", ".", "1", "1.2", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.04", "00.0.0.0", "256.1.1.1", "1.2.3.256", "0x7f.0.0.1",
                                 "1.2.3.4 ", " 1.2.3.4", "1..3.4", "1.2.3.", ".1.2.3", "-1.2.3.4", "+1.2.3.4", "1,2,3,4", "1.2.3.4%1", "1.2.3.99999999999",
                                 "127.1", "2130706433"}) {
            CAPTURE(text);
            CHECK(reprinted(text) == "refused");
        }
        CHECK(reprinted(std::string_view{"1.2.3.4\0", 8}) == "refused");
    }

    TEST_CASE("IPv6 text is printed as RFC 5952 says") {
        CHECK(reprinted("::") == "::");
        CHECK(reprinted("0:0:0:0:0:0:0:0") == "::");
        CHECK(reprinted("::1") == "::1");
        CHECK(reprinted("1::") == "1::");
        CHECK(reprinted("2001:DB8:0:0:8:800:200C:417A") == "2001:db8::8:800:200c:417a");
        CHECK(reprinted("2001:0db8::0001") == "2001:db8::1");
        CHECK(reprinted("2001:db8:0:1:1:1:1:1") == "2001:db8:0:1:1:1:1:1");     // 4.2.2: one zero group is no run
        CHECK(reprinted("2001:0:0:1:0:0:0:1") == "2001:0:0:1::1");              // 4.2.3: the longest run
        CHECK(reprinted("2001:db8:0:0:1:0:0:1") == "2001:db8::1:0:0:1");        // 4.2.3: the first of equal runs
        CHECK(reprinted("1:2:3:4:5:6:7::") == "1:2:3:4:5:6:7:0");
        CHECK(reprinted("::2:3:4:5:6:7:8") == "0:2:3:4:5:6:7:8");
        CHECK(reprinted("::ffff:192.0.2.1") == "::ffff:192.0.2.1");             // 5: mixed notation
        CHECK(reprinted("::FFFF:c000:201") == "::ffff:192.0.2.1");
        CHECK(reprinted("0:0:0:0:0:ffff:0:0") == "::ffff:0.0.0.0");
        CHECK(reprinted("64:ff9b::192.0.2.33") == "64:ff9b::c000:221");
        CHECK(reprinted("1:2:3:4:5:6:1.2.3.4") == "1:2:3:4:5:6:102:304");
        CHECK(reprinted("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    }

    TEST_CASE("what is not IPv6 text is refused") {
        for (const char* text : {":", ":::", "1:", ":1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "::1::", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
                                 "12345::", "::g", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "::1.2.3.4.5", "::01.2.3.4", "::1.2.3.4:5", "1.2.3.4::", "[::1]", "::1 ",
                                 " ::1", "::1%", "::%", "fe80::1%no-such-if0", "fe80::1%a-name-that-is-too-long", "fe80::1%4294967296", "fe80::1%1%1", "1:2:3:4:5:6:7:",
                                 "::1/64", "0x1::"}) {
            CAPTURE(text);
            CHECK(reprinted(text) == "refused");
        }
    }

    TEST_CASE("the zone") {
        CHECK(reprinted("fe80::1%2") == "fe80::1%2");
        CHECK(reprinted("fe80::1%0") == "fe80::1");
        CHECK(reprinted("fe80::1%4294967295") == "fe80::1%4294967295");
        if (const unsigned lo = ::if_nametoindex("lo")) {
            const auto r = ip_address::parse("fe80::1%lo");
            REQUIRE(r);
            CHECK(r->scope_id() == lo);
        }
        const ip_address a = *ip_address::parse("fe80::1%2");
        CHECK(a != a.with_scope_id(3));
        CHECK(a.with_scope_id(0).to_string() == "fe80::1");
        CHECK(ip_address::loopback_v4().with_scope_id(3) == ip_address::loopback_v4());
    }

    TEST_CASE("what a refusal says") {
        const auto r = ip_address::parse("10.0.0.010");
        REQUIRE(!r);
        CHECK(r.error() == hawser::errc::invalid_argument);
        CHECK(r.error().message().find("\"10.0.0.010\" is not an IP address") != std::string::npos);
        CHECK(r.error().message().find("leading zeros") != std::string::npos);
        const auto nasty = ip_address::parse("\x1b[2J\n" + std::string(1000, 'x'));
        REQUIRE(!nasty);
        CHECK(nasty.error().message().find('\x1b') == std::string::npos);
        CHECK(nasty.error().message().find('\n') == std::string::npos);
        CHECK(nasty.error().message().size() < 300);
    }

    TEST_CASE("classes of addresses") {
        struct row {
            const char* text;
            bool loopback, unspecified, multicast, link_local, mapped;
        };
        for (const row& r : {row{"127.0.0.1", true, false, false, false, false}, row{"127.255.0.9", true, false, false, false, false},
                             row{"126.255.255.255", false, false, false, false, false}, row{"::1", true, false, false, false, false},
                             row{"::ffff:127.0.0.1", true, false, false, false, true}, row{"::ffff:10.0.0.1", false, false, false, false, true},
                             row{"0.0.0.0", false, true, false, false, false}, row{"::", false, true, false, false, false},
                             row{"224.0.0.1", false, false, true, false, false}, row{"239.255.255.255", false, false, true, false, false},
                             row{"240.0.0.1", false, false, false, false, false}, row{"ff02::1", false, false, true, false, false},
                             row{"fe80::1", false, false, false, true, false}, row{"febf::1", false, false, false, true, false},
                             row{"fec0::1", false, false, false, false, false}, row{"169.254.1.1", false, false, false, true, false},
                             row{"2001:db8::1", false, false, false, false, false}, row{"::ffff:0:1.2.3.4", false, false, false, false, false}}) {
            CAPTURE(r.text);
            const ip_address a = *ip_address::parse(r.text);
            CHECK(a.is_loopback() == r.loopback);
            CHECK(a.is_unspecified() == r.unspecified);
            CHECK(a.is_multicast() == r.multicast);
            CHECK(a.is_link_local() == r.link_local);
            CHECK(a.is_v4_mapped() == r.mapped);
            CHECK(a.is_v4() != a.is_v6());
            CHECK(a.is_v6() == (std::string_view{r.text}.find(':') != std::string_view::npos));
        }
        CHECK(ip_address::parse("::ffff:10.1.2.3")->unmapped() == ip_address::v4(10, 1, 2, 3));
        CHECK(ip_address::loopback_v6().unmapped() == ip_address::loopback_v6());
    }

    TEST_CASE("bytes are in network order") {
        const ip_address four = ip_address::v4(1, 2, 3, 4);
        REQUIRE(four.bytes().size() == 4);
        CHECK(four.bytes()[0] == 1);
        CHECK(four.bytes()[3] == 4);
        const ip_address six = *ip_address::parse("2001:db8::ff");
        REQUIRE(six.bytes().size() == 16);
        CHECK(six.bytes()[0] == 0x20);
        CHECK(six.bytes()[1] == 0x01);
        CHECK(six.bytes()[15] == 0xff);
    }

    TEST_CASE("order: IPv4 first, then bytes, then zone") {
        const ip_address sorted[] = {*ip_address::parse("0.0.0.0"), *ip_address::parse("9.0.0.0"), *ip_address::parse("10.0.0.0"), *ip_address::parse("10.0.0.1"),
                                     *ip_address::parse("::"),      *ip_address::parse("::1"),     *ip_address::parse("fe80::1"),  *ip_address::parse("fe80::1%1"),
                                     *ip_address::parse("fe80::1%2"), *ip_address::parse("fe80::2")};
        for (std::size_t i = 0; i < std::size(sorted); ++i) {
            for (std::size_t j = 0; j < std::size(sorted); ++j) {
                CHECK((sorted[i] < sorted[j]) == (i < j));
                CHECK((sorted[i] == sorted[j]) == (i == j));
            }
        }
    }

    TEST_CASE("random addresses agree with inet_pton and survive the round trip") {
        std::mt19937 random{20240610};
        for (int i = 0; i < 20000; ++i) {
            std::array<std::uint8_t, 16> bytes{};
            for (std::size_t g = 0; g < 16; g += 2) {
                const auto kind = random() % 4;  // zero groups often, so that runs are common
                bytes[g] = kind < 2 ? 0 : static_cast<std::uint8_t>(random());
                bytes[g + 1] = kind == 0 ? 0 : static_cast<std::uint8_t>(random());
            }
            const ip_address a = ip_address::v6(bytes);
            const std::string text = a.to_string();
            CAPTURE(text);
            std::array<std::uint8_t, 16> theirs{};
            REQUIRE(::inet_pton(AF_INET6, text.c_str(), theirs.data()) == 1);
            REQUIRE(theirs == bytes);
            REQUIRE(*ip_address::parse(text) == a);
        }
    }

    TEST_CASE("random text is taken exactly when inet_pton takes it") {
        std::mt19937 random{42};
        const std::string alphabet = "0123456789abcdefF:::::....";
        int taken = 0;
        for (int i = 0; i < 100000; ++i) {
            // Random pieces of a valid address, so that a good part is valid.
            std::string text;
            if (random() % 2) {
                text = "1:2:3:4:5:6:7:8";
                for (auto n = random() % 3; n > 0; --n) text[random() % text.size()] = alphabet[random() % alphabet.size()];
                if (random() % 3 == 0) text.resize(random() % text.size());
            } else {
                for (std::size_t n = random() % 12; n > 0; --n) text += alphabet[random() % alphabet.size()];
            }
            std::array<std::uint8_t, 16> theirs{};
            const bool six = text.find(':') != std::string::npos;
            const bool valid = ::inet_pton(six ? AF_INET6 : AF_INET, text.c_str(), theirs.data()) == 1;
            const auto ours = ip_address::parse(text);
            CAPTURE(text);
            REQUIRE(ours.has_value() == valid);
            if (valid) {
                ++taken;
                const ip_address a = *ours;
                REQUIRE(std::equal(a.bytes().begin(), a.bytes().end(), theirs.begin()));
            }
        }
        CHECK(taken > 1000);
    }
}
