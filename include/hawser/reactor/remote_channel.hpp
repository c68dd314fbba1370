#pragma once
// remote_channel: values from any thread to any other, in order, each one exactly once.

#include <new>
#include <optional>

#include <hawser/coro/operation.hpp>
#include <hawser/reactor/reactor.hpp>

namespace hawser {

template <class T> class remote_channel;

namespace detail {

/// A sender that waits with its value, or a receiver that waits for one: a task or a plain thread. Guarded by the
/// channel's mutex while it is linked.
template <class T> struct remote_party : list_node {
    std::optional<T> value;
    void (*wake)(remote_party&) noexcept = nullptr;  // called under the mutex, once, when it has been unlinked
};

/// What the copies of a channel share. All but the references is guarded by the mutex.
template <class T> class remote_state {
public:
    explicit remote_state(std::size_t capacity) : slots_{new std::optional<T>[capacity]}, capacity_{capacity} {}
    remote_state(const remote_state&) = delete;
    remote_state& operator=(const remote_state&) = delete;

    void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void drop_ref() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    /// Waiting receivers mean that nothing is stored, waiting senders that all is full, so this keeps the order.
    bool has_room() const noexcept { return !closed && (!receivers.empty() || count_ < capacity_); }
    /// Only with has_room().
    void put(T&& value) noexcept {
        if (receivers.empty()) return store(std::move(value));
        remote_party<T>& to = receivers.pop_front();
        to.value.emplace(std::move(value));
        to.wake(to);
    }
    std::optional<T> get() noexcept {
        if (count_ == 0) return {};
        std::optional<T> value{std::move(slots_[first_])};
        slots_[first_].reset();
        first_ = first_ + 1 == capacity_ ? 0 : first_ + 1;
        --count_;
        if (!senders.empty()) {
            remote_party<T>& from = senders.pop_front();
            store(std::move(*from.value));
            from.value.reset();
            from.wake(from);
        }
        return value;
    }
    void close() noexcept {
        closed = true;
        for (list<remote_party<T>>* all : {&senders, &receivers}) {
            while (!all->empty()) {
                remote_party<T>& each = all->pop_front();
                each.wake(each);
            }
        }
    }
    /// Whether this operation, which need not wait, shall go through the loop all the same: threads that keep each
    /// other supplied must not keep a loop from its other tasks.
    bool needs_turn() noexcept { return (++at_once_ & 63u) == 0; }

    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    list<remote_party<T>> senders, receivers;
    bool closed = false;

private:
    ~remote_state() { delete[] slots_; }
    void store(T&& value) noexcept {
        const std::size_t to_end = capacity_ - first_;
        slots_[count_ < to_end ? first_ + count_ : count_ - to_end].emplace(std::move(value));
        ++count_;
    }

    std::optional<T>* slots_;
    const std::size_t capacity_;
    std::size_t first_ = 0, count_ = 0;
    unsigned at_once_ = 0;
    std::atomic<unsigned> refs_{1};
};

/// A reference to the shared state.
template <class T> class remote_ref {
public:
    explicit remote_ref(remote_state<T>* made) noexcept : p_{made} {}
    remote_ref(const remote_ref& other) noexcept : p_{other.p_} {
        if (p_) p_->add_ref();
    }
    remote_ref(remote_ref&& other) noexcept : p_{std::exchange(other.p_, nullptr)} {}
    remote_ref& operator=(remote_ref other) noexcept {
        std::swap(p_, other.p_);
        return *this;
    }
    ~remote_ref() {
        if (p_) p_->drop_ref();
    }
    remote_state<T>* operator->() const noexcept { return p_; }

private:
    remote_state<T>* p_;
};

/// A task that sends or receives. Once somebody on another thread has unlinked it, it waits for the post that is under
/// way, also when it is stopped: what it was given is its result.
template <class T, bool Sends> class remote_operation : remote_party<T> {
public:
    using value_type = std::conditional_t<Sends, void, std::optional<T>>;

    explicit remote_operation(remote_ref<T> on) noexcept : on_{std::move(on)} {}
    template <class U> remote_operation(remote_ref<T> on, U&& sent) : on_{std::move(on)} { this->value.emplace(std::forward<U>(sent)); }
    remote_operation(remote_operation&& other) noexcept : on_{std::move(other.on_)} { this->value = std::move(other.value); }

    bool start(const environment& env, waiter& w) {
        if (env.stop.stop_requested()) {
            stopped_ = true;
            return env.refuse(w);
        }
        mutex_lock guard{on_->mutex};
        if (ends_at_once()) {
            if (!on_->needs_turn()) return false;
            env.loop->make_ready(w);
            return true;
        }
        loop_ = &reactor::of(env);
        home_.emplace(loop_->handle());
        waiter_ = &w;
        post_.owner = stop_.owner = this;
        stop_.invoke = [](stop_callback& c) noexcept { static_cast<stop_node&>(c).owner->stop(); };
        stop_source::attach(env.stop, stop_);
        this->wake = [](remote_party<T>& p) noexcept { static_cast<remote_operation&>(p).woken(); };
        (Sends ? on_->senders : on_->receivers).push_back(*this);
        return true;
    }
    result<value_type> take() noexcept {
        if (stopped_) return errc::cancelled;
        if constexpr (!Sends) return std::move(this->value);
        else return this->value ? result<void>{errc::closed} : result<void>{};
    }
    void inspect(inspector& to) const { to.say(Sends ? "send to a remote_channel" : "receive from a remote_channel"); }

private:
    struct stop_node : stop_callback {
        remote_operation* owner = nullptr;
    };
    /// Lives in the operation: the mailbox deletes what it has run, and that is nothing here.
    struct post_node final : posted {
        void run() noexcept override { owner->finish(); }
        void operator delete(post_node*, std::destroying_delete_t) noexcept {}
        remote_operation* owner = nullptr;
    };

    bool ends_at_once() noexcept {
        if constexpr (Sends) {
            if (!on_->has_room()) return on_->closed;
            on_->put(std::move(*this->value));
            this->value.reset();
            return true;
        } else {
            this->value = on_->get();
            return this->value || on_->closed;
        }
    }
    void woken() noexcept {
        if (reactor::current() == loop_) return finish();
        const reactor_handle home = *home_;  // the operation may be gone before post_node() returns
        home.post_node(post_);
    }
    void finish() noexcept {
        stop_.unlink();
        loop_->make_ready(*waiter_);
    }
    void stop() noexcept {
        {
            mutex_lock guard{on_->mutex};
            if (!this->linked()) return;
            this->unlink();
        }
        stopped_ = true;
        loop_->make_ready(*waiter_);
    }

    remote_ref<T> on_;
    bool stopped_ = false;
    reactor* loop_ = nullptr;
    waiter* waiter_ = nullptr;
    std::optional<reactor_handle> home_;
    stop_node stop_;
    post_node post_;
};

/// A plain thread that waits.
template <class T> struct remote_thread final : remote_party<T> {
    void wait(list<remote_party<T>>& in, pthread_mutex_t& mutex) noexcept {
        this->wake = [](remote_party<T>& p) noexcept {
            auto& self = static_cast<remote_thread&>(p);
            self.done = true;
            ::pthread_cond_signal(&self.condition);
        };
        in.push_back(*this);
        while (!done) ::pthread_cond_wait(&condition, &mutex);
    }
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    bool done = false;
};

}  // namespace detail

/// A bounded queue between threads. Copies are handles to the same channel, and any thread may use one, also when it
/// has no reactor. Values arrive once, in the order in which they were sent; who waits is served first come, first
/// served, whether task or thread. Values that nobody received are destroyed with the last handle. T needs a move
/// constructor that does not throw. Within one thread `channel` is cheaper.
template <class T> class remote_channel {
    static_assert(std::is_nothrow_move_constructible_v<T>, "a remote_channel moves its values under a lock: moving them must not throw");

public:
    /// Room for `capacity` values, which is allocated now. Throws errc::invalid_argument for 0.
    explicit remote_channel(std::size_t capacity) : on_{make(capacity)} {}

    /// Waits until a T made of `value` is in the channel or with a receiver. Throws errc::closed when the channel is closed
    /// before, and `cancelled` when the task is stopped before: then the value was not taken and goes with the operation;
    /// without an exception it was, also when a stop came at the same time. The T is made in this call. Allocates nothing;
    /// waking a task of another reactor costs a write(2) to an eventfd unless something else was posted there already.
    template <class U = T>
        requires std::is_constructible_v<T, U&&>
    [[nodiscard]] auto send(U&& value) const {
        static_assert(std::is_lvalue_reference_v<U> || detail::temporary_is_safe<std::remove_cvref_t<U>>,
                      "g++ before 13 destroys a temporary of this aggregate twice in a co_await expression: give it a constructor, or a name first");
        return detail::remote_operation<T, true>{on_, std::forward<U>(value)};
    }

    /// Waits for a value. Empty when the channel is closed and everything in it was received. Throws `cancelled` when the
    /// task is stopped before; a value that was given to it first is returned all the same. Costs as send().
    [[nodiscard]] auto receive() const noexcept { return detail::remote_operation<T, false>{on_}; }

    /// Puts `value` if there is room now. False, and `value` is as it was, if there is none or the channel is closed.
    template <class U = T>
        requires std::is_constructible_v<T, U&&>
    [[nodiscard]] bool try_send(U&& value) const {
        detail::mutex_lock guard{on_->mutex};
        if (!on_->has_room()) return false;
        on_->put(T(std::forward<U>(value)));
        return true;
    }
    /// A value if there is one now.
    [[nodiscard]] std::optional<T> try_receive() const noexcept {
        detail::mutex_lock guard{on_->mutex};
        return on_->get();
    }

    /// send() for a thread without a reactor: blocks it. Throws errc::closed when the channel is closed and `value` was
    /// not taken, and errc::invalid_argument inside run(), whose tasks it would block.
    void send_blocking(T value) const {
        refuse_tasks("send_blocking() inside run() would block every task of it: co_await send()");
        detail::mutex_lock guard{on_->mutex};
        if (on_->has_room()) return on_->put(std::move(value));
        detail::remote_thread<T> self;
        self.value.emplace(std::move(value));
        if (!on_->closed) self.wait(on_->senders, on_->mutex);
        if (self.value) throw_error(errc::closed);
    }
    /// receive() for a thread without a reactor: blocks it. Throws errc::invalid_argument inside run().
    [[nodiscard]] std::optional<T> receive_blocking() const {
        refuse_tasks("receive_blocking() inside run() would block every task of it: co_await receive()");
        detail::mutex_lock guard{on_->mutex};
        if (std::optional<T> value = on_->get(); value || on_->closed) return value;
        detail::remote_thread<T> self;
        self.wait(on_->receivers, on_->mutex);
        return std::move(self.value);
    }

    /// Nothing can be sent any more: waiting senders get errc::closed. What is in the channel can still be received,
    /// then receivers get nothing. From any thread; again does nothing.
    void close() const noexcept {
        detail::mutex_lock guard{on_->mutex};
        on_->close();
    }
    bool is_closed() const noexcept {
        detail::mutex_lock guard{on_->mutex};
        return on_->closed;
    }

private:
    static detail::remote_state<T>* make(std::size_t capacity) {
        if (capacity != 0) return new detail::remote_state<T>{capacity};
        throw error{error_info{make_error_code(errc::invalid_argument), phase::setup, {}, "a remote_channel needs room for one value at least"}};
    }
    static void refuse_tasks(const char* words) {
        if (reactor::current()) throw error{error_info{make_error_code(errc::invalid_argument), phase::wait, {}, words}};
    }
    detail::remote_ref<T> on_;
};

}  // namespace hawser
