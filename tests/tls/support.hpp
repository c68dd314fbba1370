#pragma once
// Certificates made for this run, and two engines that exchange ciphertext in memory.

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <stdexcept>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <hawser/base/buffer.hpp>
#include <hawser/base/byte_queue.hpp>
#include <hawser/tls/config.hpp>
#include <hawser/tls/engine.hpp>
#include <hawser/tls/peer.hpp>
#include <hawser/tls/server_context.hpp>

#include "../support/doctest.hpp"

#if !defined(HAWSER_SOURCE_ROOT)
#error "HAWSER_SOURCE_ROOT must name the source tree"
#endif

namespace hawser_test {

namespace fs = std::filesystem;
namespace hw = hawser;
using engine = hw::tls::detail::engine;
using status = engine::status;
using hawser::as_text;
using hawser::errc;
using hawser::phase;
using bytes = std::vector<std::byte>;

inline std::ostream& operator<<(std::ostream& to, status s) { return to << "status " << static_cast<int>(s); }

/// A directory that is gone when the test is.
class temporary_directory {
public:
    temporary_directory() {
        std::string name = (fs::temp_directory_path() / "hawser-tls-XXXXXX").string();
        if (!::mkdtemp(name.data())) throw std::runtime_error{"mkdtemp"};
        path_ = name;
    }
    temporary_directory(const temporary_directory&) = delete;
    temporary_directory& operator=(const temporary_directory&) = delete;
    ~temporary_directory() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    std::string operator/(std::string_view name) const { return (path_ / name).string(); }
    std::string path() const { return path_.string(); }
    std::string write(std::string_view name, std::string_view text) const {
        const std::string file = *this / name;
        fs::create_directories(fs::path{file}.parent_path());
        std::ofstream{file, std::ios::binary} << text;
        return file;
    }

private:
    fs::path path_;
};

/// The certificates of scripts/make-certs, made once per process.
inline std::string cert(std::string_view name) {
    static const temporary_directory made;
    static const bool done = [] {
        const std::string command = std::string{HAWSER_SOURCE_ROOT "/scripts/make-certs "} + made.path();
        if (std::system(command.c_str()) != 0) throw std::runtime_error{"scripts/make-certs failed"};
        return true;
    }();
    (void)done;
    return made / name;
}

inline std::string slurp(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream{file, std::ios::binary}.rdbuf();
    return std::move(text).str();
}

inline std::span<const std::byte> view(std::string_view text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }

inline hawser::detail::ref<hw::tls::detail::server_context> context_of(const hw::tls::server_config& settings) {
    return hw::tls::detail::server_context::make(settings).value();
}

/// One end: an engine, what it wants to send, and what came out of it.
struct end {
    hawser::detail::byte_queue out;
    engine line{out};
    std::string got;
    status last = status::starved;
    std::size_t room = 4096;  ///< how much is read at a time

    /// Does what can be done with the input at hand.
    void drive() {
        for (;;) {
            last = line.handshake_complete() ? read() : line.handshake();
            if (last == status::again) continue;
            if (last != status::ok) return;
        }
    }
    /// The same without doctest, for threads of its own; what is read is dropped.
    void drive_quietly() {
        std::byte into[512];
        for (std::size_t n = 0;;) {
            last = line.handshake_complete() ? line.read(into, n) : line.handshake();
            if (last != status::ok && last != status::again) return;
        }
    }
    status read() {
        std::vector<char> into(room);
        std::size_t n = 0;
        const status s = line.read(std::as_writable_bytes(std::span{into}), n);
        CHECK_MESSAGE((n == 0 || s == status::ok), "data came with another status than ok");
        got.append(into.data(), n);
        return s;
    }
    std::size_t write(std::string_view text, std::size_t limit = std::size_t{1} << 30) {
        std::size_t total = 0;
        while (total < text.size()) {
            std::size_t n = 0;
            last = line.write(view(text.substr(total)), n, limit);
            total += n;
            if (last != status::ok || n == 0) break;
        }
        return total;
    }
    bytes take_output() {
        const bytes taken{out.view().begin(), out.view().end()};
        out.clear();
        return taken;
    }
    /// Lends the bytes as a completion does: feed, drive, release.
    void receive(std::span<const std::byte> input) {
        line.feed(input);
        drive();
        line.release_input();
    }
};

struct pair_options {
    hw::tls::client_options client{};
    hw::tls::server_options server{};
    std::string_view protocols{};
    std::string_view certificate = "server";
    const char* name = "localhost";
    bool trust = true;
};

inline hw::tls::config client_config(hw::tls::client_options options, bool trust = true) {
    const std::string ca = cert("ca.pem");
    if (trust && options.ca_file.empty() && options.ca_path.empty() && options.ca_pem.empty() && !options.insecure_no_verify_certificate) {
        options.ca_file = ca;
    }
    return hw::tls::config{options};
}

inline hw::tls::server_config server_config(std::string_view name = "server", const hw::tls::server_options& options = {}) {
    return hw::tls::server_config::from_files(cert(std::string{name} + ".pem"), cert(std::string{name} + ".key"), options);
}

/// A client and a server with a wire between them.
struct line_pair {
    explicit line_pair(pair_options options = {}) {
        options.client.protocols = options.server.protocols = options.protocols;
        client.line.connect(client_config(options.client, options.trust), options.name).value();
        server.line.accept(context_of(server_config(options.certificate, options.server))).value();
    }
    line_pair(const hw::tls::config& c, const hw::tls::server_config& s, const char* name = "localhost") {
        client.line.connect(c, name).value();
        server.line.accept(context_of(s)).value();
    }

    /// Carries ciphertext both ways until nobody has anything to say; `cut` says how long the next piece is at most.
    template <class Cut> void settle(Cut cut) {
        client.drive();
        server.drive();
        while (!client.out.empty() || !server.out.empty()) {
            carry(client, server, cut);
            carry(server, client, cut);
        }
    }
    void settle() {
        settle([] { return ~std::size_t{0}; });
    }
    template <class Cut> static void carry(end& from, end& to, Cut cut) {
        const bytes ciphertext = from.take_output();
        for (std::span<const std::byte> left{ciphertext}; !left.empty();) {
            const std::size_t limit = cut(), n = limit < left.size() ? limit : left.size();
            to.receive(left.first(n));
            left = left.subspan(n);
        }
    }
    static void carry(end& from, end& to) {
        carry(from, to, [] { return ~std::size_t{0}; });
    }
    /// A pair whose handshake is complete.
    line_pair& connected() {
        settle();
        REQUIRE(client.line.handshake_complete());
        REQUIRE(server.line.handshake_complete());
        return *this;
    }

    end client, server;
};

inline const char* const both_versions[] = {"tlsv1.2", "tlsv1.3"};

/// Text whose every part can be told from every other.
inline std::string long_text(std::size_t size) {
    std::string text;
    text.reserve(size);
    std::mt19937 random{12345};
    while (text.size() < size) text.push_back(static_cast<char>(random()));
    return text;
}

/// What an error of building a config or context says; empty if nothing was thrown.
template <class F> std::optional<hawser::error_info> error_of(F f) {
    try {
        f();
    } catch (const hawser::error& e) {
        return e.info();
    }
    return {};
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace hawser_test
