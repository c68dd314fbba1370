#pragma once
// `accept`: connect, TLS handshake, an echo of 64 bytes, goodbye from both sides; again and again in each of some slots.

#include "connection_set.hpp"
#include "slice.hpp"

namespace load {

class accept {
public:
    accept(workshop& in, std::uint16_t port, pid_t pid, std::size_t at_once, bool resume)
        : in_{in}, port_{port}, server_{pid}, resume_{resume}, slots_(at_once) {}

    std::string run(std::uint64_t nanoseconds) {
        const std::uint64_t warm_up = warm_up_of(nanoseconds);
        // The warm-up makes one handshake in each slot at least: that is where the first tickets are from.
        return measure(
            server_, [&](figures& to) { go(warm_up, to); }, [&](figures& to) { go(nanoseconds - warm_up, to); });
    }

private:
    static constexpr std::size_t message_size = 64;

    enum class step { connecting, echoing, ending };
    struct slot {
        std::unique_ptr<connection> line;
        std::uint64_t started = 0;
        std::size_t received = 0;
        step at = step::connecting;
        ticket last;  // for the next connection
    };

    void go(std::uint64_t nanoseconds, figures& to) {
        const std::uint64_t start = now();
        stop_ = start + nanoseconds;
        to.ended = start;
        for (std::size_t i = 0; i < slots_.size(); ++i) begin(i, to);
        while (busy_ > 0) {
            if (events_.poll([&](poller::event at) { proceed(at, to); }) > 0 || now() <= stop_ + patience) continue;
            throw failure{std::to_string(busy_) + " connections did not come to their end"};
        }
        if (to.ops == 0 && to.errors > 0) throw failure{"every connection failed, the first one: " + to.first_error};
    }

    void begin(std::size_t i, figures& to) {
        slot& s = slots_[i];
        s.started = now();
        s.received = 0;
        s.at = step::connecting;
        try {
            ::SSL_SESSION* const before = resume_ ? s.last.get() : nullptr;
            s.line = std::make_unique<connection>(in_, events_.fd(), i, host_for(count_++), port_, true, before);
            ++busy_;
        } catch (const broken& e) {
            fails(to, e.what());
        }
    }

    void proceed(poller::event at, figures& to) {
        const std::size_t i = at.on.index();
        slot& s = slots_[i];
        bool ended = false;
        try {
            at.on.proceed(at.events, [&](std::span<const std::byte> bytes) { s.received += bytes.size(); });
            if (s.received > message_size) throw broken{"more came back than was sent"};
            if (s.at == step::connecting && at.on.ready()) {
                s.at = step::echoing;
                at.on.write(std::as_bytes(std::span{message_}));
            } else if (s.at == step::echoing && s.received == message_size) {
                to.latency.add(now() - s.started);
                if (resume_) {
                    if (ticket fresh = at.on.tls()->take_ticket()) s.last = std::move(fresh);
                }
                s.at = step::ending;
                at.on.say_goodbye();
            }
            ended = at.on.ended();
            if (ended && s.at != step::ending) throw broken{"the server closed the connection"};
        } catch (const broken& e) {
            // It has had its echo: how the server ends the connection is its own affair.
            ended = s.at == step::ending;
            if (!ended) {
                s.line.reset();
                --busy_;
                fails(to, e.what());
            }
        }
        if (ended) {
            ++to.ops;
            to.bytes += message_size;
            to.resumed += at.on.tls()->resumed();
            s.line.reset();
            --busy_;
            to.ended = now();
        }
        if (!s.line && now() < stop_) begin(i, to);
    }

    void fails(figures& to, const std::string& why) const {
        to.fails(why);
        if (to.errors > to.ops + 100) throw failure{"nearly every connection fails, the first one: " + to.first_error};
    }

    workshop& in_;
    std::uint16_t port_;
    server_process server_;
    bool resume_;
    poller events_;
    std::vector<slot> slots_;
    std::size_t busy_ = 0, count_ = 0;
    std::uint64_t stop_ = 0;
    char message_[message_size] = "connect, handshake, an echo of this message, goodbye, once more";
};

}  // namespace load
