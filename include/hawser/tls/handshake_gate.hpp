#pragma once
// Handshakes take turns: each costs up to a millisecond of CPU, which established connections must not wait for.

#include <hawser/base/defaults.hpp>
#include <hawser/reactor/reactor.hpp>

namespace hawser::tls::detail {

/// Somebody with a handshake step to do.
struct handshake_stepper : hawser::detail::list_node {
    virtual void step() noexcept = 0;

protected:
    ~handshake_stepper() = default;
};

/// Lets defaults::handshakes_per_turn steps run in one turn of the loop; the rest wait for the next, first come first served.
class handshake_gate {
public:
    explicit handshake_gate(reactor& loop) noexcept : loop_{&loop} {
        again_.self = this;
        again_.run = [](hawser::detail::waiter& w) noexcept { static_cast<node&>(w).self->run_waiting(); };
    }

    /// Runs `s.step()` now or in a later turn. `s` must call withdraw() if it ends before.
    void admit(handshake_stepper& s) noexcept {
        if (s.linked()) return;
        see_turn();
        if (used_ < defaults::handshakes_per_turn && waiting_.empty()) {
            ++used_;
            s.step();
            return;
        }
        waiting_.push_back(s);
        wake();
    }
    static void withdraw(handshake_stepper& s) noexcept { s.unlink(); }

private:
    struct node : hawser::detail::waiter {
        handshake_gate* self = nullptr;
    };
    void wake() noexcept {
        if (queued_) return;
        queued_ = true;
        loop_->make_ready(again_);
    }
    void see_turn() noexcept {
        if (turn_ != loop_->turns()) used_ = 0;
        turn_ = loop_->turns();
    }
    void run_waiting() noexcept {
        queued_ = false;
        see_turn();  // those that came with this turn's completions count too
        for (; used_ < defaults::handshakes_per_turn && !waiting_.empty(); ++used_) waiting_.pop_front().step();
        if (!waiting_.empty()) wake();
    }

    reactor* loop_;
    hawser::detail::list<handshake_stepper> waiting_;
    node again_;
    std::uint64_t turn_ = 0;
    std::size_t used_ = 0;
    bool queued_ = false;
};

}  // namespace hawser::tls::detail
