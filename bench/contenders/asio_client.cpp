// Asio and OpenSSL: coroutines over ssl::stream, one thread; HTTPS requests.

#include <CLI/CLI.hpp>

#include <array>
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "../support/client_options.hpp"
#include "../support/go.hpp"
#include "../support/http_response.hpp"
#include "asio_coroutines.hpp"

namespace {

using std::chrono::steady_clock;

class client {
public:
    explicit client(const client_options& of) : of_{of}, request_{of.request()}, lines_(of.concurrency) {
        if (of.system_trust) context_.set_default_verify_paths();
        else context_.load_verify_file(of.ca);
        context_.set_verify_mode(asio::ssl::verify_peer);
        context_.set_verify_callback(asio::ssl::host_name_verification{of.host});
    }

    void go(std::size_t count, latencies& took) {
        left_ = count;
        for (auto& line : lines_) {
            asio::co_spawn(io_, requests(line, took), [](const std::exception_ptr& why) {
                if (why) std::rethrow_exception(why);
            });
        }
        io_.restart();
        io_.run();
    }

private:
    /// As many requests as are left for it, one after the other.
    task<> requests(std::optional<tls_line>& line, latencies& took) {
        while (left_ != 0) {
            --left_;
            const auto begin = steady_clock::now();
            const bool reused = line.has_value();
            if (!reused) co_await connect(line);
            bool keeps_open = false;
            if (!co_await exchange(*line, keeps_open, reused)) {  // the server had closed it
                co_await connect(line);
                co_await exchange(*line, keeps_open, false);
            }
            took.add(steady_clock::now() - begin);
            if (of_.keep_alive && keeps_open) continue;
            asio::error_code ignored;
            co_await line->async_shutdown(asio::redirect_error(await, ignored));
            line.reset();
        }
    }

    task<> connect(std::optional<tls_line>& line) {
        line.emplace(io_, context_);
        asio::error_code failed;
        co_await line->lowest_layer().async_connect({asio::ip::address_v4::loopback(), of_.port}, asio::redirect_error(await, failed));
        if (failed) throw asio::system_error{failed, "connect to port " + std::to_string(of_.port)};
        line->lowest_layer().set_option(tcp::no_delay{true});
        ::SSL_set_tlsext_host_name(line->native_handle(), of_.host.c_str());
        co_await line->async_handshake(asio::ssl::stream_base::client, asio::redirect_error(await, failed));
        if (failed) throw asio::system_error{failed, "handshake"};
    }

    /// False if there was no response at all, and that `may_be_closed`.
    task<bool> exchange(tls_line& line, bool& keeps_open, bool may_be_closed) {
        asio::error_code failed;
        co_await asio::async_write(line, asio::buffer(request_), asio::redirect_error(await, failed));
        std::array<char, 16384> buffer;
        http_response_reader response;
        for (bool began = false, ended = false; !ended; began = true) {
            std::size_t n = 0;
            if (!failed) n = co_await line.async_read_some(asio::buffer(buffer), asio::redirect_error(await, failed));
            if (failed && may_be_closed && !began) co_return false;
            if (failed) throw asio::system_error{failed, "request"};
            ended = response.take({buffer.data(), n}, of_.size);
        }
        keeps_open = response.head().keeps_open;
        co_return true;
    }

    const client_options& of_;
    const std::string request_;
    asio::io_context io_{1};
    asio::ssl::context context_{asio::ssl::context::tls_client};
    std::vector<std::optional<tls_line>> lines_;  // those that are kept open
    std::size_t left_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Makes HTTPS requests with Asio and OpenSSL"};
    const client_options of = parse_client_options(app, argc, argv);
    try {
        client with{of};
        return run_goes([&](std::size_t count, latencies& took) { with.go(count, took); });
    } catch (const std::exception& e) {
        fail(e.what());
    }
}
