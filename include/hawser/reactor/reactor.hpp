#pragma once
// The loop of one thread: ready tasks, timers, posts, deferred sends, and one wait per turn.

#include <hawser/coro/inspect.hpp>
#include <hawser/coro/scheduler.hpp>
#include <hawser/reactor/backend.hpp>
#include <hawser/reactor/post.hpp>
#include <hawser/reactor/timer.hpp>

namespace hawser {

namespace detail {

/// Something that owns operations on a reactor and must let go when it ends.
class io_object : public list_node {
public:
    /// Cancels every operation in flight; nothing of it may be started again.
    virtual void on_reactor_stop() noexcept = 0;
    /// Nothing is in flight any more; the reactor will be gone.
    virtual void on_reactor_gone() noexcept = 0;

protected:
    ~io_object() = default;
};

/// A task that no other awaits: what run() was given, or work of the library. dump_tasks begins with these.
struct root_task : list_node {
    void (*show)(const root_task&, inspector&) = nullptr;
};

/// Work to do once before the next wait, such as one send of everything that was written in this turn.
struct deferred : list_node {
    void (*flush)(deferred&) noexcept = nullptr;
};

}  // namespace detail

/// The loop that run() makes. Programs rarely name it; the functions of this library find the one of their thread.
class reactor final : public detail::scheduler {
public:
    /// `io` must outlive it.
    explicit reactor(detail::backend& io) : io_{&io} {
        if (here()) throw error{error_info{make_error_code(errc::invalid_argument), phase::setup, {},
            "run() inside run() on one thread: co_await the task instead, or give it a thread of its own"}};
        set_here(this);
        set_turn_time(io.now());
        mail_op_.on_complete = [](detail::op&, const detail::completion&) noexcept { current()->mail_came(); };
    }
    ~reactor() {
        close();
        set_here(nullptr);
    }

    /// The reactor of this thread, or nullptr outside run().
    static reactor* current() noexcept { return static_cast<reactor*>(here()); }
    static reactor& of(const detail::environment& env) noexcept { return static_cast<reactor&>(*env.loop); }

    detail::backend& io() noexcept { return *io_; }
    time_point now() const noexcept { return io_->now(); }
    /// Turns of the loop so far.
    std::uint64_t turns() const noexcept { return turns_; }

    void set_timer(detail::timer& t, time_point deadline) noexcept {
        t.deadline = deadline;
        if (deadline != time_point::max()) timers_.set(t);
    }
    void cancel_timer(detail::timer& t) noexcept { timers_.cancel(t); }

    /// Runs `d.flush` before the next wait, once.
    void defer(detail::deferred& d) noexcept {
        if (!d.linked()) deferred_.push_back(d);
    }
    void attach(detail::io_object& object) noexcept { objects_.push_back(object); }
    void attach(detail::root_task& task) noexcept { tasks_.push_back(task); }
    const detail::list<detail::root_task>& tasks() const noexcept { return tasks_; }

    /// Work of objects whose users are gone, such as sending what a destroyed stream had accepted: run() waits for it.
    void hold() noexcept { ++held_; }
    void unhold() noexcept { --held_; }

    /// Whether anything is left that could make a task ready; if not, the next turn would never end.
    bool can_wake() const noexcept { return has_ready() || !timers_.empty() || !deferred_.empty() || io_->in_flight() != 0; }

    /// Listeners made on this reactor share their port with those of other threads (SO_REUSEPORT).
    bool shares_ports() const noexcept { return shares_ports_; }
    void share_ports(bool yes) noexcept { shares_ports_ = yes; }

    reactor_handle handle() {
        if (!mail_) {
            mail_ = new detail::mailbox;
            listen_to_mail();
        }
        return reactor_handle{*mail_};
    }

    /// The one T of this reactor, T{reactor&}: made when first asked for, destroyed when nothing is in flight any more.
    template <class T> T& service() {
        static const char key = 0;
        for (any_service* s = services_; s; s = s->next) if (s->key == &key) return static_cast<service_of<T>*>(s)->value;
        auto* made = new service_of<T>{&key, *this};
        made->next = std::exchange(services_, made);
        return made->value;
    }

    /// Runs turns until `done`.
    void run_until(const bool& done) noexcept {
        while (!done) turn();
    }
    /// Sends what destroyed streams had accepted, cancels the rest, and waits until the kernel holds nothing of ours.
    void close() noexcept {
        if (closed_) return;
        closed_ = true;
        while (held_ != 0 || has_ready()) turn();
        if (mail_) {
            mail_->close();
            if (mail_op_.active) io_->cancel(mail_op_);
        }
        objects_.for_each([](detail::io_object& o) { o.on_reactor_stop(); });
        while (io_->in_flight() != 0 || has_ready()) turn();
        while (!objects_.empty()) objects_.pop_front().on_reactor_gone();
        while (any_service* s = services_) {
            services_ = s->next;
            delete s;
        }
        if (mail_) mail_->drop_ref();
        mail_ = nullptr;
    }

    void turn() noexcept {
        ++turns_;
        while (!deferred_.empty()) {
            detail::deferred& d = deferred_.pop_front();
            d.flush(d);
        }
        const bool waits = !has_ready();
        io_->wait(waits ? timers_.empty() ? time_point::max() : timers_.next() : time_point::min());
        // A busy loop without timers does not ask the clock each time.
        if (waits || !timers_.empty() || (turns_ & 63u) == 0) set_turn_time(io_->now());
        if (!timers_.empty()) fire_timers();
        run_ready();
    }

private:
    struct any_service {
        explicit any_service(const void* k) noexcept : key{k} {}
        virtual ~any_service() = default;
        const void* key;
        any_service* next = nullptr;
    };
    template <class T> struct service_of final : any_service {
        service_of(const void* k, reactor& r) : any_service{k}, value{r} {}
        T value;
    };

    void fire_timers() noexcept {
        const time_point now = turn_time();
        while (!timers_.empty() && timers_.next() <= now) {
            detail::timer& t = timers_.pop();
            t.fire(t);
        }
    }
    void listen_to_mail() noexcept {
        mail_op_.fd = mail_->wake_fd();
        mail_op_.events = 1;  // POLLIN
        io_->start(mail_op_);
    }
    void mail_came() noexcept {
        if (closed_) return;
        for (detail::posted* p = mail_->take_all(); p;) {
            detail::posted* following = p->next;
            p->run();
            delete p;
            p = following;
        }
        listen_to_mail();
    }

    detail::backend* io_;
    detail::timer_heap timers_;
    detail::list<detail::deferred> deferred_;
    detail::list<detail::io_object> objects_;
    detail::list<detail::root_task> tasks_;
    any_service* services_ = nullptr;
    detail::mailbox* mail_ = nullptr;
    detail::poll_op mail_op_;
    std::size_t held_ = 0;
    std::uint64_t turns_ = 0;
    bool shares_ports_ = false, closed_ = false;
};

/// The reactor of this thread, for other threads to post to. Throws errc::no_reactor outside run().
inline reactor_handle this_reactor() {
    if (reactor* r = reactor::current()) return r->handle();
    throw_error(errc::no_reactor);
}

}  // namespace hawser
