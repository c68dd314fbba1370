#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <hawser/http/percent.hpp>
#include <hawser/http/url.hpp>

using hawser::percent_decode;
using hawser::percent_encode;
using hawser::percent_set;
using hawser::url;
using namespace std::string_literals;

namespace {

std::string reprinted(std::string_view text) {
    const auto r = url::parse(text);
    return r ? r->to_string() : "refused";
}

std::string resolved(std::string_view base, std::string_view reference) {
    const auto b = url::parse(base);
    REQUIRE(b);
    const auto r = b->resolve(reference);
    return r ? r->to_string() : "refused";
}

std::string refusal(std::string_view text) {
    const auto r = url::parse(text);
    REQUIRE(!r);
    CHECK(r.error() == hawser::errc::invalid_argument);
    return r.error().detail();
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

bool is_visible(std::string_view text) {
    for (const char c : text) if (c <= 0x20 || c == 0x7f) return false;
    return true;
}

/// What every url promises, whatever it was made of.
void check_promises(const url& u) {
    REQUIRE(is_visible(u.to_string()));
    REQUIRE((u.scheme() == "http" || u.scheme() == "https"));
    REQUIRE(!u.host().empty());
    REQUIRE(u.path().starts_with('/'));
    REQUIRE(u.host_header() == std::string{u.bracketed_host()} + (u.has_port() ? ":" + std::to_string(u.port()) : ""));
    REQUIRE(u.target() == std::string{u.path()} + (u.query() ? "?" + std::string{*u.query()} : ""));
    REQUIRE(u.origin() == std::string{u.scheme()} + "://" + std::string{u.host_header()});
    for (const auto part : {u.username(), u.password(), u.host_header()}) REQUIRE(part.find_first_of("/?#@\\") == part.npos);
    REQUIRE(u.path().find_first_of("?#\\") == u.path().npos);
    std::string joined;
    for (const auto segment : u.path_segments()) {
        REQUIRE(segment.find('/') == segment.npos);
        REQUIRE(segment != ".");
        REQUIRE(segment != "..");
        joined.append(1, '/').append(segment);
    }
    REQUIRE(u.path() == joined);
    std::string whole{u.scheme()};
    whole += "://";
    whole += u.username();
    if (!u.password().empty()) whole.append(1, ':').append(u.password());
    if (!u.username().empty() || !u.password().empty()) whole += '@';
    whole.append(u.host_header()).append(u.target());
    if (u.fragment()) whole.append(1, '#').append(*u.fragment());
    REQUIRE(u.to_string() == whole);

    const auto again = url::parse(u.to_string());
    REQUIRE(again);
    REQUIRE(*again == u);
    REQUIRE(again->host() == u.host());
    REQUIRE(again->username() == u.username());
    REQUIRE(again->password() == u.password());
    REQUIRE(again->port() == u.port());
    REQUIRE(again->path() == u.path());
    REQUIRE(again->query() == u.query());
    REQUIRE(again->fragment() == u.fragment());
    REQUIRE(again->resolve(u.to_string()).value() == u);
}

/// Pieces of URLs, good and bad ones, in an order that the seed gives.
class pieces {
public:
    explicit pieces(unsigned seed) : random_{seed} {}

    std::string text() {
        static const std::vector<std::string> beginnings{"http://", "https://", "HTTP:\\\\", "http:/", "https:", "http://u:p@h", "http://[::1]", "http://1.2", "//",
        "/", ""};
        static const std::vector<std::string> middles{
            "a", "B", "example.org", "1", "09", "0x7f", "127.1", "[", "]", "[1::2]", ":", ":80", ":443", ":8080", "@", "/", "\\", ".", "..", "%2e", "%2E%2e", "/./",
            "/../", "?", "#",
            "&q=1", "'", "\"", "<", ">", "`", "{", "}", "^", "|", "%", "%41", "%zz", "%0d%0a", "%00", " ", "\t", "\r", "\n", "\0"s, "\x7f", "\x80", "\xc3\xa9", "~"};
        std::string out = pick(beginnings);
        for (auto n = random_() % 8; n > 0; --n) out += random_() % 12 == 0 ? std::string(1, static_cast<char>(random_())) : pick(middles);
        return out;
    }

private:
    const std::string& pick(const std::vector<std::string>& from) { return from[random_() % from.size()]; }

    std::mt19937 random_;
};

}  // namespace

TEST_SUITE("url") {
    static_assert(std::is_nothrow_move_constructible_v<url> && std::is_copy_assignable_v<url>);

    TEST_CASE("the parts of a URL") {
        const url u = url::parse("HTTPS://user:pass@Example.ORG:8443/a/b%20c/?q=1&r#top").value();
        CHECK(u.to_string() == "https://user:pass@example.org:8443/a/b%20c/?q=1&r#top");
        CHECK(u.scheme() == "https");
        CHECK(u.username() == "user");
        CHECK(u.password() == "pass");
        CHECK(u.host() == "example.org");
        CHECK(u.bracketed_host() == "example.org");
        CHECK(u.port() == 8443);
        CHECK(u.has_port());
        CHECK(u.path() == "/a/b%20c/");
        CHECK(u.query().value() == "q=1&r");
        CHECK(u.fragment().value() == "top");
        CHECK(u.target() == "/a/b%20c/?q=1&r");
        CHECK(u.host_header() == "example.org:8443");
        CHECK(u.origin() == "https://example.org:8443");
        CHECK(u.path_segments() == std::vector<std::string_view>{"a", "b%20c", ""});
        check_promises(u);
    }

    TEST_CASE("the parts of a short URL") {
        const url u = url::parse("http://h").value();
        CHECK(u.to_string() == "http://h/");
        CHECK(u.username().empty());
        CHECK(u.password().empty());
        CHECK(u.port() == 80);
        CHECK(!u.has_port());
        CHECK(u.path() == "/");
        CHECK(!u.query());
        CHECK(!u.fragment());
        CHECK(u.target() == "/");
        CHECK(u.host_header() == "h");
        CHECK(u.origin() == "http://h");
        CHECK(u.path_segments() == std::vector<std::string_view>{""});
        check_promises(u);
    }

    TEST_CASE("absent and empty query and fragment differ") {
        struct row {
            const char* text;
            bool query, fragment;
        };
        for (const row& r : {row{"http://h/", false, false}, row{"http://h/?", true, false}, row{"http://h/#", false, true}, row{"http://h/?#", true, true}}) {
            CAPTURE(r.text);
            const url u = url::parse(r.text).value();
            CHECK(u.to_string() == r.text);
            CHECK(u.query().has_value() == r.query);
            CHECK(u.fragment().has_value() == r.fragment);
            CHECK(u.query().value_or("") == "");
            CHECK(u.fragment().value_or("") == "");
            check_promises(u);
        }
        CHECK(url::parse("http://h/??a?#b#c?").value().query() == "?a?");
        CHECK(url::parse("http://h/??a?#b#c?").value().fragment() == "b#c?");
        CHECK(url::parse("http://h?q").value().target() == "/?q");
        CHECK(url::parse("http://h#f").value().target() == "/");
    }

    TEST_CASE("schemes") {
        CHECK(reprinted("hTTp://h/") == "http://h/");
        CHECK(reprinted("httpS://h/") == "https://h/");
        for (const char* text : {"http:h", "http:/h", "http:///h", "http:\\\\h", "http:\\/\\h", "http:////\\//h"}) {
            CAPTURE(text);
            CHECK(reprinted(text) == "http://h/");
        }
        for (const char* text : {"", " ", "h", "/h", "//h/", "?q", "#f", "://h", ":", "1http://h", "ht tp://h", "h%74tp://h", "ftp://h/", "file:///x", "ws://h/",
                                 "wss://h/",
                                 "mailto:a@b", "javascript:x", "data:,x", "httpx://h/", "http+tls://h/", "localhost:80", "http//h"}) {
            CAPTURE(text);
            CHECK(reprinted(text) == "refused");
        }
    }

    TEST_CASE("blanks around a URL, and tabs and line breaks in it, are ignored") {
        CHECK(reprinted(" \t\r\n\x01\x1fhttp://h/a \x1b\n") == "http://h/a");
        CHECK(reprinted("\0http://h/\0"s) == "http://h/");
        CHECK(reprinted("ht\ttp\n:/\r/h\n.o\trg:8\n0\r80/a\t/.\n./b?c\td#e\nf") == "http://h.org:8080/b?cd#ef");
        CHECK(reprinted("http://h/%\n41") == "http://h/%41");
        CHECK(reprinted("http://h/a b") == "http://h/a%20b");
        CHECK(reprinted("http://h/a\x0b\x0c") == "http://h/a");
        CHECK(reprinted("http://h/a\x0b\x0c.") == "http://h/a%0B%0C.");
    }

    TEST_CASE("backslashes are slashes before the query") {
        CHECK(reprinted("http:\\\\h\\a\\..\\b\\?c\\d#e\\f") == "http://h/b/?c\\d#e\\f");
        CHECK(reprinted("http://u\\@h/") == "http://u/@h/");
        CHECK(resolved("http://h/a/b", "\\c") == "http://h/c");
        CHECK(resolved("http://h/a/b", "\\\\g\\c") == "http://g/c");
        CHECK(resolved("http://h/a/b", "/\\g") == "http://g/");
        CHECK(resolved("http://h/a/b", "c\\d") == "http://h/a/c/d");
    }

    TEST_CASE("user and password") {
        struct row {
            const char *text, *href, *user, *password;
        };
        for (const row& r : {row{"http://u@h/", "http://u@h/", "u", ""}, row{"http://u:@h/", "http://u@h/", "u", ""}, row{"http://:p@h/", "http://:p@h/", "", "p"},
                             row{"http://@h/", "http://h/", "", ""}, row{"http://:@h/", "http://h/", "", ""}, row{"http://u:p:q@h/", "http://u:p%3Aq@h/", "u", "p%3Aq"},
                             row{"http://u:p@q@h/", "http://u:p%40q@h/", "u", "p%40q"}, row{"http://u@v:p@h/", "http://u%40v:p@h/", "u%40v", "p"},
                             row{"http://@@h/", "http://%40@h/", "%40", ""}, row{"http://a%3Ab:c%2F%zz@h/", "http://a%3Ab:c%2F%zz@h/", "a%3Ab", "c%2F%zz"},
                             row{"http://a b\"<>`{}^|;=[]:\x7f\xc3\xa9'@h/", "http://a%20b%22%3C%3E%60%7B%7D%5E%7C%3B%3D%5B%5D:%7F%C3%A9'@h/",
                                 "a%20b%22%3C%3E%60%7B%7D%5E%7C%3B%3D%5B%5D", "%7F%C3%A9'"},
                             row{"http://!$&'()*+,-._~:1@h/", "http://!$&'()*+,-._~:1@h/", "!$&'()*+,-._~", "1"}}) {
            CAPTURE(r.text);
            const auto u = url::parse(r.text);
            REQUIRE(u);
            CHECK(u->to_string() == r.href);
            CHECK(u->username() == r.user);
            CHECK(u->password() == r.password);
            CHECK(u->host() == "h");
            check_promises(*u);
        }
        CHECK(reprinted("http://u/@h/") == "http://u/@h/");
        CHECK(reprinted("http://u?@h/") == "http://u/?@h/");
        CHECK(reprinted("http://u#@h/") == "http://u/#@h/");
    }

    TEST_CASE("ports") {
        CHECK(reprinted("http://h:80/") == "http://h/");
        CHECK(reprinted("https://h:443/") == "https://h/");
        CHECK(reprinted("http://h:443/") == "http://h:443/");
        CHECK(reprinted("https://h:80/") == "https://h:80/");
        CHECK(reprinted("http://h:/") == "http://h/");
        CHECK(reprinted("http://h:") == "http://h/");
        CHECK(reprinted("http://h:?q") == "http://h/?q");
        CHECK(reprinted("http://h:00000000000000008080#f") == "http://h:8080/#f");
        CHECK(reprinted("http://h:00080\\x") == "http://h/x");
        CHECK(reprinted("http://h:0/") == "http://h:0/");
        CHECK(reprinted("http://h:65535/") == "http://h:65535/");
        for (const char* text : {"http://h:65536/", "http://h:99999999999999999999/", "http://h:4294967376/", "http://h:-1/", "http://h:+1/", "http://h:8x/",
                                 "http://h:x/", "http://h: 80/",
                                 "http://h:80:80/", "http://h::/", "http://h:%38/", "http://h:\xd9\xa1/"}) {
            CAPTURE(text);
            CHECK(reprinted(text) == "refused");
        }
        CHECK(url::parse("https://h/").value().port() == 443);
        CHECK(url::parse("https://h:444/").value().port() == 444);
        CHECK(url::parse("https://h:444/").value().has_port());
        CHECK(!url::parse("https://h:443/").value().has_port());
    }

    TEST_CASE("names of hosts") {
        struct row {
            const char *text, *host;
        };
        for (const row& r : {row{"EXAMPLE.org", "example.org"}, row{"example.org.", "example.org."}, row{"%65xample%2Eorg", "example.org"}, row{"%45%58", "ex"},
                             row{".", "."},
                             row{"..", ".."}, row{"a..b", "a..b"}, row{"-", "-"}, row{"a_b", "a_b"}, row{"!$&'()*+,-._;=~`{}\"", "!$&'()*+,-._;=~`{}\""},
                             row{"xn--bcher-kva.example", "xn--bcher-kva.example"},
                             row{"1.2.3.4.a", "1.2.3.4.a"}, row{"1a", "1a"}, row{"0xg", "0xg"}, row{"0x.a", "0x.a"}, row{"1..", "1.."}, row{"a%27b", "a'b"}}) {
            CAPTURE(r.text);
            const auto u = url::parse("http://" + std::string{r.text} + "/");
            REQUIRE(u);
            CHECK(u->host() == r.host);
            CHECK(u->bracketed_host() == r.host);
            check_promises(*u);
        }
    }

    TEST_CASE("characters that no host has") {
        for (int c = 0; c < 256; ++c) {
            CAPTURE(c);
            const bool refused = c <= 0x20 || c >= 0x7f || std::string_view{"#%/:<>?@[\\]^|"}.find(static_cast<char>(c)) != std::string_view::npos;
            const std::string encoded = {'%', "0123456789ABCDEF"[c >> 4], "0123456789abcdef"[c & 0xf]};
            CHECK((reprinted("http://a" + encoded + "b/") == "refused") == refused);
            if (std::string_view{"\t\n\r/\\?#@:"}.find(static_cast<char>(c)) != std::string_view::npos) continue;  // these mean something else
            CHECK((reprinted("http://a" + std::string(1, static_cast<char>(c)) + "b/") == "refused") == refused);
        }
        for (const char* text : {"http://", "http:", "https://", "http:///", "http://?q", "http://#f", "http://:80", "http://u@", "http://u:p@/x", "http://@",
                                 "http://:@:80/", "http://%",
                                 "http://a%", "http://a%2", "http://a%zz", "http://a%2541", "http://%25", "http://a[b", "http://a]b", "http://a[:80/",
                                 "http://a@b@[/"}) {
            CAPTURE(text);
            CHECK(reprinted(text) == "refused");
        }
    }

    TEST_CASE("an international name is refused, and said how to be written") {
        for (const char* text : {"http://b\xc3\xbc" "cher.example/", "http://b%C3%BCcher.example/", "http://\xef\xbd\x81.com/", "http://a\x80/", "http://a%ad/"}) {
            CAPTURE(text);
            CHECK(contains(refusal(text), "xn--"));
        }
        CHECK(reprinted("http://XN--bcher-kva.example/") == "http://xn--bcher-kva.example/");
    }

    TEST_CASE("IPv4 addresses in all their forms") {
        struct row {
            const char *text, *host;
        };
        for (const row& r : {row{"127.0.0.1", "127.0.0.1"}, row{"127.1", "127.0.0.1"}, row{"127.0.1", "127.0.0.1"}, row{"2130706433", "127.0.0.1"},
                             row{"0x7f.1", "127.0.0.1"},
                             row{"0X7F000001", "127.0.0.1"}, row{"017700000001", "127.0.0.1"}, row{"0177.0.0.0x1", "127.0.0.1"}, row{"192.0.2.1.", "192.0.2.1"},
                             row{"0", "0.0.0.0"},
                             row{"0x", "0.0.0.0"}, row{"0x.0x.0", "0.0.0.0"}, row{"00", "0.0.0.0"}, row{"256", "0.0.1.0"}, row{"1.256", "1.0.1.0"},
                             row{"1.2.65535", "1.2.255.255"},
                             row{"1.16777215", "1.255.255.255"}, row{"4294967295", "255.255.255.255"}, row{"0xffffffff", "255.255.255.255"},
                             row{"037777777777", "255.255.255.255"},
                             row{"0x00000000000000000000ff", "0.0.0.255"}, row{"%31%32%37.1", "127.0.0.1"}, row{"%30x7f.1", "127.0.0.1"},
                             row{"010.010.010.010", "8.8.8.8"}}) {
            CAPTURE(r.text);
            const auto u = url::parse("http://" + std::string{r.text} + ":81/");
            REQUIRE(u);
            CHECK(u->host() == r.host);
            CHECK(hawser::ip_address::parse(u->host()).has_value());
            check_promises(*u);
        }
        for (const char* text : {"256.1.1.1", "1.2.3.256", "1.2.65536", "1.16777216", "4294967296", "0x100000000", "040000000000", "99999999999999999999999",
                                 "0xffffffffffffffffffff", "0x10000000000000001", "18446744073709551617", "1.2.3.4.5",
                                 "0.0.0.0.0", "09", "1.2.3.08", "1.2.3.09", "08.1", "0x1g.1", "1..2", ".1", "1.2..4", "a.1", "a.b.0x1", "a.09", "foo.0x",
                                 "1.2.3.4.5.", "1.0x1g.2", "256.1"}) {
            CAPTURE(text);
            CHECK(reprinted("http://" + std::string{text} + "/") == "refused");
        }
    }

    TEST_CASE("IPv6 addresses") {
        struct row {
            const char *text, *host;
        };
        for (const row& r : {row{"::", "::"}, row{"::1", "::1"}, row{"2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"}, row{"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
                             row{"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"}, row{"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"}, row{"::192.0.2.1", "::c000:201"},
                             row{"::ffff:192.0.2.1", "::ffff:c000:201"},
                             row{"::ffff:0.0.0.0", "::ffff:0:0"}, row{"::ffff:10.0.0.1", "::ffff:a00:1"}, row{"0:0:0:0:0:FFFF:7F00:0001", "::ffff:7f00:1"},
                             row{"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"}}) {
            CAPTURE(r.text);
            const auto u = url::parse("http://u@[" + std::string{r.text} + "]:8080/x");
            REQUIRE(u);
            CHECK(u->host() == r.host);
            CHECK(u->bracketed_host() == "[" + std::string{r.host} + "]");
            CHECK(u->host_header() == "[" + std::string{r.host} + "]:8080");
            CHECK(u->origin() == "http://[" + std::string{r.host} + "]:8080");
            CHECK(hawser::ip_address::parse(u->host()).has_value());
            check_promises(*u);
        }
        CHECK(reprinted("http://[::1]:80/") == "http://[::1]/");
        CHECK(reprinted("http://[::1]:/") == "http://[::1]/");
        for (const char* text : {"[]", "[", "]", "[:]", "[::1", "::1", "[::1]x", "[::1]]", "[[::1]]", "x[::1]", "[::1]80", "[:::]", "[1:2]", "[1:2:3:4:5:6:7:8:9]",
                                 "[1::2::3]", "[::12345]", "[::g]",
                                 "[::1.2.3]", "[::1.2.3.256]", "[::01.2.3.4]", "[::1.2.3.4.5]", "[::1.2.3.4.]", "[1.2.3.4]", "[::1%25eth0]", "[::1%eth0]",
                                 "[%3A%3A1]", "[::1 ]", "[a]", "[1:2:3:4:5:6:7:1.2.3.4]",
                                 "%5B::1%5D"}) {
            CAPTURE(text);
            CHECK(reprinted("http://" + std::string{text} + "/") == "refused");
        }
    }

    TEST_CASE("dot segments") {
        struct row {
            const char *text, *path;
        };
        for (const row& r : {row{"", "/"}, row{"/", "/"}, row{"/.", "/"}, row{"/./", "/"}, row{"/..", "/"}, row{"/../", "/"}, row{"/../../a", "/a"},
                             row{"/a/..", "/"}, row{"/a/.", "/a/"},
                             row{"/a/./b", "/a/b"}, row{"/a/../b", "/b"}, row{"/a/b/../../c", "/c"}, row{"/a/b/..", "/a/"}, row{"/a/b/../", "/a/"},
                             row{"/a/%2e", "/a/"}, row{"/a/%2E/b", "/a/b"},
                             row{"/a/%2e%2e/b", "/b"}, row{"/a/.%2E/b", "/b"}, row{"/a/%2e./b", "/b"}, row{"/a/%2E%2e", "/"}, row{"/a/...", "/a/..."},
                             row{"/a/.b", "/a/.b"}, row{"/a/..b/../c", "/a/c"},
                             row{"/.a/../b", "/b"}, row{"/a./b", "/a./b"}, row{"/a/%2e%2e%2e", "/a/%2e%2e%2e"}, row{"/a/%2eb", "/a/%2eb"},
                             row{"/a/%252e/b", "/a/%252e/b"}, row{"//", "//"},
                             row{"//..", "/"}, row{"//../a", "/a"}, row{"/a//../b", "/a/b"}, row{"///a", "///a"}, row{"/a//b", "/a//b"}, row{"/a/.//b", "/a//b"},
                             row{"/..//a", "//a"},
                             row{"/a%2F..%2Fb", "/a%2F..%2Fb"}, row{"/.?q/../r", "/"}, row{"/a/..#f/../g", "/"}}) {
            CAPTURE(r.text);
            const auto u = url::parse("http://h" + std::string{r.text});
            REQUIRE(u);
            CHECK(u->path() == r.path);
            check_promises(*u);
        }
    }

    TEST_CASE("what each part encodes") {
        // Every ASCII character that does not end the part, in its place.
        const std::string all = "!\"$%&'()*+,-.09:;<=>@AZ[]^_`az{|}~";
        CHECK(url::parse("http://h/" + all).value().path() == "/!%22$%&'()*+,-.09:;%3C=%3E@AZ[]%5E_%60az%7B|%7D~");
        CHECK(url::parse("http://h/?" + all + "/\\?").value().query() == "!%22$%&%27()*+,-.09:;%3C=%3E@AZ[]^_`az{|}~/\\?");
        CHECK(url::parse("http://h/#" + all + "/\\?#").value().fragment() == "!%22$%&'()*+,-.09:;%3C=%3E@AZ[]^_%60az{|}~/\\?#");
        CHECK(reprinted("http://h/\x01\x1f \x7f\x80\xff?\x01\x1f \x7f\x80\xff#\x01\x1f \x7f\x80\xff") ==
              "http://h/%01%1F%20%7F%80%FF?%01%1F%20%7F%80%FF#%01%1F%20%7F%80%FF");
        CHECK(reprinted("http://h/\xe6\x97\xa5?\xf0\x9f\x98\x80#\xc3\xa9") == "http://h/%E6%97%A5?%F0%9F%98%80#%C3%A9");
        CHECK(reprinted("http://h/a\0b?c\0d#e\0f"s) == "http://h/a%00b?c%00d#e%00f");
        CHECK(reprinted("http://h/%41%zz%2?%41%zz%2#%41%zz%2") == "http://h/%41%zz%2?%41%zz%2#%41%zz%2");
        CHECK(reprinted("http://h/%c3%A9") == "http://h/%c3%A9");
    }

    TEST_CASE("references: the examples of RFC 3986, section 5.4") {
        struct row {
            const char *reference, *href;
        };
        for (const row& r : {row{"g", "http://a/b/c/g"}, row{"./g", "http://a/b/c/g"}, row{"g/", "http://a/b/c/g/"}, row{"/g", "http://a/g"}, row{"//g", "http://g/"},
                             row{"?y", "http://a/b/c/d;p?y"}, row{"g?y", "http://a/b/c/g?y"}, row{"#s", "http://a/b/c/d;p?q#s"}, row{"g#s", "http://a/b/c/g#s"},
                             row{"g?y#s", "http://a/b/c/g?y#s"},
                             row{";x", "http://a/b/c/;x"}, row{"g;x", "http://a/b/c/g;x"}, row{"g;x?y#s", "http://a/b/c/g;x?y#s"}, row{"", "http://a/b/c/d;p?q"},
                             row{".", "http://a/b/c/"},
                             row{"./", "http://a/b/c/"}, row{"..", "http://a/b/"}, row{"../", "http://a/b/"}, row{"../g", "http://a/b/g"}, row{"../..", "http://a/"},
                             row{"../../", "http://a/"},
                             row{"../../g", "http://a/g"}, row{"../../../g", "http://a/g"}, row{"../../../../g", "http://a/g"}, row{"/./g", "http://a/g"},
                             row{"/../g", "http://a/g"},
                             row{"g.", "http://a/b/c/g."}, row{".g", "http://a/b/c/.g"}, row{"g..", "http://a/b/c/g.."}, row{"..g", "http://a/b/c/..g"},
                             row{"./../g", "http://a/b/g"},
                             row{"./g/.", "http://a/b/c/g/"}, row{"g/./h", "http://a/b/c/g/h"}, row{"g/../h", "http://a/b/c/h"},
                             row{"g;x=1/./y", "http://a/b/c/g;x=1/y"}, row{"g;x=1/../y", "http://a/b/c/y"},
                             row{"g?y/./x", "http://a/b/c/g?y/./x"}, row{"g?y/../x", "http://a/b/c/g?y/../x"}, row{"g#s/./x", "http://a/b/c/g#s/./x"},
                             row{"g#s/../x", "http://a/b/c/g#s/../x"},
                             row{"http:g", "http://a/b/c/g"}, row{"g:h", "refused"}}) {
            CAPTURE(r.reference);
            CHECK(resolved("http://a/b/c/d;p?q", r.reference) == r.href);
        }
    }

    TEST_CASE("references: what else there is") {
        const char* base = "https://u:p@h:81/a/b?q#f";
        CHECK(resolved(base, "") == "https://u:p@h:81/a/b?q");
        CHECK(resolved(base, " \n") == "https://u:p@h:81/a/b?q");
        CHECK(resolved(base, "#") == "https://u:p@h:81/a/b?q#");
        CHECK(resolved(base, "#g#") == "https://u:p@h:81/a/b?q#g#");
        CHECK(resolved(base, "?") == "https://u:p@h:81/a/b?");
        CHECK(resolved(base, "?r#") == "https://u:p@h:81/a/b?r#");
        CHECK(resolved(base, "c") == "https://u:p@h:81/a/c");
        CHECK(resolved(base, "/") == "https://u:p@h:81/");
        CHECK(resolved(base, "//g") == "https://g/");
        CHECK(resolved(base, "//v@g:443") == "https://v@g/");
        CHECK(resolved(base, "///g/x") == "https://g/x");
        CHECK(resolved(base, "https:") == "https://u:p@h:81/a/b?q");
        CHECK(resolved(base, "https:c") == "https://u:p@h:81/a/c");
        CHECK(resolved(base, "HTTPS:/c") == "https://u:p@h:81/c");
        CHECK(resolved(base, "https:?r") == "https://u:p@h:81/a/b?r");
        CHECK(resolved(base, "https:#g") == "https://u:p@h:81/a/b?q#g");
        CHECK(resolved(base, "https://g") == "https://g/");
        CHECK(resolved(base, "https:\\\\g") == "https://g/");
        CHECK(resolved(base, "http:c") == "http://c/");   // another scheme: a host
        CHECK(resolved(base, "http:/c") == "http://c/");
        CHECK(resolved(base, "http:///c") == "http://c/");
        CHECK(resolved(base, "..") == "https://u:p@h:81/");
        CHECK(resolved(base, "%2e%2e/x") == "https://u:p@h:81/x");
        CHECK(resolved(base, "./x:y") == "https://u:p@h:81/a/x:y");
        CHECK(resolved(base, "1:y") == "https://u:p@h:81/a/1:y");
        CHECK(resolved(base, ":80") == "https://u:p@h:81/a/:80");
        CHECK(resolved(base, "a$b:c") == "https://u:p@h:81/a/a$b:c");  // no scheme has a dollar sign in it
        CHECK(resolved("http://h/?", "") == "http://h/?");
        CHECK(resolved("http://h/?#f", "#g") == "http://h/?#g");
        CHECK(resolved("http://h/a/", "b") == "http://h/a/b");
        CHECK(resolved("http://h", "b") == "http://h/b");
        CHECK(resolved("http://h//", "../b") == "http://h/b");
        CHECK(resolved("http://[::1]:81/", "x") == "http://[::1]:81/x");
        for (const char* reference : {"mailto:a@b", "ftp://h/", "//", "///", "//?q", "//h:x", "//a b", "https://", "http:", "localhost:80", "//[::1"}) {
            CAPTURE(reference);
            CHECK(resolved(base, reference) == "refused");
        }
        CHECK(url::parse(base).value().resolve("/x").value().port() == 81);
        CHECK(url::parse(base).value().resolve("http:g").value().port() == 80);
    }

    TEST_CASE("what a refusal says, and where") {
        struct row {
            std::string text, where, why;
        };
        for (const row& r :
             {row{"", "at byte 0", "no scheme"}, row{"  x", "at byte 2", "begin with http:// or https://"}, row{"ftp://h/", "at byte 0", "\"ftp\" is not supported"},
             row{"MailTo:x", "at byte 0", "\"mailto\""}, row{"a+b-c.1:x", "at byte 0", "\"a+b-c.1\""},
              row{"http://", "at byte 7", "no host: write http://host/path"}, row{"https:///?q", "at byte 9", "no host: write https://"},
              row{"http://u:p@:80", "at byte 11", "no host"},
              row{"http://a b/", "at byte 8", "space"}, row{"http://u:p@a%20b/", "at byte 12", "space"}, row{"http://a%zz/", "at byte 8", "percent sign"},
              row{"http://a\x01/", "at byte 8", "control character"},
              row{"http://%41%00/", "at byte 10", "control character"}, row{"http://ab<c/", "at byte 9", "none of"}, row{"http://a\xc3\xa9/", "at byte 8", "xn--"},
              row{"http://[::1/", "at byte 7", "brackets"},
              row{"http://[::g]/", "at byte 7", "hexadecimal"}, row{"http://[::1%25lo]/", "at byte 7", "zone"}, row{"http://1.2.3.4.5/", "at byte 7", "four numbers"},
              row{"http://09/", "at byte 7", "octal"},
              row{"http://1.256.0.1/", "at byte 7", "at most 255"}, row{"http://1.2.3.256/", "at byte 7", "too large"},
              row{"http://h:80x/", "at byte 11", "from 0 to 65535"},
              row{"http://h:65536/", "at byte 9", "too large"}, row{"http://u:pa/ss@h/", "at byte 9", "%2F"},
              // Blanks before it and characters that are ignored count.
              row{" \t http://a b", "at byte 11", "space"}, row{"ht\ntp:/\r\n/a\t b/", "at byte 12", "space"}, row{"http://\t\ta\n\n<", "at byte 12", "none of"},
              row{"http://\n\n", "at byte 7", "no host"},
              row{"\nhttp://h:\t8\nx", "at byte 13", "port"}}) {
            CAPTURE(r.text);
            const std::string detail = refusal(r.text);
            CAPTURE(detail);
            CHECK(contains(detail, r.where + ": "));
            CHECK(contains(detail, r.why));
            CHECK(contains(detail, " is no URL that hawser can use: "));
        }
        const auto r = url::parse("http://h/").value().resolve("//a b");
        REQUIRE(!r);
        CHECK(r.error() == hawser::errc::invalid_argument);
        CHECK(r.error().detail().starts_with("\"//a b\""));
        CHECK(contains(r.error().detail(), "at byte 3: "));
    }

    TEST_CASE("a refusal tells no password and no control characters, and is short") {
        for (const char* text : {"http://user:secret@h:x/", "http://user:se@cret@a b/", "http://user:se/cret@h/", "https://user:se#cret@h/", "//user:secret@h/",
                                 "ftp://user:secret@h/"}) {
            CAPTURE(text);
            const std::string detail = refusal(text);
            CHECK(!contains(detail, "secret"));
            CHECK(!contains(detail, "cret@"));
            CHECK(!contains(detail, "\"user"));
            CHECK(contains(detail, "\"...@"));
        }
        for (const std::string& text : {"http://a\x1b[2J\r\nb/" + std::string(1000, 'x'), "x@\x1b\r\n" + std::string(1000, 'x'), std::string(1000, 'x') + ":\n\x1b"}) {
            const std::string detail = refusal(text);
            CAPTURE(detail);
            for (const char c : detail) CHECK(static_cast<unsigned char>(c) >= 0x20);
            CHECK(detail.size() < 400);
        }
    }

    TEST_CASE("the limit") {
        const std::string full = "http://h/" + std::string(url::max_size - 9, 'a');
        REQUIRE(full.size() == url::max_size);
        CHECK(reprinted(full) == full);
        CHECK(url::parse(full + "a").error() == hawser::errc::limit_exceeded);
        CHECK(url::parse(full + " ").error() == hawser::errc::limit_exceeded);
        const auto grown = url::parse(full.substr(0, url::max_size - 1) + "\"");
        CHECK(grown.error() == hawser::errc::limit_exceeded);
        CHECK(contains(grown.error().detail(), "65538 bytes"));
        CHECK(contains(grown.error().detail(), "at most 65536"));
        CHECK(grown.error().detail().size() < 300);

        const url u = url::parse(full).value();
        CHECK(u.resolve("/" + std::string(100, 'b')).has_value());
        CHECK(u.resolve("?b").error() == hawser::errc::limit_exceeded);
        CHECK(u.resolve("#").error() == hawser::errc::limit_exceeded);
        CHECK(u.resolve(full + "a").error() == hawser::errc::limit_exceeded);
        CHECK(u.resolve("").value() == u);
    }

    TEST_CASE("the longest texts take no time") {
        std::string climbing = "http://" + std::string(30000, 'h');
        while (climbing.size() + 3 <= url::max_size) climbing += "/..";
        CHECK(url::parse(climbing).value().path() == "/");
        std::string deep = "http://h";
        while (deep.size() + 2 <= url::max_size) deep += "/a";
        const url many = url::parse(deep).value();
        CHECK(many.path_segments().size() == (deep.size() - 8) / 2);
        std::string mixed = "http://h/" + std::string(20000, 'a');
        while (mixed.size() + 5 <= url::max_size) mixed += "/b/..";
        CHECK(url::parse(mixed).value().path().size() == 20002);
        CHECK(reprinted("http://" + std::string(60000, '@') + "h/") == "refused");  // it grows beyond the limit
        CHECK(reprinted(std::string(url::max_size, '\n')) == "refused");
        CHECK(reprinted("http://" + std::string(60000, '9') + "/") == "refused");
    }

    TEST_CASE("values: copies, moves, equality") {
        url a = url::parse("http://u:p@h:81/x?y#z").value();
        url b = a;
        CHECK(a == b);
        CHECK(b.host().data() != a.host().data());
        const url c = std::move(b);
        CHECK(c == a);
        CHECK(c.host_header() == "h:81");
        b = url::parse("https://g/").value();
        CHECK(a != b);
        a = b;
        CHECK(a.host() == "g");
        CHECK(a == url::parse("HTTPS://G:443").value());
        CHECK(a != url::parse("https://g/#").value());
        CHECK(a != url::parse("https://g/?").value());
        CHECK(url::parse("http://h/%41").value() != url::parse("http://h/A").value());
        CHECK(url::parse("http://h/x").value().to_string() == "http://h/x");
    }

    TEST_CASE("no bytes inject into a request line or a header") {
        std::mt19937 random{20250301};
        int taken = 0;
        for (int i = 0; i < 30000; ++i) {
            // Random bytes in one place, of which CR, LF, NUL and blanks are many.
            std::string bytes;
            for (auto n = 1 + random() % 6; n > 0; --n) bytes += random() % 2 ? "\r\n\0 \t\x0b\x7f:"[random() % 8] : static_cast<char>(random());
            const char* before[] = {"http://", "http://h", "http://h:8", "http://u", "http://h/", "http://h/?", "http://h/#", "http://[::1]", "http:",
            "http://h%0d%0a"};
            std::string text = before[random() % 10] + bytes;
            text += random() % 2 ? "x" : "@h/%0d%0a";
            CAPTURE(text);
            for (const auto& r : {url::parse(text), url::parse("http://h/a?b").value().resolve(text), url::parse("http://h/a?b").value().resolve(bytes)}) {
                if (!r) continue;
                ++taken;
                REQUIRE(is_visible(r->target()));
                REQUIRE(is_visible(r->host_header()));
                REQUIRE(is_visible(r->host()));
                REQUIRE(is_visible(r->origin()));
                REQUIRE(is_visible(r->to_string()));
            }
        }
        CHECK(taken > 10000);
    }

    TEST_CASE("random URLs keep their promises, and parse to themselves") {
        pieces random{7};
        int taken = 0;
        for (int i = 0; i < 30000; ++i) {
            const std::string text = random.text();
            CAPTURE(text);
            const auto u = url::parse(text);
            if (!u) {
                REQUIRE(u.error() == hawser::errc::invalid_argument);
                REQUIRE(contains(u.error().detail(), "at byte "));
                continue;
            }
            ++taken;
            check_promises(*u);
        }
        CHECK(taken > 5000);
    }

    TEST_CASE("random references keep their promises, and need no base once resolved") {
        pieces random{8};
        const url bases[] = {url::parse("http://h/a/b/c?d#e").value(), url::parse("https://u:p@[::1]:81").value(), url::parse("http://1.2.3.4//x//?").value()};
        int taken = 0;
        for (int i = 0; i < 30000; ++i) {
            const std::string reference = random.text();
            CAPTURE(reference);
            const auto r = bases[i % 3].resolve(reference);
            if (!r) continue;
            ++taken;
            check_promises(*r);
            REQUIRE(bases[(i + 1) % 3].resolve(r->to_string()).value() == *r);
        }
        CHECK(taken > 10000);
    }
}

TEST_SUITE("percent-encoding") {
    TEST_CASE("decoding") {
        CHECK(percent_decode("") == "");
        CHECK(percent_decode("a%20b%2Fc%2fd") == "a b/c/d");
        CHECK(percent_decode("%00%ff%C3%A9") == "\0\xff\xc3\xa9"s);
        CHECK(percent_decode("%2541") == "%41");
        CHECK(percent_decode("%%41%%%4%zz%4g%g4%") == "%A%%%4%zz%4g%g4%");
        CHECK(percent_decode("a+b") == "a+b");
        CHECK(percent_decode("\r\n\x80") == "\r\n\x80");
        CHECK(percent_decode(std::string_view{"%41%41", 5}) == "A%4");
    }

    TEST_CASE("encoding, by what the text is for") {
        std::string all;
        for (int c = 0x20; c < 0x7f; ++c) all += static_cast<char>(c);
        const auto replaced = [&](percent_set set) {
            std::string out;
            for (const char c : all) if (percent_encode({&c, 1}, set) != std::string_view{&c, 1}) out += c;
            return out;
        };
        CHECK(replaced(percent_set::fragment) == " \"<>`");
        CHECK(replaced(percent_set::query) == " \"#'<>");
        CHECK(replaced(percent_set::path) == " \"#<>?^`{}");
        CHECK(replaced(percent_set::userinfo) == " \"#/:;<=>?@[\\]^`{|}");
        CHECK(replaced(percent_set::component) == " \"#$%&+,/:;<=>?@[\\]^`{|}");
        for (const percent_set set : {percent_set::fragment, percent_set::query, percent_set::path, percent_set::userinfo, percent_set::component}) {
            CHECK(percent_encode("\0\x1f\x7f\x80\xff"s, set) == "%00%1F%7F%80%FF");
            CHECK(percent_encode("AZaz09-._~!*()", set) == "AZaz09-._~!*()");
        }
        CHECK(percent_encode("a/b c&d=\xc3\xa9") == "a%2Fb%20c%26d%3D%C3%A9");
        CHECK(percent_encode("100%41", percent_set::query) == "100%41");
    }

    TEST_CASE("what is encoded as a component comes back, from any part of a URL") {
        std::mt19937 random{99};
        for (int i = 0; i < 3000; ++i) {
            std::string bytes = "x";  // "." and ".." would be dot segments
            for (auto n = random() % 20; n > 0; --n) bytes += static_cast<char>(random());
            const std::string encoded = percent_encode(bytes);
            REQUIRE(percent_decode(encoded) == bytes);
            const auto u = url::parse("http://" + encoded + ":" + encoded + "@h/a/" + encoded + "/b?" + encoded + "#" + encoded);
            REQUIRE(u);
            REQUIRE(percent_decode(u->username()) == bytes);
            REQUIRE(percent_decode(u->password()) == bytes);
            REQUIRE(u->path_segments().size() == 3);
            REQUIRE(percent_decode(u->path_segments()[1]) == bytes);
            REQUIRE(percent_decode(*u->query()) == bytes);
            REQUIRE(percent_decode(*u->fragment()) == bytes);
        }
    }
}
