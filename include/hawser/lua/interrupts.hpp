#pragma once
// Ctrl-C while Lua tasks run.

#include <signal.h>

#include <csignal>
#include <utility>

namespace hawser::lua::detail {

/// Keeps SIGINT from the handler of the program lua while tasks run. That one sets a hook, and LuaJIT would run it in
/// whichever task comes next.
class interrupts {
public:
    explicit interrupts(bool wanted) noexcept {
        if (!wanted || sigaction(SIGINT, nullptr, &before_) != 0) return;
        if (before_.sa_handler == SIG_DFL || before_.sa_handler == SIG_IGN) return;
        struct sigaction ours{};
        ours.sa_handler = &note;
        came_ = 0;
        active_ = sigaction(SIGINT, &ours, nullptr) == 0;
    }
    interrupts(const interrupts&) = delete;
    interrupts& operator=(const interrupts&) = delete;
    ~interrupts() { restore(); }

    /// Runs the other handler if a signal came.
    void hand_over() noexcept {
        if (!active_ || !came_) return;
        restore();
        raise(SIGINT);
    }
    bool active() const noexcept { return active_; }

private:
    static void note(int) noexcept {
        if (came_) signal(SIGINT, SIG_DFL), raise(SIGINT);  // the second one kills
        came_ = 1;
    }
    /// Unless somebody else has taken the signal over meanwhile.
    void restore() noexcept {
        struct sigaction now{};
        if (!std::exchange(active_, false) || sigaction(SIGINT, nullptr, &now) != 0) return;
        if (now.sa_handler == &note) sigaction(SIGINT, &before_, nullptr);
    }
    static inline volatile std::sig_atomic_t came_ = 0;
    struct sigaction before_{};
    bool active_ = false;
};

}  // namespace hawser::lua::detail
