#pragma once
// Lists whose nodes live in what they link, and counted references to objects of one thread.

#include <cstddef>
#include <utility>

namespace hawser::detail {

/// A node of a doubly linked list; unlinks itself in O(1) and may be asked whether it is linked.
struct list_node {
    list_node* prev = nullptr;
    list_node* next = nullptr;

    list_node() = default;
    list_node(const list_node&) noexcept {}  // a copy or a moved-to node starts unlinked
    list_node& operator=(const list_node&) noexcept { return *this; }
    bool linked() const noexcept { return next != nullptr; }
    void unlink() noexcept {
        if (!next) return;
        prev->next = next;
        next->prev = prev;
        prev = next = nullptr;
    }
};

/// A circular list of T, which derives from list_node. Owns nothing.
template <class T> class list {
public:
    list() noexcept { head_.prev = head_.next = &head_; }
    list(const list&) = delete;
    list& operator=(const list&) = delete;

    bool empty() const noexcept { return head_.next == &head_; }
    T& front() noexcept { return static_cast<T&>(*head_.next); }
    void push_back(T& item) noexcept {
        list_node& n = item;
        n.prev = head_.prev;
        n.next = &head_;
        head_.prev->next = &n;
        head_.prev = &n;
    }
    T& pop_front() noexcept {
        T& item = front();
        static_cast<list_node&>(item).unlink();
        return item;
    }
    template <class F> void for_each(F f) {
        for (list_node* n = head_.next; n != &head_;) {
            list_node* following = n->next;
            f(static_cast<T&>(*n));
            n = following;
        }
    }

    template <class F> void for_each(F f) const {
        for (const list_node* n = head_.next; n != &head_; n = n->next) f(static_cast<const T&>(*n));
    }

private:
    list_node head_;
};

/// A count of references that is touched by one thread only. T derives from it and is deleted with the last one.
class ref_counted {
public:
    ref_counted() = default;
    ref_counted(const ref_counted&) = delete;
    ref_counted& operator=(const ref_counted&) = delete;
    void add_ref() noexcept { ++refs_; }
    void drop_ref() noexcept {
        if (--refs_ == 0) delete this;
    }

protected:
    virtual ~ref_counted() = default;

private:
    std::size_t refs_ = 0;
};

template <class T> class ref {
public:
    ref() noexcept = default;
    explicit ref(T* p) noexcept : p_{p} {
        if (p_) p_->add_ref();
    }
    ref(const ref& other) noexcept : ref{other.p_} {}
    ref(ref&& other) noexcept : p_{std::exchange(other.p_, nullptr)} {}
    ref& operator=(ref other) noexcept {
        std::swap(p_, other.p_);
        return *this;
    }
    ~ref() {
        if (p_) p_->drop_ref();
    }
    T* get() const noexcept { return p_; }
    T* operator->() const noexcept { return p_; }
    T& operator*() const noexcept { return *p_; }
    explicit operator bool() const noexcept { return p_ != nullptr; }

private:
    T* p_ = nullptr;
};

}  // namespace hawser::detail
