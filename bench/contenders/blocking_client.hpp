#pragma once
// A crew of threads that make requests, one at a time each: what the blocking clients have in common, whatever their TLS.

#include <array>
#include <condition_variable>
#include <csignal>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "../support/client_options.hpp"
#include "../support/go.hpp"
#include "../support/http_response.hpp"
#include "blocking_threads.hpp"
#include "sockets.hpp"

namespace blocking {

inline int connect_to(std::uint16_t port) {
    const int fd = sockets::open_socket();
    const sockaddr_in there = sockets::loopback(port);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&there), sizeof there) != 0) sockets::die("connect");
    return fd;
}

/// `Line` is a TLS connection; `open()` makes one, or ends the program.
template <class Line> class crew {
public:
    using open_line = std::unique_ptr<Line> (*)(const client_options&, void* context);

    crew(const client_options& of, open_line open, void* context)
        : of_{of}, request_{of.request()}, open_{open}, context_{context} {
        std::signal(SIGPIPE, SIG_IGN);
        use_small_stacks();
        for (std::size_t i = 0; i < of_.concurrency; ++i) threads_.emplace_back([this] { work(); });
    }
    crew(const crew&) = delete;
    crew& operator=(const crew&) = delete;
    ~crew() {
        start(nullptr, 0);
        for (std::thread& one : threads_) one.join();
    }

    void run(std::size_t count, latencies& took) {
        start(&took, count);
        std::unique_lock held{lock_};
        changed_.wait(held, [&] { return working_ == 0; });
    }

private:
    using clock = std::chrono::steady_clock;

    void start(latencies* took, std::size_t count) {
        const std::lock_guard held{lock_};
        took_ = took;
        left_ = count;
        working_ = threads_.size();
        ++goes_;
        started_.notify_all();
    }

    void work() {
        std::unique_ptr<Line> line;  // kept open from one request to the next
        for (std::size_t seen = 0;;) {
            std::unique_lock held{lock_};
            started_.wait(held, [&] { return goes_ != seen; });
            seen = goes_;
            if (!took_) return;
            while (left_ != 0) {
                --left_;
                held.unlock();
                try {
                    request(line);
                } catch (const std::exception& e) {
                    fail(e.what());
                }
                held.lock();
            }
            if (--working_ == 0) changed_.notify_one();
        }
    }

    void request(std::unique_ptr<Line>& line) {
        const auto since = clock::now();
        bool heard = false;
        const bool reused = line != nullptr;
        if (!reused) line = open_(of_, context_);
        http_response_reader response;
        if (!ask(*line, response, heard)) {
            // The server may have closed it since the last response.
            const bool again = reused && !heard;
            if (again) line = open_(of_, context_);
            if (!again || !ask(*line, response, heard)) {
                const std::string why = line->error();
                fail(why.empty() ? "the server closed the connection before the end of its response" : why);
            }
        }
        took_->add(clock::now() - since);
        if (!of_.keep_alive || !response.head().keeps_open) line.reset();
    }

    /// False if the connection ended before the response did.
    bool ask(Line& line, http_response_reader& response, bool& heard) {
        if (!line.write(std::as_bytes(std::span{request_}))) return false;
        std::array<std::byte, 16384> buffer;
        while (const std::size_t n = line.read(buffer)) {
            heard = true;
            if (response.take({reinterpret_cast<const char*>(buffer.data()), n}, of_.size)) return true;
        }
        return false;
    }

    const client_options& of_;
    const std::string request_;
    const open_line open_;
    void* const context_;
    std::mutex lock_;
    std::condition_variable started_, changed_;
    latencies* took_ = nullptr;  // of this go; none: end
    std::size_t left_ = 0;       // requests that nobody has begun
    std::size_t working_ = 0;    // threads that have not finished this go
    std::size_t goes_ = 0;
    std::vector<std::thread> threads_;
};

}  // namespace blocking
