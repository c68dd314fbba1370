// https_server: the files of a directory over HTTPS. Makes a certificate of its own when it is given none.

#include <linux/openat2.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <CLI/CLI.hpp>
#include <hawser/hawser.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "http1.hpp"
#include "support.hpp"

namespace hw = hawser;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

extern "C" char** environ;

namespace {

constexpr auto head_timeout = 10s;  // from the end of the handshake, or the first byte of a later request
constexpr auto idle_timeout = 60s;  // between two requests
constexpr std::size_t piece_size = std::size_t{64} << 10;
constexpr std::uint64_t unwanted_body_limit = std::uint64_t{64} << 10;

// Files.

/// The directory that is served.
struct site {
    descriptor root;
    bool verbose = false;
};

struct open_file {
    descriptor fd;
    std::uint64_t size = 0;
    std::time_t modified = 0;
    bool is_directory = false;
};

/// The path of a request target as a file name below the root. Throws http1::error: 400 for a bad encoding, 404 for
/// names that begin with a dot, ".." among them.
std::string file_path(std::string_view target) {
    if (!target.starts_with('/')) throw http1::error{"the target is not a path"};
    target = target.substr(0, target.find('?'));
    std::string path = ".";
    for (std::size_t i = 0; i < target.size(); ++i) {
        char c = target[i];
        if (c == '%') {
            const auto code = target.size() - i > 2 ? http1::number(target.substr(i + 1, 2), 16) : std::nullopt;
            if (!code || *code == 0) throw http1::error{"a malformed percent-encoding"};
            c = static_cast<char>(*code);
            i += 2;
        }
        if (c == '.' && path.back() == '/') throw http1::error{"no such file", 404};
        path += c;
    }
    return path;
}

/// Opens what `path` names. The kernel itself refuses to leave the root, by a symbolic link for instance.
open_file open_below(const site& from, const std::string& path) {
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;  // a FIFO must not stop the server
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    open_file opened;
    opened.fd = descriptor{static_cast<int>(::syscall(SYS_openat2, from.root.get(), path.c_str(), &how, sizeof how))};
    if (!opened.fd) {
        switch (errno) {
            case ENOENT: case ENOTDIR: case ENAMETOOLONG: throw http1::error{"no such file", 404};
            case EACCES: case EPERM: case ELOOP: case EXDEV: throw http1::error{"this file may not be read", 403};
            case EMFILE: case ENFILE: throw http1::error{"too many open files", 503};
            default: throw http1::error{std::generic_category().message(errno), 500};
        }
    }
    struct stat about{};
    if (::fstat(opened.fd.get(), &about) != 0) throw http1::error{std::generic_category().message(errno), 500};
    opened.is_directory = S_ISDIR(about.st_mode);
    if (!opened.is_directory && !S_ISREG(about.st_mode)) throw http1::error{"this is no file", 403};
    opened.size = static_cast<std::uint64_t>(about.st_size);
    opened.modified = about.st_mtime;
    return opened;
}

std::string_view content_type(std::string_view path) {
    static constexpr std::pair<std::string_view, std::string_view> known[] = {
        {".html", "text/html; charset=utf-8"}, {".htm", "text/html; charset=utf-8"}, {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"}, {".txt", "text/plain; charset=utf-8"}, {".md", "text/plain; charset=utf-8"},
        {".json", "application/json"}, {".xml", "application/xml"}, {".pdf", "application/pdf"}, {".wasm", "application/wasm"},
        {".svg", "image/svg+xml"}, {".png", "image/png"}, {".jpg", "image/jpeg"}, {".jpeg", "image/jpeg"},
        {".gif", "image/gif"}, {".webp", "image/webp"}, {".ico", "image/x-icon"}, {".woff2", "font/woff2"},
        {".mp3", "audio/mpeg"}, {".mp4", "video/mp4"}, {".gz", "application/gzip"}, {".zip", "application/zip"},
    };
    const std::string name = http1::lower(path);
    for (const auto& [ending, type] : known) if (name.ends_with(ending)) return type;
    return "application/octet-stream";
}

// Requests.

/// An answer: a head, and a text or a file as its body.
struct reply {
    int status = 200;
    std::string more_fields, text;
    std::optional<open_file> file;

    std::uint64_t size() const { return file ? file->size : text.size(); }
};

reply explain(const http1::error& why) {
    reply made;
    made.status = why.status();
    made.more_fields = "Content-Type: text/plain; charset=utf-8\r\n";
    if (made.status == 405) made.more_fields += "Allow: GET, HEAD\r\n";
    made.text = std::to_string(made.status) + " " + http1::reason(made.status) + ": " + why.what() + "\n";
    return made;
}

reply answer(const site& from, const http1::request& asked) {
    if (asked.method != "GET" && asked.method != "HEAD") throw http1::error{"only GET and HEAD", 405};
    std::string path = file_path(asked.target);
    reply made;
    made.file = open_below(from, path);
    if (made.file->is_directory && !path.ends_with('/')) {
        // So that the links of its page are taken as relative to it.
        made.status = 301;
        made.file.reset();
        const std::size_t query = std::min(asked.target.find('?'), asked.target.size());
        made.more_fields = "Location: " + asked.target.substr(0, query) + "/" + asked.target.substr(query) + "\r\n";
        // "//host/" would send the client to another host.
        if (asked.target.starts_with("//")) throw http1::error{"no such file", 404};
        return made;
    }
    if (made.file->is_directory) {
        path += "index.html";
        made.file = open_below(from, path);
        if (made.file->is_directory) throw http1::error{"no such file", 404};
    }
    const std::string modified = http1::date(made.file->modified);
    made.more_fields = "Last-Modified: " + modified + "\r\n";
    if (const std::string* known = asked.head.find("If-Modified-Since"); known && *known == modified) {
        made.status = 304;
        made.file.reset();
        return made;
    }
    made.more_fields.append("Content-Type: ").append(content_type(path)).append("\r\n");
    return made;
}

hw::task<> send(hw::tls::stream& line, const reply& what, bool with_body, bool keep_alive) {
    std::string head = "HTTP/1.1 " + std::to_string(what.status) + " " + http1::reason(what.status) + "\r\n";
    head += "Server: hawser\r\nDate: " + http1::date(std::time(nullptr)) + "\r\n" + what.more_fields;
    if (what.status != 304) head += "Content-Length: " + std::to_string(what.size()) + "\r\n";
    head += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
    if (!with_body || !what.file) {
        co_await line.write(head, with_body ? what.text : std::string_view{});
        co_return;
    }
    // However large the file: one piece of it, and what write() accepts before it waits for the client.
    std::vector<std::byte> piece(static_cast<std::size_t>(std::min<std::uint64_t>(what.size(), piece_size)));
    std::uint64_t left = what.size();
    do {
        const std::span<std::byte> room{piece.data(), static_cast<std::size_t>(std::min<std::uint64_t>(left, piece.size()))};
        const std::size_t n = room.empty() ? 0 : read_file(what.file->fd, room);
        if (n == 0 && left != 0) throw std::runtime_error{"a file became shorter while it was sent"};
        co_await line.write(head, room.first(n));
        head.clear();
        left -= n;
    } while (left != 0);
}

/// Reads the next request. Gives what is wrong with it, if anything, as the answer to it.
hw::task<std::optional<reply>> read_request(hw::buffered<hw::tls::stream&>& in, http1::request& into) {
    try {
        into = co_await hw::with_timeout(head_timeout, http1::read_request(in));
        // What belongs to a request must not be taken for the next one.
        auto drop = [](std::span<const std::byte>) {};
        if (into.head.has("Expect", "100-continue")) into.keep_alive = false;
        else co_await hw::with_timeout(head_timeout, http1::read_body(in, into.body, drop, unwanted_body_limit));
        co_return std::nullopt;
    } catch (const http1::error& wrong) {
        into.keep_alive = false;
        co_return explain(wrong);
    } catch (const hw::error& failed) {
        if (failed.code() != hw::errc::timed_out) throw;
        into.keep_alive = false;
        co_return explain(http1::error{"the request did not come in time", 408});
    }
}

/// One client: request after request, until it has enough.
hw::task<> serve_client(const site& from, hw::tls::stream& line) {
    hw::buffered in{line};
    auto patience = head_timeout;
    for (bool keep_alive = true; keep_alive; patience = idle_timeout) {
        if (in.peek().empty()) {
            const auto more = co_await hw::as_result(hw::with_timeout(patience, in.fill()));
            if (!more && more.error() == hw::errc::timed_out) break;
            if (more.value() == 0) break;
        }
        http1::request asked;
        std::optional<reply> made = co_await read_request(in, asked);
        try {
            if (!made) made = answer(from, asked);
        } catch (const http1::error& wrong) {
            made = explain(wrong);
        }
        keep_alive = asked.keep_alive;
        co_await send(line, *made, asked.method != "HEAD", keep_alive);
        if (from.verbose) {
            std::fprintf(stderr, "%s \"%s %s\" %d %llu\n", line.remote_endpoint().to_string().c_str(), asked.method.c_str(),
                         asked.target.c_str(), made->status, static_cast<unsigned long long>(made->size()));
        }
    }
}

// The certificate.

/// A certificate for this machine alone, in a directory that goes with the object.
class own_certificate {
public:
    own_certificate() {
        std::string name = (fs::temp_directory_path() / "https_server-XXXXXX").string();
        if (!::mkdtemp(name.data())) throw_errno(name);
        directory_ = name;
        try {
            make();
        } catch (...) {
            remove();
            throw;
        }
    }
    own_certificate(const own_certificate&) = delete;
    own_certificate& operator=(const own_certificate&) = delete;
    ~own_certificate() { remove(); }

    std::string cert_file() const { return (directory_ / "cert.pem").string(); }
    std::string key_file() const { return (directory_ / "key.pem").string(); }
    /// Leaves only what clients need, once the key was read.
    void forget_key() { fs::remove(key_file()); }

private:
    void make() {
        const std::string log = (directory_ / "log").string();
        std::vector<std::string> command{
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256", "-days", "30",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1",
            "-keyout", key_file(), "-out", cert_file()};
        std::vector<char*> arguments;
        for (std::string& word : command) arguments.push_back(word.data());
        arguments.push_back(nullptr);

        posix_spawn_file_actions_t streams;
        ::posix_spawn_file_actions_init(&streams);
        ::posix_spawn_file_actions_addopen(&streams, 0, "/dev/null", O_RDONLY, 0);
        ::posix_spawn_file_actions_addopen(&streams, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::posix_spawn_file_actions_adddup2(&streams, 1, 2);
        pid_t child = 0;
        const int failed = ::posix_spawnp(&child, "openssl", &streams, nullptr, arguments.data(), environ);
        ::posix_spawn_file_actions_destroy(&streams);
        int status = 0;
        if (failed == 0) while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        if (failed == ENOENT) {
            throw std::runtime_error{"no certificate can be made: the program openssl is not installed. Install it, or give --cert and --key"};
        }
        if (failed != 0 || status != 0) {
            std::ostringstream said;
            said << std::ifstream{log}.rdbuf();
            throw std::runtime_error{"no certificate can be made (give --cert and --key): openssl req failed: " +
                                     (failed ? std::generic_category().message(failed) : said.str())};
        }
        fs::remove(log);
    }
    void remove() noexcept {
        std::error_code ignored;
        fs::remove_all(directory_, ignored);
    }
    fs::path directory_;
};

// The program.

struct options {
    std::string directory, address, cert_file, key_file;
    std::uint16_t port = 8443;
    unsigned threads = 1;
    double grace = 5;
    bool verbose = false;
};

void log_error(const std::exception_ptr& what, const hw::endpoint& peer) {
    try {
        std::rethrow_exception(what);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s: %s\n", peer.to_string().c_str(), e.what());
    } catch (const hw::cancelled&) {
        std::fprintf(stderr, "%s: stopped\n", peer.to_string().c_str());
    }
}

/// "https://localhost:8443", or with the address that was asked for.
std::string url_of(const options& of, std::uint16_t port) {
    const hw::endpoint at{of.address.empty() ? hw::ip_address::any_v6() : hw::ip_address::parse(of.address).value(), port};
    const bool local = at.address().is_unspecified() || at.address() == hw::ip_address::loopback_v4();
    return "https://" + (local ? "localhost:" + std::to_string(port) : at.to_string());
}

int serve(const options& of) {
    site from;
    from.root = descriptor{::open(of.directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (!from.root) throw_errno(of.directory);
    from.verbose = of.verbose;

    std::optional<own_certificate> own;
    if (of.cert_file.empty()) own.emplace();
    const auto certificate = hw::tls::server_config::from_files(own ? own->cert_file() : of.cert_file, own ? own->key_file() : of.key_file);
    if (own) {
        own->forget_key();
        std::cout << "made a certificate for localhost; clients trust it with --cacert " << own->cert_file() << std::endl;
    }

    const auto host = of.address.empty() ? std::nullopt : std::optional{hw::ip_address::parse(of.address).value()};
    hw::tls::listener_options how;
    if (of.verbose) how.on_error = log_error;
    how.grace = hw::to_duration(std::chrono::duration<double>{of.grace});
    auto handler = [&from](hw::tls::stream& line) { return serve_client(from, line); };

    // Each thread has a listener on the same port; the first one finds out which that is.
    std::once_flag first;
    std::uint16_t port = of.port;
    auto thread = [&]() -> hw::task<> {
        std::optional<hw::tls::listener> door;
        const auto open = [&] { door.emplace(certificate, host ? hw::endpoint{*host, port} : hw::endpoint::any(port), how); };
        std::call_once(first, [&] {
            open();
            port = door->local_endpoint().port();
            std::cout << "listening on " << url_of(of, port) << std::endl;
        });
        if (!door) open();
        co_await door->serve(handler);
    };
    return hw::run_main_on_threads(of.threads, [&] { return with_task_dumps(thread()); });
}

}  // namespace

int main(int argc, char** argv) {
    options of;
    CLI::App app{"Serves the files of a directory over HTTPS (HTTP/1.1: GET and HEAD), index.html for a directory. What begins with a dot,\n"
                 "and what a symbolic link has outside of the directory, is not served. SIGINT or SIGTERM stops it, within --grace: exit status 0.\n"
                 "SIGQUIT (Ctrl-\\) prints what each task waits for, and it goes on."};
    app.add_option("DIR", of.directory, "Directory to serve")->required()->check(CLI::ExistingDirectory);
    app.add_option("--port", of.port, "Port to listen on; 0 takes a free one")->capture_default_str();
    app.add_option("--address", of.address, "Address to listen on, such as 127.0.0.1; all of this machine's if it is not given")
        ->check([](const std::string& text) {
            const auto parsed = hw::ip_address::parse(text);
            return parsed ? std::string{} : parsed.error().detail();
        });
    CLI::Option* cert = app.add_option("--cert", of.cert_file, "Certificate (PEM), the server's own first; without it one for localhost is made "
                                       "with the program openssl, and removed at the end");
    CLI::Option* key = app.add_option("--key", of.key_file, "The key of the certificate (PEM)")->needs(cert);
    cert->needs(key);
    app.add_option("--threads", of.threads, "Threads, each with connections of its own")->check(CLI::Range(1, 1024))->capture_default_str();
    app.add_option("--grace", of.grace, "Seconds that requests in progress have after SIGINT or SIGTERM; then they are cut")
        ->check(CLI::Range(0.0, 86400.0))->capture_default_str();
    app.add_flag("--verbose", of.verbose, "Print each request, and each connection that failed, on stderr");
    CLI11_PARSE(app, argc, argv);

    raise_descriptor_limit();
    try {
        return serve(of);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "https_server: %s\n", e.what());
        return 1;
    }
}
