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
        ::pthread_mutex_lock(&mutex_);
        const bool taken = open_;
        bool wake = false;
        if (taken) {
            wake = head_ == nullptr;
            *tail_ = p;
            tail_ = &p->next;
            const std::uint64_t one = 1;
            // Inside the lock: the reactor cannot end, and close the descriptor, before it is written.
            if (wake && ::write(wake_fd_, &one, sizeof one) < 0) wake = false;  // full means awake already
        }
        ::pthread_mutex_unlock(&mutex_);
        if (!taken) delete p;
        return taken;
    }

    posted* take_all() noexcept {
        std::uint64_t count;
        while (::read(wake_fd_, &count, sizeof count) > 0) {}
        ::pthread_mutex_lock(&mutex_);
        posted* all = head_;
        head_ = nullptr;
        tail_ = &head_;
        ::pthread_mutex_unlock(&mutex_);
        return all;
    }

    void close() noexcept {
        ::pthread_mutex_lock(&mutex_);
        open_ = false;
        ::pthread_mutex_unlock(&mutex_);
        for (posted* p = take_all(); p;) {
            posted* following = p->next;
            delete p;
            p = following;
        }
    }

private:
    ~mailbox() { ::close(wake_fd_); }

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

private:
    detail::mailbox* box_;
};

}  // namespace hawser
