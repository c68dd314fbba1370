// fetch: many pages at once over HTTP and HTTPS. Each worker is a straight-line coroutine; there are --concurrency of them.

#include <CLI/CLI.hpp>
#include <hawser/hawser.hpp>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "http1.hpp"
#include "support.hpp"

namespace hw = hawser;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view user_agent = "hawser-fetch";

struct options {
    std::vector<std::string> urls;
    std::size_t concurrency = 64;
    double timeout = 60;
    std::string ca_file;
    std::map<std::string, hw::ip_address> addresses;  // "host:port" to where it is
    fs::path directory;                               // empty: pages are discarded
    std::string protocols;

    hw::duration page_timeout() const { return hw::to_duration(std::chrono::duration<double>{timeout}); }
};

/// A file that is there as a whole or not at all: written under another name, and renamed at the end.
class output_file {
public:
    output_file(const fs::path& directory, const std::string& name) : final_{directory / name} {
        static unsigned made = 0;
        scratch_ = directory / (".fetch-" + std::to_string(::getpid()) + "-" + std::to_string(++made));
        file_ = descriptor{::open(scratch_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)};
        if (!file_) throw_errno(scratch_.string());
    }
    output_file(const output_file&) = delete;
    output_file& operator=(const output_file&) = delete;
    ~output_file() {
        if (!kept_) ::unlink(scratch_.c_str());
    }
    void write(std::span<const std::byte> bytes) { write_file(file_, bytes); }
    void keep() {
        fs::rename(scratch_, final_);
        kept_ = true;
    }

private:
    fs::path final_, scratch_;
    descriptor file_;
    bool kept_ = false;
};

/// One URL of the list.
struct page {
    std::string url, name;
};

/// Names for the pages' files: the last segment of the path, "index.html" where that is empty, and "name.2" and so on
/// for a name that an earlier page of the list has.
class file_names {
public:
    std::string name_of(const std::string& url) {
        std::string wanted;
        try {
            wanted = http1::parse_url(url).file_name();
        } catch (const http1::error&) {
            return {};  // reported when it is its turn
        }
        if (wanted.empty()) wanted = "index.html";
        if (wanted == "." || wanted == "..") return {};
        std::string name = wanted;
        for (int number = 2; !taken_.insert(name).second; ++number) name = wanted + "." + std::to_string(number);
        return name;
    }

private:
    std::unordered_set<std::string> taken_;
};

/// What the workers share, and what is told about them on stderr.
class session {
public:
    explicit session(const options& of) : settings{of} {
        file_names names;
        bool secure = false;
        for (const std::string& url : of.urls) {
            pages_.push_back({url, names.name_of(url)});
            secure = secure || http1::same(std::string_view{url}.substr(0, 6), "https:");
        }
        // Only made when it is needed: without any certificate authorities on the system, plain http still works.
        if (secure) tls.emplace(hw::tls::client_options{.ca_file = of.ca_file, .protocols = of.protocols});
    }

    const options& settings;
    std::optional<hw::tls::config> tls;

    std::size_t size() const { return pages_.size(); }
    page* next() { return next_ < pages_.size() ? &pages_[next_++] : nullptr; }
    void received(std::size_t n) { bytes_ += n; }
    void succeeded() {
        ++fetched_;
        one_done();
    }
    void failed(const page& which, std::string_view why) {
        ++failed_;
        clear_line();
        std::fprintf(stderr, "fetch: %s: %.*s\n", which.url.c_str(), static_cast<int>(why.size()), why.data());
        one_done();
    }

    bool on_terminal() const { return terminal_; }
    void show_progress() {
        const std::size_t done = fetched_ + failed_;
        std::fprintf(stderr, "%s%zu of %zu pages, %.1f MiB, %.1f s%s", terminal_ ? "\r" : "", done, pages_.size(),
                     static_cast<double>(bytes_) / (1 << 20), seconds_until(hw::clock::now()), terminal_ ? "\033[K" : "\n");
    }
    /// Prints the summary and gives the exit status.
    int end(bool interrupted) {
        clear_line();
        std::fprintf(stderr, "fetched %zu pages, %llu bytes, %.2f s, %zu failed", fetched_, bytes_,
                     seconds_until(interrupted ? hw::clock::now() : last_), failed_);
        if (interrupted) std::fprintf(stderr, ", interrupted with %zu to go", pages_.size() - fetched_ - failed_);
        std::fputc('\n', stderr);
        return interrupted ? 130 : failed_ != 0;
    }

private:
    double seconds_until(hw::time_point then) const { return std::chrono::duration<double>{then - start_}.count(); }
    void clear_line() const {
        if (terminal_) std::fputs("\r\033[K", stderr);
    }
    void one_done() {
        last_ = hw::clock::now();
        // What a terminal shows as one moving line, a log gets at every tenth, too.
        const std::size_t done = fetched_ + failed_;
        if (!terminal_ && size() >= 10 && done * 10 / size() != (done - 1) * 10 / size()) show_progress();
    }

    std::vector<page> pages_;
    std::size_t next_ = 0, fetched_ = 0, failed_ = 0;
    unsigned long long bytes_ = 0;
    const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
    const hw::time_point start_ = hw::clock::now();
    hw::time_point last_ = start_;
};

/// A worker's connection, kept for the next page of the same origin.
struct connection {
    std::string origin;
    hw::buffered<hw::any_stream> line;
};

hw::task<hw::any_stream> connect(const session& all, const http1::url& to) {
    const std::string port = std::to_string(to.port);
    hw::tls::connect_options how;
    if (const auto known = all.settings.addresses.find(to.host + ":" + port); known != all.settings.addresses.end()) {
        how.tcp.address = hw::endpoint{known->second, to.port};
    }
    if (to.secure()) co_return co_await hw::tls::connect(to.host, port, *all.tls, how);
    co_return co_await hw::tcp::connect(to.host, port, how.tcp);
}

/// Why a page was not fetched although there was an answer.
std::string explain(const http1::response& answer) {
    std::string why = "the server answered " + std::to_string(answer.status) + " " + answer.reason;
    if (const std::string* to = answer.head.find("Location")) why += ": it has moved to " + *to + " (redirects are not followed)";
    return why;
}

/// Sends the request and waits for the first byte of the answer. False: the server had closed the connection.
hw::task<bool> ask(hw::buffered<hw::any_stream>& line, const http1::url& of) {
    const std::string request = http1::request_head("GET", of, user_agent);
    auto sent = co_await hw::as_result(line.write(request));
    if (!sent && sent.error() == hw::errc::cancelled) hw::throw_error(sent.error());
    auto first = co_await hw::as_result(line.fill());
    if (!first && first.error() == hw::errc::cancelled) hw::throw_error(first.error());
    co_return sent && first && *first != 0;
}

/// Says goodbye. The pages have come, so it does not matter whether the server hears it.
hw::task<> hang_up(connection& from) {
    const auto closed = co_await hw::as_result(from.line.next_layer().close(500ms));
    if (!closed && closed.error() == hw::errc::cancelled) hw::throw_error(closed.error());
}

hw::task<> fetch(session& all, const page& which, std::optional<connection>& kept) {
    const http1::url of = http1::parse_url(which.url);
    const bool saves = !all.settings.directory.empty();
    if (saves && which.name.empty()) throw http1::error{"the path of this URL names no file"};

    // Taken out until the page is complete: a connection on which anything went wrong is not used again.
    std::optional<connection> link = std::exchange(kept, std::nullopt);
    if (link && link->origin != of.origin()) {
        co_await hang_up(*link);
        link.reset();
    }
    // A server may close a connection that it has kept, at any time; only a fresh one tells what is wrong.
    if (link && !co_await ask(link->line, of)) link.reset();
    if (!link) {
        hw::any_stream made = co_await connect(all, of);  // named: g++ 12 would destroy an aggregate around co_await twice
        link.emplace(connection{of.origin(), hw::buffered{std::move(made)}});
        co_await link->line.write(http1::request_head("GET", of, user_agent));
    }
    const http1::response answer = co_await http1::read_response(link->line, "GET");
    const bool good = answer.status == 200;

    std::optional<output_file> file;
    if (good && saves) file.emplace(all.settings.directory, which.name);
    auto sink = [&](std::span<const std::byte> piece) {
        if (!good) return;
        all.received(piece.size());
        if (file) file->write(piece);
    };
    co_await http1::read_body(link->line, answer.body, sink);
    if (file) file->keep();

    if (answer.keep_alive && link->line.peek().empty()) kept = std::move(link);
    else co_await hang_up(*link);
    if (!good) throw http1::error{explain(answer)};
}

hw::task<> work(session& all) {
    std::optional<connection> kept;
    while (const page* which = all.next()) {
        try {
            co_await hw::with_timeout(all.settings.page_timeout(), fetch(all, *which, kept));
            all.succeeded();
            continue;
        } catch (const hw::error& e) {
            const bool whole_page = e.code() == hw::errc::timed_out && e.doing() == hw::phase::none;
            all.failed(*which, whole_page ? "timed out: the page was not complete in time (see --timeout)" : e.what());
        } catch (const std::exception& e) {
            all.failed(*which, e.what());
        }
    }
    if (kept) co_await hang_up(*kept);
}

hw::task<> show_progress(session& all) {
    for (;;) {
        co_await hw::sleep_for(all.on_terminal() ? 100ms : 1s);
        all.show_progress();
    }
}

hw::task<> everything(session& all) {
    co_await hw::with_scope([&](hw::scope& display) -> hw::task<> {
        display.spawn(show_progress, std::ref(all));
        co_await hw::with_scope([&](hw::scope& workers) {
            const std::size_t count = std::min(all.settings.concurrency, all.size());
            for (std::size_t i = 0; i < count; ++i) workers.spawn(work, std::ref(all));
        });
        display.request_stop();
    });
}

hw::task<int> run(const options& of) {
    session all{of};
    const auto ended = co_await hw::as_result(everything(all));
    if (!ended && !(ended.error() == hw::errc::cancelled)) hw::throw_error(ended.error());
    co_return all.end(!ended);
}

/// curl's --resolve: HOST:PORT:ADDRESS. Throws CLI::ValidationError.
void add_address(options& to, const std::string& text) {
    const auto fail = [&](const std::string& why) { throw CLI::ValidationError{"--resolve", text + ": " + why}; };
    const std::size_t host_end = text.find(':', text.starts_with('[') ? std::min(text.find(']'), text.size()) : 0);
    const std::size_t port_end = host_end == text.npos ? text.npos : text.find(':', host_end + 1);
    if (port_end == text.npos) fail("write HOST:PORT:ADDRESS");
    std::string host = http1::lower(text.substr(0, host_end));
    const std::string port = text.substr(host_end + 1, port_end - host_end - 1);
    std::string address = text.substr(port_end + 1);
    for (std::string* part : {&host, &address}) {
        if (part->starts_with('[') && part->ends_with(']')) *part = part->substr(1, part->size() - 2);
    }
    const auto number = http1::number(port);
    if (host.empty() || !number || *number == 0 || *number > 65535) fail("write HOST:PORT:ADDRESS");
    const auto parsed = hw::ip_address::parse(address);
    if (!parsed) fail(parsed.error().detail());
    to.addresses.insert_or_assign(host + ":" + std::to_string(*number), *parsed);
}

/// A URL per line; blank lines and lines that begin with # do not count.
void read_list(const std::string& name, std::vector<std::string>& into) {
    std::ifstream file;
    if (name != "-") file.open(name);
    std::istream& in = name == "-" ? std::cin : file;
    if (!in) throw CLI::ValidationError{"--input", name + ": " + std::generic_category().message(errno)};
    for (std::string line; std::getline(in, line);) {
        const std::size_t first = line.find_first_not_of(" \t\r");
        if (first == line.npos || line[first] == '#') continue;
        into.push_back(line.substr(first, line.find_last_not_of(" \t\r") - first + 1));
    }
}

}  // namespace

int main(int argc, char** argv) {
    options of;
    std::string input;
    std::vector<std::string> resolve;
    CLI::App app{"Fetches many pages at once over HTTP and HTTPS, and verifies whom it talks to.\n"
                 "Exit status: 0 when every page was fetched, 1 when any failed, 130 after SIGINT or SIGTERM.\n"
                 "Redirects are not followed: they are errors that say where to, as is every status but 200.\n"
                 "SIGQUIT (Ctrl-\\) prints what each task waits for, and it goes on."};
    app.add_option("URL", of.urls, "Pages to fetch");
    app.add_option("--input", input, "A file with a URL per line; - is the standard input")->type_name("FILE");
    app.add_option("--concurrency", of.concurrency, "Pages in progress at once")->check(CLI::Range(1, 100000))->capture_default_str();
    app.add_option("--timeout", of.timeout, "Seconds that a page may take")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--cacert", of.ca_file, "Certificate authorities to trust (PEM) instead of the system's")->type_name("FILE");
    app.add_option("--resolve", resolve, "Use ADDRESS for this host and port; may be repeated")
        ->type_name("HOST:PORT:ADDRESS")->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    app.add_option("--output", of.directory, "Directory for the pages, each named by the last segment of its path (index.html if that "
                   "is empty; NAME.2 and so on for equal ones; files from before are replaced). Without it pages are discarded")->type_name("DIR");
    CLI::Option* tls12 = app.add_flag_callback("--tls12", [&] { of.protocols = "tlsv1.2"; }, "Only TLS 1.2");
    app.add_flag_callback("--tls13", [&] { of.protocols = "tlsv1.3"; }, "Only TLS 1.3")->excludes(tls12);
    app.callback([&] {
        for (const std::string& one : resolve) add_address(of, one);
        if (!input.empty()) read_list(input, of.urls);
        if (of.urls.empty()) throw CLI::RequiredError{"a URL, or --input"};
        std::error_code failed;
        if (!of.directory.empty() && !fs::is_directory(of.directory, failed) && !fs::create_directories(of.directory, failed)) {
            throw CLI::ValidationError{"--output", of.directory.string() + ": " + failed.message()};
        }
    });
    CLI11_PARSE(app, argc, argv);

    raise_descriptor_limit();
    return hw::run_main(with_task_dumps(run(of)));
}
