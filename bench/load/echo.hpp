#pragma once
// `echo`: each of the active connections has one message on its way; when it is back, the next one goes.

#include <utility>

#include "connection_set.hpp"
#include "slice.hpp"

namespace load {

class echo {
public:
    echo(connection_set& set, std::size_t size, std::size_t active) : set_{set}, message_(size), states_(active) {
        for (std::size_t i = 0; i < size; ++i) message_[i] = static_cast<std::byte>('a' + i % 26);
    }

    std::string run(std::uint64_t nanoseconds) {
        const std::uint64_t warm_up = warm_up_of(nanoseconds);
        return measure(
            set_.server(), [&](figures& to) { go(warm_up, to); }, [&](figures& to) { go(nanoseconds - warm_up, to); });
    }

private:
    struct state {
        std::uint64_t sent = 0;    // when
        std::size_t received = 0;  // of the message
        bool waits = false;
    };

    void go(std::uint64_t nanoseconds, figures& to) {
        const std::uint64_t start = now();
        stop_ = start + nanoseconds;
        to.ended = start;
        for (std::size_t i = 0; i < states_.size(); ++i) {
            if (set_.at(i) == nullptr) continue;
            states_[i].waits = true;
            ++waiting_;
            // Those that were sent to first have answered before the last of many thousand is sent to.
            guarded(i, to, [&] {
                states_[i].sent = now();
                send(i);
            });
            if (i % 64 == 63) poll(to);
        }
        while (waiting_ > 0) {
            if (poll(to) > 0 || now() <= stop_ + patience) continue;
            throw failure{std::to_string(waiting_) + " messages did not come back"};
        }
        if (set_.alive() == 0) throw failure{"all connections failed, the first one: " + to.first_error};
    }

    int poll(figures& to) {
        return set_.poll([&](poller::event at) {
            const std::size_t i = at.on.index();
            guarded(i, to, [&] {
                at.on.proceed(at.events, [&](std::span<const std::byte> bytes) { received(i, bytes, to); });
                if (at.on.ended()) throw broken{"the server closed the connection"};
            });
        });
    }

    void send(std::size_t i) {
        states_[i].received = 0;
        set_.at(i)->write(message_);
    }

    void received(std::size_t i, std::span<const std::byte> bytes, figures& to) {
        if (i >= states_.size() || !states_[i].waits) throw broken{"something came that was not asked for"};
        state& s = states_[i];
        if (bytes.size() > message_.size() - s.received) throw broken{"more came back than was sent"};
        if (std::memcmp(bytes.data(), message_.data() + s.received, bytes.size()) != 0) {
            throw broken{"what came back is not what was sent"};
        }
        s.received += bytes.size();
        if (s.received < message_.size()) return;
        const std::uint64_t t = now();
        ++to.ops;
        to.bytes += message_.size();
        to.latency.add(t - s.sent);
        to.ended = t;
        if (t < stop_) {
            next_ = i;
            s.sent = t;
            return;
        }
        s.waits = false;
        --waiting_;
    }

    /// A connection that breaks is left out from then on.
    template <class Act> void guarded(std::size_t i, figures& to, Act&& act) {
        try {
            next_ = none;
            act();
            // Not from within received(): TLS is in the middle of reading there.
            if (next_ != none) send(next_);
        } catch (const broken& e) {
            to.fails(e.what());
            if (i < states_.size() && std::exchange(states_[i].waits, false)) --waiting_;
            set_.drop(i);
        }
    }

    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    connection_set& set_;
    std::vector<std::byte> message_;
    std::vector<state> states_;
    std::size_t waiting_ = 0, next_ = none;
    std::uint64_t stop_ = 0;
};

}  // namespace load
