#pragma once
// One end of a simulated connection: what has come to it, and what it has sent that is still on its way.

#include <cerrno>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include <hawser/base/byte_queue.hpp>
#include <hawser/base/clock.hpp>
#include <hawser/reactor/op.hpp>
#include <hawser/test/random.hpp>

namespace hawser::test {

/// No limit, for the faults that take one.
inline constexpr std::uint64_t unlimited = ~std::uint64_t{0};

}  // namespace hawser::test

namespace hawser::detail {

/// A socket as Linux has it: bytes in order, an end (FIN) after them, a reset (RST) that is reported once. The times and
/// faults are those of what this end sends.
class simulated_socket {
public:
    simulated_socket(const time_point& now, test::random& random, int fd, std::string name)
        : fd_{fd}, name_{std::move(name)}, now_{&now}, random_{&random} {}
    simulated_socket(const simulated_socket&) = delete;
    simulated_socket& operator=(const simulated_socket&) = delete;

    void connect_to(simulated_socket& other) noexcept { peer_ = &other; }
    /// The simulation has ended: faults that are set from now on do nothing.
    void detach() noexcept { now_ = nullptr; }
    bool attached() const noexcept { return now_ != nullptr; }
    time_point now() const noexcept { return now_ ? *now_ : time_point{}; }
    int fd() const noexcept { return fd_; }
    const std::string& name() const noexcept { return name_; }

    // Faults. Positions are counts of bytes that this end has sent.
    duration delay{}, jitter{};
    std::uint64_t max_piece = test::unlimited;
    std::uint64_t window = std::uint64_t{64} << 10;

    void set_bandwidth(std::uint64_t bytes_per_second) noexcept {
        if (!attached()) return;
        pace_began_ = busy_until();
        bandwidth_ = bytes_per_second;
        paced_ = 0;
    }
    void truncate_after(std::uint64_t n) { truncate_at_ = position(n), act_on_position(); }
    void reset_after(std::uint64_t n) { reset_at_ = position(n), act_on_position(); }
    void stall_after(std::uint64_t n) { stall_at_ = position(n), act_on_position(); }
    void truncate_at(time_point t) noexcept { truncate_time_ = t; }
    void reset_at(time_point t) noexcept { reset_time_ = t; }
    void resume() {
        if (!attached()) return;
        stalled_ = false;
        stall_at_ = test::unlimited;
        while (!held_.empty()) {
            fly(std::move(held_.front()));
            held_.pop_front();
        }
    }

    // What the system calls see.

    /// How much can be sent now.
    std::uint64_t room() const noexcept {
        if (vanishing_) return test::unlimited;
        return unreceived_ < window ? window - unreceived_ : 0;
    }
    /// Takes bytes to send, at most room(); fewer where a reset comes in between.
    std::size_t send(std::span<const std::byte> bytes) {
        std::size_t done = 0;
        while (done < bytes.size() && !reset_) {
            std::uint64_t n = bytes.size() - done;
            for (const std::uint64_t at : {truncate_at_, reset_at_, stall_at_}) if (at - sent_ < n) n = at - sent_;
            const auto part = bytes.subspan(done, static_cast<std::size_t>(n));
            put({parcel::bytes, {}, {part.begin(), part.end()}});
            sent_ += n;
            done += part.size();
            act_on_position();
        }
        return done;
    }
    void shut_down() {
        if (shut_ || reset_) return;
        shut_ = true;
        put({parcel::end, {}, {}});
    }
    /// `loses`: whether a reset overtakes what was sent before. `cut`: there is a reset in any case.
    void close(bool loses, bool cut) {
        closed_ = true;
        if (reset_) return;
        if (inbox_.empty() && !cut) return shut_down();
        consume(inbox_.size());
        if (loses && !vanishing_) flying_.clear(), held_.clear();
        put({parcel::reset, {}, {}});
        reset_ = true;
    }
    bool closed() const noexcept { return closed_; }
    /// 0 while sending works; else what send(2) reports, once where it is the news of a reset.
    bool refuses_to_send() const noexcept { return shut_ || reset_; }
    int take_send_error() noexcept { return error_ ? take_error() : EPIPE; }

    std::size_t received() const noexcept { return inbox_.size(); }
    const std::byte* data() const noexcept { return inbox_.view().data(); }
    void consume(std::size_t n) noexcept {
        inbox_.consume(n);
        peer_->unreceived_ -= n;
    }
    /// Whether recv(2) would report the end or an error, once everything received was taken.
    bool receiving_ended() const noexcept { return ended_ || reset_; }
    /// 0 for the end.
    int take_receive_error() noexcept { return ended_ ? 0 : take_error(); }
    /// The largest piece that the sender lets through at once.
    std::uint64_t receives_at_most() const noexcept { return peer_->max_piece; }

    // Time.

    /// When something of this end happens next by itself.
    time_point next_event() const noexcept {
        if ((closed_ || reset_) && (peer_->closed_ || peer_->reset_)) return time_point::max();
        time_point next = reset_time_ < truncate_time_ ? reset_time_ : truncate_time_;
        if (!flying_.empty() && flying_.front().arrives < next) next = flying_.front().arrives;
        return next;
    }
    /// Lets happen what is due.
    void advance() {
        if (truncate_time_ <= *now_) {
            truncate_time_ = time_point::max();
            truncate();
        }
        while (!flying_.empty() && flying_.front().arrives <= *now_) {
            const parcel came = std::move(flying_.front());
            flying_.pop_front();
            peer_->arrive(came);
        }
        if (reset_time_ <= *now_) {
            reset_time_ = time_point::max();
            fail();
            peer_->fail();
        }
    }

    /// For the report of a deadlock; empty if there is nothing to say.
    std::string describe() const {
        std::string out;
        const auto say = [&](const std::string& what) { out += (out.empty() ? name_ + ": " : ", ") + what; };
        if (!inbox_.empty()) say(std::to_string(inbox_.size()) + " bytes came that nobody receives");
        if (stalled_) say("what it sends is held by a stall (" + std::to_string(held_bytes()) + " bytes so far)");
        if (vanishing_) say("what it sends vanishes, it was truncated");
        if (!stalled_ && room() == 0 && !reset_) say("the window of " + std::to_string(window) + " bytes is full");
        return out;
    }

private:
    struct parcel {
        enum kind : unsigned char { bytes, end, reset };
        kind what;
        time_point arrives;
        std::vector<std::byte> content;
    };
    static constexpr std::size_t packet = 1460;  // what a limited bandwidth carries at a time

    std::uint64_t position(std::uint64_t n) const noexcept {
        return attached() && n < test::unlimited - sent_ ? sent_ + n : test::unlimited;
    }
    int take_error() noexcept { return std::exchange(error_, 0); }

    void act_on_position() {
        if (sent_ == stall_at_) {
            stall_at_ = test::unlimited;
            stalled_ = true;
        }
        if (sent_ == truncate_at_) {
            truncate_at_ = test::unlimited;
            truncate();
        }
        if (sent_ == reset_at_) {
            reset_at_ = test::unlimited;
            put({parcel::reset, {}, {}});
            fail();
        }
    }
    void truncate() {
        if (!shut_ && !reset_) put({parcel::end, {}, {}});
        vanishing_ = true;
    }
    void put(parcel p) {
        if (vanishing_) return;
        unreceived_ += p.content.size();
        if (stalled_) held_.push_back(std::move(p));
        else fly(std::move(p));
    }
    void fly(parcel p) {
        if (bandwidth_ == test::unlimited || p.content.empty()) {
            send_off(std::move(p), busy_until());
            return;
        }
        for (std::size_t at = 0; at < p.content.size(); at += packet) {
            const auto first = p.content.begin() + static_cast<std::ptrdiff_t>(at);
            const std::size_t n = p.content.size() - at < packet ? p.content.size() - at : packet;
            if (busy_until() <= *now_) pace_began_ = *now_, paced_ = 0;
            paced_ += n;
            send_off({parcel::bytes, {}, {first, first + static_cast<std::ptrdiff_t>(n)}}, busy_until());
        }
    }
    void send_off(parcel p, time_point departs) {
        p.arrives = deadline_after(departs, delay);
        if (jitter > duration::zero()) {
            const std::uint64_t most = static_cast<std::uint64_t>(jitter.count());
            p.arrives = deadline_after(p.arrives, duration{static_cast<duration::rep>(random_->between(0, most))});
        }
        flying_.push_back(std::move(p));
    }
    /// When the line has sent all that it was given.
    time_point busy_until() const noexcept {
        time_point end = pace_began_;
        if (bandwidth_ != test::unlimited && paced_) {
            constexpr std::uint64_t second = 1'000'000'000;
            const std::uint64_t rest = (paced_ % bandwidth_ * second + bandwidth_ - 1) / bandwidth_;
            end += duration{static_cast<duration::rep>(paced_ / bandwidth_ * second + rest)};
        }
        return end < *now_ ? *now_ : end;
    }

    void arrive(const parcel& came) {
        switch (came.what) {
            case parcel::bytes:
                if (closed_ || reset_ || !inbox_.append(came.content)) {
                    peer_->unreceived_ -= came.content.size();
                    if (closed_ && !reset_) {  // what a closed socket is sent is answered with a reset
                        reset_ = true;
                        put({parcel::reset, {}, {}});
                    }
                }
                break;
            case parcel::end: ended_ = ended_ || !reset_; break;
            case parcel::reset: fail(); break;
        }
    }
    void fail() noexcept {
        if (reset_) return;
        reset_ = true;
        error_ = ended_ ? EPIPE : ECONNRESET;
    }
    std::size_t held_bytes() const noexcept {
        std::size_t n = 0;
        for (const parcel& p : held_) n += p.content.size();
        return n;
    }

    int fd_;
    std::string name_;
    const time_point* now_;
    test::random* random_;
    simulated_socket* peer_ = nullptr;

    std::deque<parcel> flying_, held_;  // none overtakes the one before it, whatever its time of arrival
    std::uint64_t sent_ = 0, unreceived_ = 0;  // in all; and of these, those that the peer's program has not received
    std::uint64_t truncate_at_ = test::unlimited, reset_at_ = test::unlimited, stall_at_ = test::unlimited;
    time_point truncate_time_ = time_point::max(), reset_time_ = time_point::max();
    std::uint64_t bandwidth_ = test::unlimited, paced_ = 0;
    time_point pace_began_{};
    byte_queue inbox_;
    int error_ = 0;
    bool shut_ = false, closed_ = false, ended_ = false, reset_ = false, stalled_ = false, vanishing_ = false;
};

}  // namespace hawser::detail
