// hawser: a straight-line coroutine for each request, on one thread. Between goes it has nothing else to do, and may wait for
// its input without the reactor; in a process with a second thread each malloc() would take a lock.

#include <CLI/CLI.hpp>
#include <hawser/hawser.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "../support/client_options.hpp"
#include "../support/go.hpp"
#include "../support/http_response.hpp"

namespace hw = hawser;

namespace {

using std::chrono::steady_clock;
using tls_line = hw::buffered<hw::tls::stream>;

hw::tls::config trust(const client_options& of) { return of.system_trust ? hw::tls::config{} : hw::tls::config{{.ca_file = of.ca}}; }

class client {
public:
    explicit client(const client_options& of)
        : of_{of}, service_{std::to_string(of.port)}, request_{of.request()}, trust_{trust(of)}, lines_(of.concurrency) {
        how_.tcp.address = hw::endpoint::loopback(of.port);
    }

    /// A go for each number that comes.
    hw::task<> run() {
        while (const auto count = read_count()) {
            go one{*count};
            left_ = *count;
            const auto requests = of_.keep_alive ? &client::kept_requests : &client::new_requests;
            auto all = [&](hw::scope& s) {
                for (auto& line : lines_) s.spawn(requests, this, std::ref(line), std::ref(one.took));
            };
            co_await hw::with_scope(all);
            one.report();
        }
        lines_.clear();  // while their reactor is there
    }

private:
    hw::operation<hw::tls::stream> connect() { return hw::tls::connect(of_.host, service_, trust_, how_); }

    hw::task<> new_requests(std::optional<tls_line>&, latencies& took) {
        std::string body(of_.size, '\0');
        while (left_ != 0) {
            --left_;
            const auto begin = steady_clock::now();
            tls_line line{co_await connect()};
            co_await exchange(line, body);
            took.add(steady_clock::now() - begin);
            co_await line.close();
        }
    }

    hw::task<> kept_requests(std::optional<tls_line>& line, latencies& took) {
        std::string body(of_.size, '\0');
        while (left_ != 0) {
            --left_;
            const auto begin = steady_clock::now();
            // A connection from before may have been closed by the server; then it is only the connection that failed.
            bool done = false, keeps_open = false;
            if (line) {
                try {
                    keeps_open = co_await exchange(*line, body);
                    done = true;
                } catch (const hw::error&) {
                }
            }
            if (!done) {
                line.emplace(co_await connect());
                keeps_open = co_await exchange(*line, body);
            }
            took.add(steady_clock::now() - begin);
            if (keeps_open) continue;
            co_await line->close();
            line.reset();
        }
    }

    /// Whether the connection stays open.
    hw::task<bool> exchange(tls_line& line, std::string& body) {
        co_await line.write(request_);
        const std::string text = co_await line.read_until("\r\n\r\n");
        const http_head head = parse_http_head(text);
        check_http_head(head, of_.size);
        co_await hw::read_exactly(line, body);
        co_return head.keeps_open;
    }

    const client_options& of_;
    const std::string service_, request_;
    const hw::tls::config trust_;
    hw::tls::connect_options how_;
    std::vector<std::optional<tls_line>> lines_;  // those that are kept open
    std::size_t left_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Makes HTTPS requests with hawser"};
    const client_options of = parse_client_options(app, argc, argv);
    try {
        client with{of};
        hw::run(with.run());
    } catch (const std::exception& e) {
        fail(e.what());
    }
}
