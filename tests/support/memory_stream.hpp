#pragma once
// A stream of a user's own, in memory: what it reads and how much it takes is said by the test.

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <hawser/coro/event.hpp>
#include <hawser/coro/task.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/stream/stream.hpp>
#include <hawser/test/fake_backend.hpp>

namespace hawser_test {

/// One direction. Each chunk is given by reads of its own, never joined with the next.
struct memory_pipe {
    std::deque<std::string> chunks;
    bool ended = false;                          ///< after the chunks: the proper end
    std::optional<hawser::error_info> failure;  ///< after the chunks: an error
    std::size_t take_at_most = ~std::size_t{0};  ///< of one write
    std::size_t capacity = ~std::size_t{0};      ///< writes wait while so many chunks are unread
    hawser::event changed;

    void add(std::string chunk) {
        chunks.push_back(std::move(chunk));
        changed.set();
    }
    void end() {
        ended = true;
        changed.set();
    }
    void fail(hawser::error_info why) {
        failure = std::move(why);
        changed.set();
    }
    std::string all() const {
        std::string text;
        for (const std::string& chunk : chunks) text += chunk;
        return text;
    }
};

class memory_stream {
public:
    memory_stream(std::shared_ptr<memory_pipe> in, std::shared_ptr<memory_pipe> out) : in_{std::move(in)}, out_{std::move(out)} {}
    /// Reads these chunks and then the proper end.
    explicit memory_stream(std::deque<std::string> chunks)
        : memory_stream{std::make_shared<memory_pipe>(), std::make_shared<memory_pipe>()} {
        in_->chunks = std::move(chunks);
        in_->ended = true;
    }

    hawser::task<std::size_t> read_some(hawser::mutable_buffer into) { return read_from(in_, into); }
    hawser::task<std::size_t> write(hawser::const_buffer from) { return write_to(out_, from); }
    hawser::task<> shutdown_send() { return end(out_); }

    memory_pipe& in() const noexcept { return *in_; }
    memory_pipe& out() const noexcept { return *out_; }

private:
    static hawser::task<std::size_t> read_from(std::shared_ptr<memory_pipe> pipe, hawser::mutable_buffer into) {
        while (pipe->chunks.empty()) {
            if (pipe->failure) throw hawser::error{*pipe->failure};
            if (pipe->ended) co_return 0;
            pipe->changed.reset();
            co_await pipe->changed.wait();
        }
        std::string& chunk = pipe->chunks.front();
        const std::size_t n = std::min(into.size(), chunk.size());
        std::memcpy(into.data(), chunk.data(), n);
        chunk.erase(0, n);
        if (chunk.empty()) pipe->chunks.pop_front();
        pipe->changed.set();
        co_return n;
    }
    static hawser::task<std::size_t> write_to(std::shared_ptr<memory_pipe> pipe, hawser::const_buffer from) {
        while (pipe->chunks.size() >= pipe->capacity && !pipe->failure) {
            pipe->changed.reset();
            co_await pipe->changed.wait();
        }
        if (pipe->failure) throw hawser::error{*pipe->failure};
        const std::size_t n = std::min(from.size(), pipe->take_at_most);
        if (n) pipe->add(std::string{hawser::as_text(from).substr(0, n)});
        co_return n;
    }
    static hawser::task<> end(std::shared_ptr<memory_pipe> pipe) {
        pipe->end();
        co_return;
    }
    std::shared_ptr<memory_pipe> in_, out_;
};
static_assert(hawser::stream<memory_stream>);

/// Two ends of one line.
inline std::pair<memory_stream, memory_stream> memory_pair() {
    auto there = std::make_shared<memory_pipe>(), back = std::make_shared<memory_pipe>();
    return {memory_stream{back, there}, memory_stream{there, back}};
}

/// Runs `body()`, a task, without a system: time passes when nothing else can happen, and a deadlock ends the process.
template <class F> void run_fake(F&& body) {
    hawser::test::fake_backend io;
    hawser::test::run_on(io, body());
}

/// Lets the others run for so many turns.
inline hawser::task<> turns(int count) {
    for (int i = 0; i < count; ++i) co_await hawser::yield();
}

}  // namespace hawser_test
