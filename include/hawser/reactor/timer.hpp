#pragma once
// Timers in a pairing heap whose nodes live in what waits: O(1) to set, O(1) to cancel one that is not next.

#include <cstdint>

#include <hawser/base/clock.hpp>

namespace hawser::detail {

/// A function to call once at a time. A copy or a moved-to timer starts unset.
struct timer {
    timer() = default;
    timer(const timer& other) noexcept : fire{other.fire} {}
    timer& operator=(const timer&) = delete;

    void (*fire)(timer&) noexcept = nullptr;
    time_point deadline{};

private:
    friend class timer_heap;
    std::uint64_t sequence_ = 0;  // equal deadlines fire in the order in which they were set
    timer* child_ = nullptr;
    timer* next_ = nullptr;
    timer* prev_ = nullptr;  // the left sibling, or the parent of a first child; the root points to itself
};

/// Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap: a new form of self-adjusting heap" (1986).
class timer_heap {
public:
    bool empty() const noexcept { return root_ == nullptr; }
    time_point next() const noexcept { return root_->deadline; }
    static bool is_set(const timer& t) noexcept { return t.prev_ != nullptr; }

    void set(timer& t) noexcept {
        t.sequence_ = ++sequence_;
        make_root(root_ ? meld(root_, &t) : &t);
    }

    void cancel(timer& t) noexcept {
        if (!is_set(t)) return;
        if (&t == root_) {
            pop();
            return;
        }
        (t.prev_->child_ == &t ? t.prev_->child_ : t.prev_->next_) = t.next_;
        if (t.next_) t.next_->prev_ = t.prev_;
        timer* orphans = merge_pairs(t.child_);
        clear(t);
        if (orphans) make_root(meld(root_, orphans));
    }

    timer& pop() noexcept {
        timer& t = *root_;
        make_root(merge_pairs(t.child_));
        clear(t);
        return t;
    }

private:
    static void clear(timer& t) noexcept { t.child_ = t.next_ = t.prev_ = nullptr; }
    void make_root(timer* t) noexcept {
        root_ = t;
        if (t) {
            t->prev_ = t;
            t->next_ = nullptr;
        }
    }
    static bool before(const timer& a, const timer& b) noexcept {
        return a.deadline != b.deadline ? a.deadline < b.deadline : a.sequence_ < b.sequence_;
    }
    static timer* meld(timer* a, timer* b) noexcept {
        if (before(*b, *a)) {
            timer* swap = a;
            a = b;
            b = swap;
        }
        b->next_ = a->child_;
        if (b->next_) b->next_->prev_ = b;
        b->prev_ = a;
        a->child_ = b;
        return a;
    }
    static timer* merge_pairs(timer* first) noexcept {
        timer* pairs = nullptr;  // melded pairs, last first
        while (first) {
            timer* a = first;
            timer* b = a->next_;
            first = b ? b->next_ : nullptr;
            a->next_ = nullptr;
            if (b) {
                b->next_ = nullptr;
                a = meld(a, b);
            }
            a->next_ = pairs;
            pairs = a;
        }
        timer* merged = nullptr;
        while (pairs) {
            timer* following = pairs->next_;
            pairs->next_ = nullptr;
            merged = merged ? meld(merged, pairs) : pairs;
            pairs = following;
        }
        return merged;
    }

    timer* root_ = nullptr;
    std::uint64_t sequence_ = 0;
};

}  // namespace hawser::detail
