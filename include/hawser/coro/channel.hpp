#pragma once
// channel<T>: values from tasks to tasks of one thread, in order, each one exactly once.

#include <optional>

#include <hawser/coro/waiting.hpp>

namespace hawser {

/// A bounded queue that tasks of one thread send into and receive from, as many of each as there are. First come, first
/// served on both sides, whether they send() or reserve(). With capacity 0 it stores nothing: send() waits until somebody
/// receives. Needs of T a move constructor; if that throws, the exception comes out of the send whose value it was, or out
/// of the receive once the channel had taken the value, and the channel stays as it was. Between threads: remote_channel.
/// Must outlive its waiters and slots: destroying it before says so on stderr and aborts. Values left in it are destroyed.
template <class T> class channel {
    static_assert(std::is_object_v<T> && !std::is_const_v<T>, "a channel carries values; send a pointer or std::reference_wrapper instead");

public:
    /// Room for one value, which reserve() gave. Frees it when it goes.
    class slot {
    public:
        slot() noexcept = default;
        slot(slot&& other) noexcept : channel_{std::exchange(other.channel_, nullptr)} {}
        slot& operator=(slot&& other) noexcept {
            slot{std::move(other)}.swap(*this);
            return *this;
        }
        ~slot() { release(); }

        /// Sends a T made of `value` without waiting; the slot is used up. Throws errc::closed when the channel was closed
        /// meanwhile, errc::invalid_argument if this holds no room, and what T's constructor throws; `value` was not
        /// taken then, and after the last of these the slot is still good.
        template <class U = T>
            requires std::is_constructible_v<T, U&&>
        void send(U&& value) {
            if (!channel_) throw error{error_info{make_error_code(errc::invalid_argument), phase::write, "a channel", "this slot is used up"}};
            if (channel_->closed_) {
                release();
                throw_error(errc::closed);
            }
            channel_->put(std::forward<U>(value));
            release();
        }
        /// Gives the room back now. Does nothing if this holds none.
        void release() noexcept {
            channel* from = std::exchange(channel_, nullptr);
            if (!from) return;
            --from->reserved_;
            from->settle();
        }
        explicit operator bool() const noexcept { return channel_ != nullptr; }

    private:
        friend class channel;
        explicit slot(channel& of) noexcept : channel_{&of} { ++of.reserved_; }
        void swap(slot& other) noexcept { std::swap(channel_, other.channel_); }
        channel* channel_ = nullptr;
    };

    /// With room for `capacity` values, which is allocated now.
    explicit channel(std::size_t capacity) : capacity_{capacity}, places_{new std::optional<T>[storage()]} {}
    channel(const channel&) = delete;
    channel& operator=(const channel&) = delete;
    ~channel() {
        if (!senders_.empty() || !receivers_.empty() || reserved_ != 0) {
            detail::misuse("a channel was destroyed while tasks wait for it or hold its slots. Declare it before the slots, and before the "
                           "with_scope whose children use it: they have ended when that ends");
        }
        delete[] places_;
    }

    /// Waits until a T made of `value` is in the channel or with a receiver. Throws errc::closed when the channel is closed
    /// before, and `cancelled` when the task is stopped before: then the value was not taken and goes with the operation;
    /// without an exception it was, also when a stop came in the same turn. Values too good for that: see reserve(). The T
    /// is made in this call. Never allocates.
    template <class U = T>
        requires std::is_constructible_v<T, U&&>
    [[nodiscard]] auto send(U&& value) {
        static_assert(std::is_lvalue_reference_v<U> || detail::temporary_is_safe<std::remove_cvref_t<U>>,
                      "g++ before 13 destroys a temporary of this aggregate twice in a co_await expression: give it a constructor, or "
                      "auto slot = co_await channel.reserve(); slot.send(...)");
        return send_operation{*this, std::forward<U>(value)};
    }

    /// Waits for room as send() does and gives a `slot`, so that a value need not be made, or given away, before it is sure
    /// to be taken: `auto slot = co_await ch.reserve(); slot.send(std::move(value));`. Throws as send(). With capacity 0 it waits
    /// until somebody receives; should that be stopped before the slot is used, the channel keeps the value for the next.
    [[nodiscard]] auto reserve() noexcept { return reserve_operation{*this}; }

    /// Waits for a value. Empty when the channel is closed and everything in it was received. Throws `cancelled` when the
    /// task is stopped before; a value that was given to it first is returned all the same. Never allocates.
    [[nodiscard]] auto receive() noexcept { return receive_operation{*this}; }

    /// Sends a T made of `value` if that need not wait. False, and `value` is as it was, if it would have to or the channel is closed.
    template <class U = T>
        requires std::is_constructible_v<T, U&&>
    [[nodiscard]] bool try_send(U&& value) {
        if (closed_ || !senders_.empty() || !has_room()) return false;
        put(std::forward<U>(value));
        return true;
    }
    /// A value if there is one now, also that of a sender who waits.
    [[nodiscard]] std::optional<T> try_receive() {
        std::optional<T> value;
        get(value);
        return value;
    }

    /// Nothing can be sent any more: senders that wait, and slots, get errc::closed. What is in the channel can still be
    /// received, then receivers get nothing. Again does nothing.
    void close() noexcept {
        closed_ = true;
        while (!senders_.empty()) {
            senders_.front().closed = true;
            senders_.front().finish();
        }
        while (!receivers_.empty()) receivers_.front().finish();
    }
    bool is_closed() const noexcept { return closed_; }
    /// Values in the channel; not those of senders who wait.
    std::size_t size() const noexcept { return count_; }
    std::size_t capacity() const noexcept { return capacity_; }

private:
    /// Waits for room: with a value to send, or for a slot.
    struct sender : detail::waiting {
        explicit sender(channel& of) noexcept : on{&of} {}
        template <class U> sender(channel& of, U&& v) : on{&of}, value{std::in_place, std::forward<U>(v)} {}

        bool start(const detail::environment& env, detail::waiter& w) {
            if (env.stop.stop_requested()) return this->refuse(env, w);
            closed = on->closed_;
            if (closed) return false;
            if (on->senders_.empty() && on->has_room_for(*this)) {
                on->serve(*this);
                return false;
            }
            this->wait_in(on->senders_, env, w);
            return true;
        }
        void left() noexcept { on->settle(); }

        channel* on;
        std::optional<T> value;      // until it is taken; a reserve() has none
        slot got;
        bool closed = false;
        std::exception_ptr failure;  // of moving the value
    };
    class send_operation : public sender {
    public:
        using value_type = void;
        template <class U> send_operation(channel& of, U&& v) : sender{of, std::forward<U>(v)} {}
        detail::outcome<void> collect() noexcept {
            if (this->stopped()) return result<void>{errc::cancelled};
            if (this->closed) return result<void>{errc::closed};
            if (this->failure) return std::move(this->failure);
            return result<void>{};
        }
        void inspect(detail::inspector& to) const { to.say("send to a channel"); }
    };
    class reserve_operation : public sender {
    public:
        using value_type = slot;
        using sender::sender;
        result<slot> take() noexcept {
            if (this->stopped()) return errc::cancelled;
            if (this->closed) return errc::closed;
            return std::move(this->got);
        }
        void inspect(detail::inspector& to) const { to.say("room in a channel"); }
    };
    class receive_operation : public detail::waiting {
    public:
        using value_type = std::optional<T>;
        explicit receive_operation(channel& of) noexcept : on_{&of} {}
        bool start(const detail::environment& env, detail::waiter& w) {
            if (env.stop.stop_requested()) return this->refuse(env, w);
            on_->get(value_);
            if (value_ || on_->closed_) return false;
            this->wait_in(on_->receivers_, env, w);
            on_->settle();  // with capacity 0, who waits for a slot waits for this
            return true;
        }
        detail::outcome<value_type> collect() {
            if (this->stopped()) return result<value_type>{errc::cancelled};
            return result<value_type>{std::move(value_)};
        }
        void inspect(detail::inspector& to) const { to.say("receive from a channel"); }

    private:
        friend class channel;
        channel* on_;
        std::optional<T> value_;
    };

    // Receivers wait only while nothing is stored, so to hand over to them keeps the order.

    std::size_t storage() const noexcept { return capacity_ == 0 ? 1 : capacity_; }
    bool has_room() const noexcept { return !receivers_.empty() || count_ + reserved_ < capacity_; }
    bool has_room_for(const sender& s) const noexcept {
        if (s.value) return has_room();
        return count_ + reserved_ < storage() && (capacity_ != 0 || !receivers_.empty());
    }
    /// To the receiver that waits longest, else to the end of the queue, where there is room. If making the T throws,
    /// nothing has changed.
    template <class U> void put(U&& value) {
        if (!receivers_.empty()) {
            receive_operation& to = receivers_.front();
            to.value_.emplace(std::forward<U>(value));
            return to.finish();
        }
        const std::size_t to_end = storage() - first_;
        places_[count_ < to_end ? first_ + count_ : count_ - to_end].emplace(std::forward<U>(value));
        ++count_;
    }
    void get(std::optional<T>& into) {
        if (count_ != 0) {
            into.emplace(std::move(*places_[first_]));
            places_[first_].reset();
            first_ = first_ + 1 == storage() ? 0 : first_ + 1;
            --count_;
            return settle();
        }
        // Nothing is stored: what room there is is reserved, or there is none at all.
        while (!into && !senders_.empty() && senders_.front().value) {
            finish_first([&](sender& from) {
                into.emplace(std::move(*from.value));
                from.value.reset();
            });
        }
    }
    void serve(sender& s) {
        if (!s.value) {
            s.got = slot{*this};
            return;
        }
        put(std::move(*s.value));
        s.value.reset();
    }
    /// Lets those go on who need not wait any more, in their order.
    void settle() noexcept {
        while (!senders_.empty() && has_room_for(senders_.front())) finish_first([this](sender& s) { serve(s); });
    }
    template <class F> void finish_first(F take_from) noexcept {
        sender& s = senders_.front();
        try {
            take_from(s);
        } catch (...) {
            s.failure = std::current_exception();
        }
        s.finish();
    }

    const std::size_t capacity_;
    std::optional<T>* places_;
    std::size_t first_ = 0, count_ = 0, reserved_ = 0;
    bool closed_ = false;
    detail::list<sender> senders_;
    detail::list<receive_operation> receivers_;
};

}  // namespace hawser
