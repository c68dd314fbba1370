// TLS over test::stream: the library's own engine, unchanged, on a line with faults.

#include <set>

#include <hawser/tls/stream.hpp>

#include "../tls/support.hpp"
#include "support.hpp"

using namespace kit_test;
using hawser_test::both_versions;
using hw::test::faults;

namespace {

struct configs {
    hw::tls::config client;
    hw::tls::server_config server;
};
configs configs_for(const char* version) {
    return {hawser_test::client_config({.protocols = version}), hawser_test::server_config("server", {.protocols = version})};
}

hw::task<hw::tls::stream> client_end(hw::test::stream line, const configs& with) {
    co_return co_await hw::tls::handshake(std::move(line), "localhost", with.client);
}
hw::task<hw::tls::stream> server_end(hw::test::stream line, const configs& with) {
    co_return co_await hw::tls::accept(std::move(line), with.server);
}

/// Both ends of a TLS connection over a new pair.
using tls_pair = std::pair<hw::tls::stream, hw::tls::stream>;
hw::task<tls_pair> connect(std::pair<hw::test::stream, hw::test::stream>& line, const configs& with) {
    auto both = co_await hw::when_all(client_end(std::move(line.first), with), server_end(std::move(line.second), with));
    co_return tls_pair{std::move(std::get<0>(both)), std::move(std::get<1>(both))};
}

hw::task<> echo(hw::any_stream& line) {
    co_await hw::copy(line, line);
    co_await line.close();
}

void converse(hw::test::reactor& r, const configs& with, std::uint64_t seed, std::size_t most) {
    auto line = hw::test::stream_pair(r);
    hw::test::random choice{seed};
    for (faults end : {faults{line.first}, faults{line.second}}) {
        if (choice.one_in(2)) end.delay(std::chrono::milliseconds{choice.below(50)});
        if (choice.one_in(2)) end.jitter(std::chrono::milliseconds{choice.below(50)});
        if (choice.one_in(2)) end.cut(choice.between(1, 2000));
        if (choice.one_in(2)) end.window(choice.between(1, 20'000));
        if (choice.one_in(3)) end.bandwidth(choice.between(50'000, 5'000'000));
    }
    const std::string text = text_of(choice.between(1, most), seed);
    auto task = [&]() -> hw::task<> {
        auto [client, server] = co_await connect(line, with);
        auto got = co_await hw::when_all(read_to_end(client), write_and_end(client, text), echo(server));
        CHECK((std::get<0>(got).text == text));
        CHECK(!std::get<0>(got).failure);
        co_await client.close();
    };
    r.run(task());
}

}  // namespace

TEST_CASE("an echo over TLS, on every kind of line") {
    for (const char* version : both_versions) {
        const configs with = configs_for(version);
        for (const std::uint64_t seed : hw::test::seeds(20)) {
            CAPTURE(version);
            CAPTURE(seed);
            hw::test::reactor r{seed};
            converse(r, with, seed, 60'000);
        }
    }
}

TEST_CASE("a TLS stream that is truncated anywhere is errc::truncated, and gives what came whole") {
    const std::string text = text_of(40'000);
    for (const char* version : both_versions) {
        const configs with = configs_for(version);
        for (const std::uint64_t seed : hw::test::seeds(10)) {
            CAPTURE(version);
            CAPTURE(seed);
            hw::test::reactor r{seed};
            auto line = hw::test::stream_pair(r);
            faults server_line = line.second;
            server_line.delay(1s);
            hw::test::random choice{seed};
            auto task = [&]() -> hw::task<> {
                auto [client, server] = co_await connect(line, with);
                const std::size_t most = choice.below(40'000);
                server_line.truncate_after(most);
                auto got = co_await hw::when_all(read_to_end(client), write_and_end(server, text));
                const reading& at_client = std::get<0>(got);
                CHECK(at_client.failure == errc::truncated);
                CHECK(at_client.text.size() <= most);
                CHECK((at_client.text == text.substr(0, at_client.text.size())));
            };
            r.run(task());
        }
    }
}

TEST_CASE("a TLS stream that is reset says so") {
    const configs with = configs_for("tlsv1.3");
    for (const std::uint64_t seed : hw::test::seeds(10)) {
        hw::test::reactor r{seed};
        auto line = hw::test::stream_pair(r);
        faults server_line = line.second;
        auto task = [&]() -> hw::task<> {
            auto [client, server] = co_await connect(line, with);
            server_line.reset_after(5s);
            const auto got = co_await read_to_end(client);
            CHECK(is_errno(got.failure, ECONNRESET));
            CHECK(r.elapsed() == 5s);
        };
        r.run(task());
    }
}

TEST_CASE("a handshake on a line that falls silent ends at its deadline, on both sides") {
    const configs with = configs_for("tlsv1.3");
    for (const std::size_t bytes : {0u, 1u, 100u, 300u}) {
        hw::test::reactor r{bytes + 1};
        auto [near, far] = hw::test::stream_pair(r);
        near.stall_after(bytes);
        auto client = hw::as_result(client_end(std::move(near), with));
        auto server = hw::as_result(server_end(std::move(far), with));
        const auto ends = r.run(hw::when_all(std::move(client), std::move(server)));
        CHECK(std::get<1>(ends).error() == errc::timed_out);
        CHECK(r.elapsed() == hw::defaults::handshake_timeout);
    }
}

TEST_CASE("with an RSA key, whose signatures have one length, a TLS conversation replays exactly") {
    const hawser_test::temporary_directory made;
    const std::string certificate = made / "rsa.pem", key = made / "rsa.key";
    const std::string command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost -out " +
                                certificate + " -keyout " + key + " 2>/dev/null";
    REQUIRE(std::system(command.c_str()) == 0);
    std::set<std::uint64_t> all;
    for (const char* version : both_versions) {
        const configs with{hw::tls::config{{.ca_file = certificate, .protocols = version}},
                           hw::tls::server_config::from_files(certificate, key, {.protocols = version})};
        for (std::uint64_t seed = 1; seed <= 5; ++seed) {
            CAPTURE(version);
            CAPTURE(seed);
            std::uint64_t prints[2];
            for (std::uint64_t& print : prints) {
                hw::test::reactor r{seed};
                converse(r, with, seed, 5000);
                print = r.fingerprint();
            }
            CHECK(prints[0] == prints[1]);
            all.insert(prints[0]);
        }
    }
    CHECK(all.size() == 10);
}
