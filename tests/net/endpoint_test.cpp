#include <doctest/doctest.h>

#include <sys/un.h>

#include <string>
#include <type_traits>

#include <hawser/net/endpoint.hpp>

using hawser::endpoint;
using hawser::ip_address;

namespace {

std::string reprinted(std::string_view text) {
    const auto r = endpoint::parse(text);
    return r ? r->to_string() : "refused";
}

}  // namespace

TEST_SUITE("endpoint") {
    static_assert(std::is_trivially_copyable_v<endpoint>);

    TEST_CASE("text") {
        for (const char* text : {"192.0.2.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:443", "[::]:0", "[2001:db8::1%7]:8443", "[::ffff:1.2.3.4]:1"}) {
            CAPTURE(text);
            CHECK(reprinted(text) == text);
        }
        const endpoint e = *endpoint::parse("[2001:DB8::0:1]:443");
        CHECK(e.address() == *ip_address::parse("2001:db8::1"));
        CHECK(e.port() == 443);
        CHECK(e.with_port(80).to_string() == "[2001:db8::1]:80");
        CHECK(endpoint{}.to_string() == "0.0.0.0:0");
    }

    TEST_CASE("what is not an address with a port is refused") {
        for (const char* text : {"", ":", ":80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:+1", "1.2.3.4:080", "1.2.3.4: 80", "1.2.3.4:80 ",
                                 "1.2.3.4:http", "::1:443", "::1", "[::1]", "[::1]443", "[::1]:", "[::1:443", "::1]:443", "[]:1", "[1.2.3.4]:80", "[::1]]:80",
                                 "[[::1]:80", "localhost:80", "1.2.3.4:80:80", "[::1]:80]:80", "1.2.3.4:99999999999999999999", "[fe80::1%no-such-if0]:80"}) {
            CAPTURE(text);
            CHECK(reprinted(text) == "refused");
        }
        const auto r = endpoint::parse("::1:443");
        REQUIRE(!r);
        CHECK(r.error() == hawser::errc::invalid_argument);
        CHECK(r.error().message().find("brackets") != std::string::npos);
    }

    TEST_CASE("order: address, then port") {
        CHECK(*endpoint::parse("1.2.3.4:80") == endpoint{ip_address::v4(1, 2, 3, 4), 80});
        CHECK(*endpoint::parse("1.2.3.4:80") < *endpoint::parse("1.2.3.4:81"));
        CHECK(*endpoint::parse("1.2.3.4:81") < *endpoint::parse("1.2.3.5:80"));
        CHECK(*endpoint::parse("9.9.9.9:99") < *endpoint::parse("[::]:1"));
    }

    TEST_CASE("any and loopback") {
        CHECK(endpoint::any(8080).address().is_unspecified());
        CHECK(endpoint::any(8080).address().is_v6() == hawser::detail::has_ipv6());
        CHECK(endpoint::any(8080).port() == 8080);
        CHECK(endpoint::loopback(9).to_string() == "127.0.0.1:9");
    }

    TEST_CASE("to and from the kernel's addresses") {
        for (const char* text : {"192.0.2.1:80", "[2001:db8::1%7]:8443", "[::]:1"}) {
            CAPTURE(text);
            const endpoint e = *endpoint::parse(text);
            const hawser::detail::raw_address raw = hawser::detail::to_raw(e);
            CHECK(hawser::detail::to_endpoint(raw) == e);
            CHECK(raw.any.sa_family == (e.address().is_v4() ? AF_INET : AF_INET6));
            CHECK(raw.size == (e.address().is_v4() ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)));
            CHECK(ntohs(raw.v4.sin_port) == e.port());  // the port is at the same place in both
            const auto back = endpoint::from_sockaddr(&raw.any, raw.size);
            REQUIRE(back);
            CHECK(*back == e);
            // The alignment of a plain sockaddr is enough.
            alignas(8) char memory[sizeof raw + 2];
            std::memcpy(memory + 2, &raw.any, raw.size);
            CHECK(*endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(memory + 2), raw.size) == e);
            CHECK(!endpoint::from_sockaddr(&raw.any, raw.size - 1));
        }
    }

    TEST_CASE("a sockaddr_storage as a whole") {
        sockaddr_storage storage{};
        const hawser::detail::raw_address raw = hawser::detail::to_raw(*endpoint::parse("[2001:db8::1]:53"));
        std::memcpy(&storage, &raw.any, raw.size);
        const auto e = endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), sizeof storage);
        REQUIRE(e);
        CHECK(e->to_string() == "[2001:db8::1]:53");
    }

    TEST_CASE("other families") {
        hawser::detail::raw_address raw;
        raw.local.sun_family = AF_UNIX;
        raw.size = sizeof raw.local;
        CHECK(hawser::detail::to_endpoint(raw) == endpoint{});
        CHECK(!endpoint::from_sockaddr(&raw.any, raw.size));
        CHECK(!endpoint::from_sockaddr(nullptr, 0));
        CHECK(!endpoint::from_sockaddr(&raw.any, 1));
    }
}
