#pragma once
// next_signal: a task waits for a signal of the process.

#include <sched.h>
#include <signal.h>

#include <bit>
#include <cerrno>
#include <initializer_list>

#include <hawser/coro/waiting.hpp>
#include <hawser/reactor/reactor.hpp>

namespace hawser {

namespace detail {

using signal_mask = std::uint64_t;
static_assert(std::atomic<signal_mask>::is_always_lock_free, "a signal handler may not wait for a lock");

constexpr bool is_signal_number(int n) noexcept { return n >= 1 && n <= 64; }
constexpr signal_mask signal_bit(int n) noexcept { return signal_mask{1} << (n - 1); }
constexpr int lowest_signal(signal_mask m) noexcept { return std::countr_zero(m) + 1; }

/// What the signal handler, on whatever thread, knows of one reactor. Never freed, as a handler may be looking at it;
/// the next reactor takes it over.
struct signal_box {
    std::atomic<signal_mask> watched{0};     // by tasks
    std::atomic<signal_mask> came{0};        // of those, and not given to a task yet
    std::atomic<signal_mask> terminating{0};  // those that run_main stops for
    std::atomic<signal_mask> terminated{0};
    std::atomic<unsigned> pins{0};  // handlers that use the descriptor now
    int fd = -1;
    bool used = true;
    signal_box* next = nullptr;
};

/// The handlers of this process. A signal is handled from the first reactor that asks for it to the end of the last.
class signal_table {
public:
    /// Throws error if there is no descriptor left.
    static signal_box& open_box() {
        const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0) throw error{error_info::from_errno(errno, phase::setup, {}, "eventfd for signals")};
        mutex_lock guard{mutex_};
        signal_box* box = boxes_.load();
        while (box && box->used) box = box->next;
        if (!box) {
            box = new signal_box;
            box->next = boxes_.load();
            boxes_.store(box);
        }
        box->fd = fd;
        box->used = true;
        box->came.store(0);
        box->terminated.store(0);
        return *box;
    }
    static void close_box(signal_box& box) noexcept {
        mutex_lock guard{mutex_};
        give_up(box.watched.load());
        give_up(box.terminating.load());
        box.watched.store(0);
        box.terminating.store(0);
        while (box.pins.load() != 0) ::sched_yield();  // a handler on another thread is about to write
        ::close(box.fd);
        box.used = false;
    }

    /// Adds `number` to a mask of a box. False if the system does not let it be handled.
    static bool watch(std::atomic<signal_mask>& mask, int number) noexcept {
        mutex_lock guard{mutex_};
        action& a = actions_[number];
        struct sigaction before{}, ours{};
        ours.sa_handler = &handle;
        ours.sa_flags = SA_RESTART;
        mask.fetch_or(signal_bit(number));  // first: what comes as soon as the handler stands must not be lost
        // Also when it is ours already: the first of run_main's signals has put the default action there.
        if (::sigaction(number, &ours, &before) != 0) {
            mask.fetch_and(~signal_bit(number));
            return false;
        }
        if (a.users++ == 0) a.previous = before;
        return true;
    }

private:
    struct action {
        struct sigaction previous;
        unsigned users;
    };

    static void give_up(signal_mask mask) noexcept {
        for (; mask; mask &= mask - 1) {
            const int number = lowest_signal(mask);
            if (--actions_[number].users == 0) ::sigaction(number, &actions_[number].previous, nullptr);
        }
    }

    // From here on the functions are called by the handler: atomics, write(2) and signal(2) only.
    static void handle(int number) noexcept {
        const int saved = errno;
        if (!tell(number, &signal_box::watched, &signal_box::came) && tell(number, &signal_box::terminating, &signal_box::terminated)) {
            for (const int n : {SIGINT, SIGTERM}) if (!is_watched(n)) ::signal(n, SIG_DFL);  // the second one kills
        }
        errno = saved;
    }
    static bool tell(int number, std::atomic<signal_mask> signal_box::*wanted, std::atomic<signal_mask> signal_box::*came) noexcept {
        const signal_mask bit = signal_bit(number);
        bool told = false;
        for (signal_box* box = boxes_.load(); box; box = box->next) {
            if (!((box->*wanted).load() & bit)) continue;
            box->pins.fetch_add(1);
            if ((box->*wanted).load() & bit) {  // still: from here on close_box() waits
                (box->*came).fetch_or(bit);
                const std::uint64_t one = 1;
                if (::write(box->fd, &one, sizeof one) < 0) {}  // full means awake already
                told = true;
            }
            box->pins.fetch_sub(1);
        }
        return told;
    }
    static bool is_watched(int number) noexcept {
        for (signal_box* box = boxes_.load(); box; box = box->next) if (box->watched.load() & signal_bit(number)) return true;
        return false;
    }

    static inline pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
    static inline std::atomic<signal_box*> boxes_{nullptr};
    static inline action actions_[65]{};
};

/// A task's wait for one of some signals.
struct signal_waiter : waiting {
    signal_mask mask = 0;
    int number = 0;  // the one that came
};

/// The signals of one reactor: those that came and the tasks that wait for them.
class signal_service final : public io_object {
public:
    explicit signal_service(reactor& loop) : loop_{loop}, box_{signal_table::open_box()} {
        poll_.self = rest_.self = this;
        poll_.fd = box_.fd;
        poll_.events = 1;  // POLLIN
        poll_.on_complete = [](op& o, const completion& c) noexcept { static_cast<poll_node&>(o).self->poll_ended(c.result); };
        rest_.flush = [](deferred& d) noexcept { static_cast<rest_node&>(d).self->give_next(); };
        loop.attach(*this);
        loop.io().start(poll_);
    }
    ~signal_service() {
        rest_.unlink();
        signal_table::close_box(box_);
    }

    /// Until the reactor ends: handles the signals of `mask`. The number of one that the system keeps, else 0.
    int watch(signal_mask mask) noexcept {
        for (signal_mask left = mask & ~box_.watched.load(); left; left &= left - 1) {
            const int number = lowest_signal(left);
            if (!signal_table::watch(box_.watched, number)) return number;
        }
        return 0;
    }
    /// From now on the first SIGINT or SIGTERM that no task of the process watches calls `stop(of)` here; the second
    /// has its default effect.
    void on_termination(void (*stop)(void*) noexcept, void* of) noexcept {
        stop_ = stop;
        stop_of_ = of;
        for (const int n : {SIGINT, SIGTERM}) signal_table::watch(box_.terminating, n);
    }

    /// One of `mask` that came before; 0 if none did, or others wait for it and will get it first.
    int take(signal_mask mask) noexcept {
        const signal_mask here = box_.came.load() & mask & ~wanted();
        if (here) box_.came.fetch_and(~signal_bit(lowest_signal(here)));
        return here ? lowest_signal(here) : 0;
    }
    list<signal_waiter>& waiters() noexcept { return waiters_; }

    void on_reactor_stop() noexcept override {
        stopping_ = true;
        if (poll_.active) loop_.io().cancel(poll_);
    }
    void on_reactor_gone() noexcept override {}

private:
    struct poll_node : poll_op {
        signal_service* self = nullptr;
    };
    struct rest_node : deferred {
        signal_service* self = nullptr;
    };

    signal_mask wanted() noexcept {
        signal_mask all = 0;
        waiters_.for_each([&](signal_waiter& w) { all |= w.mask; });
        return all;
    }
    void poll_ended(int events) noexcept {
        if (stopping_ || events < 0) return;
        std::uint64_t count;
        if (::read(box_.fd, &count, sizeof count) < 0) {}  // before looking, so that what comes later wakes again
        if (box_.terminated.exchange(0)) stop_(stop_of_);
        give_next();
        loop_.io().start(poll_);
    }
    /// Gives one signal to all that wait for it. The next one in the next turn, when they wait again.
    void give_next() noexcept {
        const signal_mask now = box_.came.load() & wanted();
        if (!now) return;
        const int number = lowest_signal(now);
        box_.came.fetch_and(~signal_bit(number));
        waiters_.for_each([&](signal_waiter& w) {
            if (!(w.mask & signal_bit(number))) return;
            w.number = number;
            w.finish();
        });
        if (now & ~signal_bit(number)) loop_.defer(rest_);
    }

    reactor& loop_;
    signal_box& box_;
    list<signal_waiter> waiters_;
    poll_node poll_;
    rest_node rest_;
    void (*stop_)(void*) noexcept = nullptr;
    void* stop_of_ = nullptr;
    bool stopping_ = false;
};

class signal_operation : signal_waiter {
public:
    using value_type = int;

    explicit signal_operation(std::initializer_list<int> numbers) noexcept {
        for (const int n : numbers) {
            if (is_signal_number(n) && !is_kept(n)) mask |= signal_bit(n);
            else refused_ = n, valid_ = false;
        }
    }
    bool start(const environment& env, waiter& w) {
        if (env.stop.stop_requested()) return refuse(env, w);
        if (!valid_) return false;
        auto& service = reactor::of(env).service<signal_service>();
        refused_ = service.watch(mask);
        valid_ = refused_ == 0;
        if (!valid_) return false;
        number = service.take(mask);
        if (number == 0) wait_in(service.waiters(), env, w);
        return number == 0;
    }
    result<int> take() const {
        if (stopped()) return errc::cancelled;
        if (valid_) return number;
        char name[32];
        std::snprintf(name, sizeof name, "signal %d", refused_);
        return error_info{make_error_code(errc::invalid_argument), phase::wait, name,
            "no task can wait for it: SIGKILL, SIGSTOP, those that a fault or abort() raises, and what is no signal of this system"};
    }
    void inspect(inspector& to) const {
        to.say("signal");
        for (signal_mask left = mask; left; left &= left - 1) {
            to.say(" ");
            to.say(static_cast<std::size_t>(lowest_signal(left)));
        }
    }

private:
    /// Those that the system does not hand out, and those after which the program cannot go on.
    static constexpr bool is_kept(int n) noexcept {
        for (const int kept : {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) if (n == kept) return true;
        return false;
    }
    int refused_ = 0;
    bool valid_ = true;
};

}  // namespace detail

/// Waits until one of these signals comes to the process, and gives its number: `co_await next_signal(SIGHUP, SIGUSR1)`.
/// Every task that waits gets it, on every reactor. From the first call on a reactor to the end of that reactor the
/// signal does nothing else, also if the process ignored it (nohup); a signal that comes while no task of the reactor
/// waits for it is kept for the next call. Several of one kind may become one, and the lowest number comes first. When
/// the last reactor that used a signal ends, its previous action is restored. Under run_main, SIGINT or SIGTERM
/// asked for here no longer stops the program; its tasks decide.
///
/// Throws `cancelled` when the task is stopped; nothing is lost then. Throws errc::invalid_argument for SIGKILL, SIGSTOP,
/// signals that a fault raises (SIGSEGV, SIGFPE, ...) and what is no signal. Do not block these signals in all threads.
/// Costs one descriptor per reactor and, for each signal, a sigaction(2) at the first call. A child process that is
/// started by fork and exec has the default actions.
template <std::same_as<int>... More> [[nodiscard]] auto next_signal(int number, More... more) noexcept {
    return detail::signal_operation{{number, more...}};
}

}  // namespace hawser
