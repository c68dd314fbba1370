// Where certificate authorities are looked for, in which order, and what is said when there are none.

#include "support.hpp"

using namespace hawser_test;
using hw::tls::detail::find_trust;
using hw::tls::detail::is_hashed_directory;
using hw::tls::detail::trust_location;

namespace {

struct places {
    temporary_directory root;
    std::string hashed = (root.write("hashed/5ed36f99.0", "x"), root / "hashed");
    std::string plain = (root.write("plain/some-ca.pem", "x"), root / "plain");
    std::string missing = root / "missing";
    std::string bundle = root.write("bundle.pem", "x");
    std::string other = root.write("other.pem", "x");
};

}  // namespace

TEST_CASE("a directory is hashed if one file in it is named by a hash") {
    const temporary_directory root;
    const auto hashed = [&](std::string_view name) {
        static int count = 0;
        const std::string directory = "d" + std::to_string(++count);
        root.write(directory + "/README", "");
        root.write(directory + "/" + std::string{name}, "");
        return is_hashed_directory((root / directory).c_str());
    };
    CHECK(hashed("00000000.0"));
    CHECK(hashed("abcdef09.7"));
    for (const char* name : {"abcdef0.0", "abcdef091.0", "ABCDEF09.0", "abcdef09", "abcdef09.", "abcdef09.r0", "abcdef09.0.pem", "abcdefg9.0", "x"}) {
        CAPTURE(std::string{name});
        CHECK(!hashed(name));
    }
    CHECK(!is_hashed_directory((root / "missing").c_str()));
    CHECK(!is_hashed_directory(root.write("file", "").c_str()));
}

TEST_CASE("a hashed directory is preferred to a bundle, the first one wins") {
    const places p;
    const char* const directories[] = {p.missing.c_str(), p.plain.c_str(), p.hashed.c_str()};
    const char* const bundles[] = {p.bundle.c_str()};
    const trust_location found = find_trust({nullptr, nullptr, directories, bundles}).value();
    CHECK(found.directory == p.hashed);
    CHECK(found.bundle.empty());
    CHECK(!found.costly);
}

TEST_CASE("without one, the first readable bundle, which is costly") {
    const places p;
    const char* const directories[] = {p.missing.c_str(), p.plain.c_str()};
    const char* const bundles[] = {nullptr, "", p.missing.c_str(), p.bundle.c_str(), p.other.c_str()};
    const trust_location found = find_trust({"", "", directories, bundles}).value();
    CHECK(found.directory.empty());
    CHECK(found.bundle == p.bundle);
    CHECK(found.costly);
}

TEST_CASE("nothing found is an error that lists what was tried") {
    const places p;
    const char* const directories[] = {p.missing.c_str(), p.plain.c_str()};
    const std::string gone = p.missing + ".pem";
    const char* const bundles[] = {gone.c_str()};
    const auto found = find_trust({nullptr, nullptr, directories, bundles});
    REQUIRE(!found);
    CHECK(found.error() == errc::no_trust);
    const std::string message = found.error().message();
    for (const std::string& part : {p.missing, p.plain, gone, std::string{"SSL_CERT_FILE"}, std::string{"ca_file"}}) CHECK(contains(message, part));
}

TEST_CASE("SSL_CERT_FILE comes first, then SSL_CERT_DIR") {
    const places p;
    const char* const directories[] = {p.hashed.c_str()};
    const char* const bundles[] = {p.other.c_str()};
    const trust_location both = find_trust({p.bundle.c_str(), p.hashed.c_str(), directories, bundles}).value();
    CHECK(both.bundle == p.bundle);
    CHECK(both.directory.empty());
    CHECK(!both.costly);  // asked for
    const temporary_directory mine;
    mine.write("0123abcd.0", "x");
    CHECK(find_trust({"", mine.path().c_str(), directories, bundles}).value().directory == mine.path());
    const std::string list = p.missing + ":" + p.plain + ":" + mine.path();
    CHECK(find_trust({nullptr, list.c_str(), directories, bundles}).value().directory == list);
}

TEST_CASE("a variable that leads nowhere is an error, not a reason to trust somebody else") {
    const places p;
    const char* const directories[] = {p.hashed.c_str()};
    const char* const bundles[] = {p.bundle.c_str()};
    const auto file = find_trust({p.missing.c_str(), nullptr, directories, bundles});
    REQUIRE(!file);
    CHECK(file.error().code() == std::error_code{ENOENT, std::system_category()});
    CHECK(contains(file.error().message(), "SSL_CERT_FILE"));
    CHECK(contains(file.error().message(), p.missing));
    for (const std::string& directory : {p.missing, p.plain, p.missing + ":" + p.plain, std::string{":"}}) {
        const auto listed = find_trust({nullptr, directory.c_str(), directories, bundles});
        REQUIRE(!listed);
        CHECK(listed.error() == errc::no_trust);
        CHECK(contains(listed.error().message(), "SSL_CERT_DIR"));
        CHECK(contains(listed.error().message(), directory));
    }
}

TEST_CASE("the environment is heard") {
    const places p;
    ::setenv("SSL_CERT_FILE", p.bundle.c_str(), 1);
    CHECK(hw::tls::detail::find_system_trust().value().bundle == p.bundle);
    ::unsetenv("SSL_CERT_FILE");
    ::setenv("SSL_CERT_DIR", p.hashed.c_str(), 1);
    CHECK(hw::tls::detail::find_system_trust().value().directory == p.hashed);
    ::unsetenv("SSL_CERT_DIR");
}
