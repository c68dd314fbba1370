// libcurl's multi interface, one thread; HTTPS requests. With so many sockets busy curl_multi_poll() costs a little less than
// curl_multi_socket_action() with epoll, where each request takes its socket out of the set and puts it back.

#include <curl/curl.h>

#include <CLI/CLI.hpp>

#include <chrono>
#include <string>
#include <vector>

#include "../support/client_options.hpp"
#include "../support/go.hpp"

namespace {

using std::chrono::steady_clock;

void must(CURLcode code, const char* what) {
    if (code != CURLE_OK) fail(std::string{what} + ": " + ::curl_easy_strerror(code));
}
void must(CURLMcode code, const char* what) {
    if (code != CURLM_OK) fail(std::string{what} + ": " + ::curl_multi_strerror(code));
}
template <class Value> void set(CURL* on, CURLoption option, Value value) { must(::curl_easy_setopt(on, option, value), "curl_easy_setopt"); }
template <class Value> void set(CURLM* on, CURLMoption option, Value value) { must(::curl_multi_setopt(on, option, value), "curl_multi_setopt"); }

/// A handle that makes one request after the other.
struct transfer {
    CURL* easy = nullptr;
    std::size_t received = 0;
    steady_clock::time_point begin;
    char error[CURL_ERROR_SIZE] = "";
};

class client {
public:
    client(const client_options& of, bool no_directory)
        : of_{of}, no_directory_{no_directory}, url_{"https://" + of.host + ":" + std::to_string(of.port) + of.path} {
        must(::curl_global_init(CURL_GLOBAL_DEFAULT), "curl_global_init");
        multi_ = ::curl_multi_init();
        if (!multi_) fail("curl_multi_init failed");
        set(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(of.concurrency));
        address_ = ::curl_slist_append(nullptr, (of.host + ":" + std::to_string(of.port) + ":127.0.0.1").c_str());
        headers_ = ::curl_slist_append(nullptr, "Connection: close");
        if (!address_ || !headers_) fail("curl_slist_append failed");
        transfers_.resize(of.concurrency);
        for (auto& each : transfers_) prepare(each);
    }
    client(const client&) = delete;
    client& operator=(const client&) = delete;
    ~client() {
        for (auto& each : transfers_) ::curl_easy_cleanup(each.easy);
        ::curl_multi_cleanup(multi_);
        ::curl_slist_free_all(headers_);
        ::curl_slist_free_all(address_);
        ::curl_global_cleanup();
    }

    void go(std::size_t count, latencies& took) {
        to_start_ = count;
        running_ = 0;
        for (auto& each : transfers_) start(each);
        for (;;) {
            int running = 0;
            must(::curl_multi_perform(multi_, &running), "curl_multi_perform");
            collect(took);
            if (running_ == 0) return;
            must(::curl_multi_poll(multi_, nullptr, 0, 1000, nullptr), "curl_multi_poll");
        }
    }

private:
    void prepare(transfer& each) {
        each.easy = ::curl_easy_init();
        if (!each.easy) fail("curl_easy_init failed");
        set(each.easy, CURLOPT_PRIVATE, &each);
        set(each.easy, CURLOPT_URL, url_.c_str());
        set(each.easy, CURLOPT_RESOLVE, address_);
        set(each.easy, CURLOPT_IPRESOLVE, long{CURL_IPRESOLVE_V4});
        set(each.easy, CURLOPT_PROXY, "");
        set(each.easy, CURLOPT_NOSIGNAL, 1L);
        set(each.easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
        set(each.easy, CURLOPT_ERRORBUFFER, each.error);
        set(each.easy, CURLOPT_WRITEFUNCTION, &client::receive);
        set(each.easy, CURLOPT_WRITEDATA, &each);
        set(each.easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
        if (!of_.system_trust) {
            if (no_directory_) set(each.easy, CURLOPT_CAPATH, static_cast<const char*>(nullptr));
            set(each.easy, CURLOPT_CAINFO, of_.ca.c_str());
        }
        if (of_.keep_alive) return;
        set(each.easy, CURLOPT_FRESH_CONNECT, 1L);
        set(each.easy, CURLOPT_FORBID_REUSE, 1L);
        set(each.easy, CURLOPT_HTTPHEADER, headers_);
    }

    void start(transfer& each) {
        if (to_start_ == 0) return;
        --to_start_;
        ++running_;
        each.received = 0;
        each.begin = steady_clock::now();
        must(::curl_multi_add_handle(multi_, each.easy), "curl_multi_add_handle");
    }

    /// Takes what is done, and starts as many new ones.
    void collect(latencies& took) {
        int left = 0;
        while (const CURLMsg* const message = ::curl_multi_info_read(multi_, &left)) {
            if (message->msg != CURLMSG_DONE) continue;
            const CURLcode outcome = message->data.result;
            transfer* each = nullptr;
            must(::curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &each), "curl_easy_getinfo");
            if (had_been_closed(*each, outcome)) {
                must(::curl_multi_remove_handle(multi_, each->easy), "curl_multi_remove_handle");
                must(::curl_multi_add_handle(multi_, each->easy), "curl_multi_add_handle");
                continue;
            }
            if (outcome != CURLE_OK) fail(each->error[0] ? each->error : ::curl_easy_strerror(outcome));
            long status = 0;
            must(::curl_easy_getinfo(each->easy, CURLINFO_RESPONSE_CODE, &status), "curl_easy_getinfo");
            if (status != 200) fail("the server answered with status " + std::to_string(status));
            if (each->received != of_.size) fail("the body has " + std::to_string(each->received) + " bytes and not " + std::to_string(of_.size));
            took.add(steady_clock::now() - each->begin);
            must(::curl_multi_remove_handle(multi_, each->easy), "curl_multi_remove_handle");
            --running_;
            start(*each);
        }
    }

    /// Whether it failed on a connection that was kept open and that the server closed meanwhile.
    static bool had_been_closed(const transfer& each, CURLcode outcome) {
        if (outcome != CURLE_SEND_ERROR && outcome != CURLE_RECV_ERROR && outcome != CURLE_GOT_NOTHING) return false;
        long connects = 0;
        must(::curl_easy_getinfo(each.easy, CURLINFO_NUM_CONNECTS, &connects), "curl_easy_getinfo");
        return connects == 0 && each.received == 0;
    }

    static std::size_t receive(char*, std::size_t, std::size_t size, void* by) {
        static_cast<transfer*>(by)->received += size;
        return size;
    }
    const client_options& of_;
    const bool no_directory_;
    const std::string url_;
    CURLM* multi_ = nullptr;
    curl_slist* address_ = nullptr;
    curl_slist* headers_ = nullptr;
    std::vector<transfer> transfers_;
    std::size_t to_start_ = 0, running_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"Makes HTTPS requests with libcurl"};
    bool no_directory = false;
    app.add_flag("--no-capath", no_directory, "Trust nothing but --ca; curl then keeps the authorities that it has parsed");
    const client_options of = parse_client_options(app, argc, argv);
    client with{of, no_directory};
    return run_goes([&](std::size_t count, latencies& took) { with.go(count, took); });
}
