#pragma once
// Counts what holds much memory, and gives that back to the system when most of it has gone.

#include <malloc.h>

#include <hawser/base/recycler.hpp>

namespace hawser::detail {

/// How many there are of a kind, in one thread. malloc() by itself gives only the end of its heap back, where something
/// always remains: without this a process keeps what it held when it was busiest.
class crowd {
public:
    /// It is not worth while to trim the heap after fewer than `many`.
    constexpr explicit crowd(int many) noexcept : many_{many} {}

    int size() const noexcept { return now_; }
    void join() noexcept {
        if (++now_ > most_) most_ = now_;
        if (now_ == many_) seen_ = true;
    }
    /// Trims the heap when three quarters have left, and when all have: some 10 us for each that left.
    void leave() noexcept {
        if (--now_ == 0 ? !seen_ : now_ > most_ / 4 || most_ < many_) return;
        most_ = now_;
        seen_ = now_ > 0;
        frame_recycler::drain();
        buffer_recycler::drain();
#if defined(__GLIBC__)
        ::malloc_trim(0);
#endif
    }

private:
    const int many_;
    int now_ = 0;
    int most_ = 0;       // since the last trim
    bool seen_ = false;  // so many at once since there was none
};

}  // namespace hawser::detail
