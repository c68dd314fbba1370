#pragma once
// `bulk`: every connection asks for a transfer, and throws away what comes without decrypting it, so that the server is what
// is slow.

#include "../support/server_options.hpp"
#include "connection_set.hpp"
#include "slice.hpp"

namespace load {

class bulk {
public:
    bulk(connection_set& set, std::uint64_t size, std::uint32_t block, bool both_ways)
        : set_{set},
          size_{both_ways ? size / block * block : size},
          block_{block},
          both_ways_{both_ways},
          states_(set.size()),
          chunk_(64 * 1024) {}

    std::string run() {
        // A tenth, and at most 4 MiB: for the caches, and for TCP to find out how much it may send.
        const std::uint64_t tenth = std::min(size_ / 10, std::uint64_t{4} << 20) / block_ * block_;
        const std::uint64_t warm_up = tenth != 0 ? tenth : std::min<std::uint64_t>(size_, block_);
        const auto begin = [&](figures& to) {
            // Tickets are read while that is still possible. Then nothing is to come but what is asked for.
            poll(to);
            for (std::size_t i = 0; i < set_.size(); ++i) {
                if (set_.at(i) != nullptr) set_.at(i)->become_deaf();
            }
            go(warm_up, to);
        };
        return measure(set_.server(), begin, [&](figures& to) { go(size_, to); });
    }

private:
    struct state {
        std::uint64_t to_come = 0;  // at least, as it is on the wire
        std::uint64_t to_send = 0;  // plaintext
    };

    static constexpr std::uint64_t longest = 50 * second, quiet = 200 * microsecond;

    void go(std::uint64_t size, figures& to) {
        const bulk_request request{size, block_, both_ways_ ? 1u : 0u};
        const std::uint64_t start = last_ = now();
        for (std::size_t i = 0; i < states_.size(); ++i) {
            if (set_.at(i) == nullptr) continue;
            states_[i] = {on_the_wire(size), both_ways_ ? size : 0};
            ++unfinished_;
            guarded(i, to, [&] { set_.at(i)->write(std::as_bytes(std::span{&request, 1})); });
        }
        // After the least that had to come there may be more, if the server made more records.
        for (std::uint64_t t = start; unfinished_ > 0 || t - last_ < quiet; t = now()) {
            if (t - last_ > patience) throw failure{std::to_string(unfinished_) + " transfers do not go on"};
            if (t - start > longest) throw failure{std::to_string(unfinished_) + " transfers take too long"};
            poll(to);
            if (both_ways_) send_more(to);
        }
        to.ended = last_;
        const std::uint64_t alive = set_.alive();
        if (alive == 0) throw failure{"all connections failed, the first one: " + to.first_error};
        to.bytes = alive * size;
        to.ops = alive * ((size + block_ - 1) / block_);
    }

    void poll(figures& to) {
        const int n = set_.poll([&](poller::event at) {
            const std::size_t i = at.on.index();
            guarded(i, to, [&] {
                at.on.proceed(at.events, [](auto) {}, [&](std::size_t bytes) {
                    std::uint64_t& left = states_[i].to_come;
                    if (left == 0) return;
                    left -= std::min<std::uint64_t>(left, bytes);
                    if (left == 0) --unfinished_;
                });
                if (at.on.ended()) throw broken{"the server closed the connection"};
            });
        });
        if (n > 0) last_ = now();
    }

    void send_more(figures& to) {
        for (std::size_t i = 0; i < states_.size(); ++i) {
            std::uint64_t& left = states_[i].to_send;
            if (left == 0 || set_.at(i)->has_unsent()) continue;
            const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, chunk_.size()));
            left -= n;
            guarded(i, to, [&] { set_.at(i)->write(std::span{chunk_}.first(n)); });
        }
    }

    /// A connection that breaks is left out from then on.
    template <class Act> void guarded(std::size_t i, figures& to, Act&& act) {
        try {
            act();
        } catch (const broken& e) {
            to.fails(e.what());
            if (states_[i].to_come != 0) --unfinished_;
            states_[i] = {};
            set_.drop(i);
        }
    }

    /// What so many bytes are on the wire in as few records as possible. Servers may take more of them.
    std::uint64_t on_the_wire(std::uint64_t bytes) const {
        constexpr std::uint64_t record = 16384, around = 5 + 1 + 16;
        return set_.tls() ? bytes + (bytes + record - 1) / record * around : bytes;
    }

    connection_set& set_;
    std::uint64_t size_;
    std::uint32_t block_;
    bool both_ways_;
    std::vector<state> states_;
    std::vector<std::byte> chunk_;  // what is sent when both ways are used
    std::size_t unfinished_ = 0;
    std::uint64_t last_ = 0;  // when something happened last
};

}  // namespace load
