#pragma once
// The one door into a reactor from other threads.

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <hawser/base/error.hpp>

namespace hawser {

namespace detail {

/// Holds a mutex while it lives; <mutex> is not worth its include.
class mutex_lock {
public:
    explicit mutex_lock(pthread_mutex_t& m) noexcept : mutex_{m} { ::pthread_mutex_lock(&mutex_); }
    mutex_lock(const mutex_lock&) = delete;
    mutex_lock& operator=(const mutex_lock&) = delete;
    ~mutex_lock() { ::pthread_mutex_unlock(&mutex_); }

private:
    pthread_mutex_t& mutex_;
};

/// Run once on the reactor's thread, or dropped when that has ended; deleted after either.
struct posted {
    posted* next = nullptr;
    virtual void run() noexcept = 0;
    virtual ~posted() = default;
};

/// Functions posted to one reactor; outlives it as long as somebody holds a handle.
class mailbox {
public:
    mailbox() : wake_fd_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
        if (wake_fd_ < 0) throw error{error_info::from_errno(errno, phase::setup, {}, "eventfd for post()")};
    }
    mailbox(const mailbox&) = delete;
    mailbox& operator=(const mailbox&) = delete;

    void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void drop_ref() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }
    int wake_fd() const noexcept { return wake_fd_; }

    /// Takes `p`; false, and `p` is deleted, when the reactor has ended.
    bool put(posted* p) noexcept {
        if (append(p)) return true;
        delete p;
        return false;
    }

    posted* take_all() noexcept {
        std::uint64_t count;
        while (::read(wake_fd_, &count, sizeof count) > 0) {}
        mutex_lock guard{mutex_};
        tail_ = &head_;
        return std::exchange(head_, nullptr);
    }

    void close() noexcept {
        {
            mutex_lock guard{mutex_};
            open_ = false;
        }
        for (posted* p = take_all(); p;) {
            posted* following = p->next;
            delete p;
            p = following;
        }
    }

private:
    ~mailbox() { ::close(wake_fd_); }

    bool append(posted* p) noexcept {
        mutex_lock guard{mutex_};
        if (!open_) return false;
        const bool wake = head_ == nullptr;
        *tail_ = p;
        tail_ = &p->next;
        const std::uint64_t one = 1;
        // Inside the lock: the reactor cannot end, and close the descriptor, before it is written.
        if (wake && ::write(wake_fd_, &one, sizeof one) < 0) {}  // full means awake already
        return true;
    }

    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
    posted* head_ = nullptr;
    posted** tail_ = &head_;
    int wake_fd_;
    bool open_ = true;
    std::atomic<unsigned> refs_{1};
};

}  // namespace detail

/// Names a reactor to other threads; get one from this_reactor(). Copyable, may be used from any thread, and may
/// outlive the reactor.
class reactor_handle {
public:
    explicit reactor_handle(detail::mailbox& box) noexcept : box_{&box} { box.add_ref(); }
    reactor_handle(const reactor_handle& other) noexcept : reactor_handle{*other.box_} {}
    reactor_handle& operator=(const reactor_handle& other) noexcept {
        other.box_->add_ref();
        box_->drop_ref();
        box_ = other.box_;
        return *this;
    }
    ~reactor_handle() { box_->drop_ref(); }

    /// Runs `f()` on the reactor's thread, soon, in the order of posting. `f` must not throw; it may make events
    /// happen and request stops. Returns false, and drops `f`, when that reactor has ended. Wakes the reactor by one
    /// write(2) to an eventfd if nothing was posted before.
    template <class F> bool post(F&& f) const {
        struct item final : detail::posted {
            explicit item(F&& g) : fn{std::forward<F>(g)} {}
            void run() noexcept override { fn(); }
            std::decay_t<F> fn;
        };
        return box_->put(new item{std::forward<F>(f)});
    }
    /// For the library: the same with a node of its own, which is deleted afterwards.
    bool post_node(detail::posted& node) const noexcept { return box_->put(&node); }

private:
    detail::mailbox* box_;
};

}  // namespace hawser
