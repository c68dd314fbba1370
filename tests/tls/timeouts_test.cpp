// Every read, or every write, of a long transfer under a random short timeout: what arrives is what was sent.
// HAWSER_FULL=1 transfers 1 GiB each way instead of 32 MiB; HAWSER_SEED repeats the choices (not the kernel's timing).

#include <hawser/hawser.hpp>
#include <hawser/test/random.hpp>

#include <openssl/evp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <future>
#include <memory>
#include <random>
#include <thread>

#include "support.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;

namespace {

using choice = hw::test::random;

const std::size_t megabytes = std::getenv("HAWSER_FULL") ? 1024 : 32;
constexpr std::size_t largest = std::size_t{300} << 10;

std::uint64_t seed_of_run() {
    if (const char* given = std::getenv("HAWSER_SEED")) return std::strtoull(given, nullptr, 10);
    return std::random_device{}();
}

/// 1 to `largest`, every order of magnitude as often as the others.
std::size_t some_size(choice& by) { return by.between(1, std::size_t{1} << by.between(1, 18)) + (by.one_in(16) ? largest - (std::size_t{1} << 18) : 0); }

/// Half of them are over at once or nearly so.
hw::duration some_time(choice& by) { return by.one_in(8) ? hw::duration::zero() : hw::duration{std::chrono::microseconds{by.below(by.one_in(2) ? 20 : 400)}}; }

/// The bytes to send: an AES-CTR key stream, of which no part is like another.
class key_stream {
public:
    explicit key_stream(std::uint64_t seed) {
        unsigned char key[16] = {}, zero[16] = {};
        std::memcpy(key, &seed, sizeof seed);
        EVP_EncryptInit_ex(state_.get(), EVP_aes_128_ctr(), nullptr, key, zero);
    }
    void fill(std::span<char> into) {
        std::memset(into.data(), 0, into.size());
        int n = 0;
        auto* bytes = reinterpret_cast<unsigned char*>(into.data());
        EVP_EncryptUpdate(state_.get(), bytes, &n, bytes, static_cast<int>(into.size()));
    }

private:
    std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> state_{EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free};
};

class sha256 {
public:
    sha256() { EVP_DigestInit_ex(state_.get(), EVP_sha256(), nullptr); }
    void add(const void* data, std::size_t n) { EVP_DigestUpdate(state_.get(), data, n); }
    std::string hex() {
        unsigned char digest[32];
        EVP_DigestFinal_ex(state_.get(), digest, nullptr);
        std::string text;
        for (const unsigned char byte : digest) text.append({"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]});
        return text;
    }

private:
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> state_{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

/// How the operations of one side ended.
struct tally {
    std::uint64_t finished = 0, timed_out = 0, in_part = 0, wrong = 0;
};
struct sum {
    std::string digest;
    std::uint64_t size = 0;
    bool operator==(const sum&) const = default;
};

/// What an operation under a timeout gave; an error that is no timeout is thrown.
template <class T> std::optional<T> in_time(hw::result<T> ended, tally& counted, std::size_t& moved) {
    if (ended) return ++counted.finished, std::optional<T>{*std::move(ended)};
    if (ended.error() != errc::timed_out) throw hw::error{ended.error()};
    moved = ended.error().transferred();
    return ++counted.timed_out, std::nullopt;
}

/// Awaits what `make()` gives under a timeout, in one of the ways that a user has.
template <class Make> hw::task<std::optional<hw::await_result_t<std::invoke_result_t<Make&>>>> hurry(choice& by, tally& counted, std::size_t& moved, Make make) {
    using value_type = hw::await_result_t<std::invoke_result_t<Make&>>;
    const hw::duration limit = some_time(by);
    moved = 0;
    switch (by.below(4)) {
        case 0: co_return in_time(co_await hw::as_result(hw::with_timeout(limit, make())), counted, moved);
        case 1: co_return in_time(co_await hw::as_result(hw::with_deadline(hw::reactor::current()->now() + limit, make())), counted, moved);
        case 2: {
            auto raced = co_await hw::when_any(make(), hw::sleep_for(limit));
            auto& ended = std::get<0>(raced.results);
            hw::error_info late{errc::timed_out};
            if (ended && !*ended && ended->error() == errc::cancelled) late = late.with_transferred(ended->error().transferred());
            else if (ended) co_return in_time(*std::move(ended), counted, moved);
            co_return in_time(hw::result<value_type>{late}, counted, moved);
        }
        default: break;
    }
    std::optional<value_type> value;
    try {
        value.emplace(co_await hw::with_timeout(limit, make()));
        ++counted.finished;
    } catch (const hw::error& late) {
        if (late.code() != errc::timed_out) throw;
        moved = late.transferred();
        ++counted.timed_out;
    }
    co_return value;
}

/// Keeps the other end waiting.
hw::task<> pause(choice& by, bool timed) {
    if (by.one_in(timed ? 8 : 2)) co_await hw::sleep_for(std::chrono::microseconds{by.below(600)});
}

/// Reads to the proper end.
hw::task<> receive(hw::any_stream& line, std::uint64_t seed, bool timed, sum& total, tally& counted) {
    choice by{seed};
    sha256 digest;
    std::vector<char> into(largest);
    for (bool ended = false; !ended;) {
        co_await pause(by, timed);
        std::span<const std::byte> got;
        std::size_t moved = 0;
        if (timed && by.one_in(2)) {
            const auto chunk = co_await hurry(by, counted, moved, [&] { return line.read(); });
            if (chunk && *chunk) got = **chunk;
            ended = chunk && !*chunk;
        } else if (timed) {
            const std::span<char> room{into.data(), some_size(by)};
            const auto n = co_await hurry(by, counted, moved, [&] { return line.read_some(room); });
            if (n) got = std::as_bytes(room.first(*n));
            ended = n && *n == 0;
        } else {
            const std::size_t n = co_await line.read_some(std::span<char>{into.data(), some_size(by)});
            got = std::as_bytes(std::span{into.data(), n});
            ended = n == 0;
        }
        if (moved != 0) ++counted.wrong;  // a read that gives no bytes has moved none
        digest.add(got.data(), got.size());
        total.size += got.size();
    }
    total.digest = digest.hex();
}

/// Writes `size` bytes; a write that was cut short goes on with what was not accepted.
hw::task<> send(hw::any_stream& line, std::uint64_t seed, bool timed, std::uint64_t size, sum& total, tally& counted) {
    choice by{seed};
    key_stream source{seed};
    sha256 digest;
    std::vector<char> block(largest);
    while (total.size < size) {
        const std::uint64_t most = size - total.size;
        std::span<char> left{block.data(), static_cast<std::size_t>(std::min<std::uint64_t>(some_size(by), most))};
        source.fill(left);
        digest.add(left.data(), left.size());
        total.size += left.size();
        co_await pause(by, timed);
        if (!timed) {
            co_await line.write(left);
            continue;
        }
        while (!left.empty()) {
            const std::size_t wanted = left.size();
            std::size_t moved = 0;
            std::optional<std::size_t> n;
            if (by.one_in(2)) {
                n = co_await hurry(by, counted, moved, [&] { return line.write(left); });
            } else {
                const std::size_t first = by.below(wanted), second = by.below(wanted - first);
                const auto a = left.first(first), b = left.subspan(first, second), c = left.subspan(first + second);
                n = co_await hurry(by, counted, moved, [&] { return line.write(a, b, c); });
            }
            if (n ? *n != wanted : moved > wanted) ++counted.wrong;
            if (!n && moved != 0) ++counted.in_part;
            left = left.subspan(n ? wanted : std::min(moved, wanted));
        }
        if (by.one_in(16)) {
            const auto flushed = co_await hw::as_result(hw::with_timeout(some_time(by), line.flush()));
            if (!flushed && flushed.error() != errc::timed_out) throw hw::error{flushed.error()};
        }
    }
    total.digest = digest.hex();
}

struct way {
    bool timed_reads = false, timed_writes = false, threads = false;
    const char* version = "tlsv1.3";
    std::uint64_t client_sends = 0, server_sends = 0;
};

/// What one end sent and received, and how its operations ended.
struct end_of_line {
    sum sent, received;
    tally reads, writes;
};

/// Sends `size` bytes while it receives what the other end sends, and closes.
hw::task<> use(hw::tls::stream& line, std::uint64_t seed, const way& how, std::uint64_t size, end_of_line& seen) {
    // Small buffers in the kernel, so that writes have to wait.
    const int small = 64 << 10;
    for (const int which : {SO_SNDBUF, SO_RCVBUF}) ::setsockopt(line.native_handle(), SOL_SOCKET, which, &small, sizeof small);
    choice by{seed};
    auto sending = [&]() -> hw::task<> {
        co_await send(line, seed + 1, how.timed_writes, size, seen.sent, seen.writes);
        if (how.client_sends == 0 || how.server_sends == 0) co_return;  // then close() finds much that is not sent
        const auto half_closed = co_await hw::as_result(hw::with_timeout(some_time(by), line.shutdown_send()));
        if (!half_closed && half_closed.error() != errc::timed_out) throw hw::error{half_closed.error()};
    };
    if (size == 0) co_await line.shutdown_send();
    co_await hw::when_all(sending(), receive(line, seed + 2, how.timed_reads, seen.received, seen.reads));
    const auto closed = co_await hw::as_result(hw::with_timeout(some_time(by), line.close()));
    if (!closed && closed.error() != errc::timed_out) throw hw::error{closed.error()};
}

hw::task<> serve(std::promise<std::string> port, std::uint64_t seed, const way& how, end_of_line& seen) {
    hw::tls::listener door{server_config("server", {.protocols = how.version}), hw::endpoint::loopback(0)};
    port.set_value(std::to_string(door.local_endpoint().port()));
    auto arrived = co_await door.accept();
    auto line = co_await arrived.handshake();
    co_await use(line, seed, how, how.server_sends, seen);
}

hw::task<> visit(std::future<std::string> port, std::uint64_t seed, const way& how, end_of_line& seen) {
    auto line = co_await hw::tls::connect("localhost", port.get(), client_config({}));
    co_await use(line, seed, how, how.client_sends, seen);
}

void exchange(const way& how) {
    const std::uint64_t seed = seed_of_run();
    INFO("HAWSER_SEED=", seed);
    end_of_line client, server;
    std::promise<std::string> port;
    auto known = port.get_future();
    if (how.threads) {
        auto other = std::async(std::launch::async, [&] { hw::run(serve(std::move(port), seed, how, server)); });
        hw::run(visit(std::move(known), seed + 10, how, client));
        other.get();
    } else {
        auto both = [&]() -> hw::task<> {
            co_await hw::when_all(serve(std::move(port), seed, how, server), visit(std::move(known), seed + 10, how, client));
        };
        hw::run(both());
    }
    CHECK(client.sent.size == how.client_sends);
    CHECK(server.sent.size == how.server_sends);
    CHECK(server.received.size == client.sent.size);
    CHECK(client.received.size == server.sent.size);
    CHECK(server.received.digest == client.sent.digest);
    CHECK(client.received.digest == server.sent.digest);

    const auto look = [&](const std::string& what, const tally& by_client, const tally& by_server, bool timed) {
        if (!timed) return;
        const tally all{by_client.finished + by_server.finished, by_client.timed_out + by_server.timed_out,
                        by_client.in_part + by_server.in_part, by_client.wrong + by_server.wrong};
        MESSAGE(all.finished, " ", what, " finished, ", all.timed_out, " timed out, ", all.in_part, " of them in part");
        CHECK(all.finished > 0);
        CHECK(all.timed_out > 0);
        CHECK(all.wrong == 0);
    };
    look("reads", client.reads, server.reads, how.timed_reads);
    look("writes", client.writes, server.writes, how.timed_writes);
    if (how.timed_writes && !how.timed_reads) CHECK(client.writes.in_part + server.writes.in_part > 0);
}

}  // namespace

TEST_CASE("reads under random short timeouts lose nothing") {
    exchange({.timed_reads = true, .server_sends = megabytes << 20});
    exchange({.timed_reads = true, .threads = true, .version = "tlsv1.2", .client_sends = megabytes << 18});
}

TEST_CASE("writes under random short timeouts send what they say, once") {
    exchange({.timed_writes = true, .client_sends = megabytes << 20});
    exchange({.timed_writes = true, .threads = true, .version = "tlsv1.2", .server_sends = megabytes << 18});
}

TEST_CASE("reads and writes of both ends at once, all under random short timeouts") {
    for (const bool threads : {false, true}) {
        exchange({.timed_reads = true, .timed_writes = true, .threads = threads, .client_sends = megabytes << 17, .server_sends = megabytes << 18});
    }
}
