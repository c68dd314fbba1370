#pragma once
// task and group: Lua coroutines that hawser's loop resumes, and what joins and stops them together.

#include <new>
#include <string>

#include <hawser/coro/event.hpp>
#include <hawser/lua/pending.hpp>
#include <hawser/lua/reference.hpp>

namespace hawser::lua::detail {

class machine;
class group;

using hawser::detail::ref;

/// One Lua coroutine and what it waits for.
class task final : public hawser::detail::ref_counted, public hawser::detail::list_node {
public:
    enum class status : unsigned char { queued, running, waiting, parked, done, failed, cancelled };

    /// `thread`: the coroutine on whose stack the function and its arguments are. Empty: the loop's own stand-in, for
    /// operations outside of any task.
    task(machine& of, ref<group> member_of, reference thread, state* co, int arguments);

    machine& owner() const noexcept { return *machine_; }
    state* thread() const noexcept { return co_; }
    status now() const noexcept { return status_; }
    bool ended() const noexcept { return status_ >= status::done; }
    const ref<group>& member_of() const noexcept { return group_; }

    /// Under what its operations run.
    cancel_scope& scope() const noexcept { return *scope_; }
    hawser::detail::environment environment() const noexcept;
    /// Opens a part of the task that can be stopped by itself.
    void enter(ref<cancel_scope> inner) noexcept { scope_ = std::move(inner); }
    /// Ends that part, and those that were opened in it and not ended.
    void leave(const cancel_scope& inner) noexcept {
        const cancel_scope* at = scope_.get();
        while (at && at != base_.get() && at != &inner) at = at->outer().get();
        if (at != &inner) return;  // it was ended with an outer one
        while (scope_.get() != &inner && scope_.get() != base_.get()) leave_one();
        if (scope_.get() != base_.get()) leave_one();
    }
    void request_stop() noexcept { base_->request_stop(); }
    bool stop_requested() const noexcept { return base_->stop_requested(); }
    /// Counts operations that a stop has refused. True when there were so many that the task would never end by itself.
    bool ignores_stop() noexcept { return ++refusals_ > most_refusals; }

    /// Makes `p` what it waits for, and deletes what that was before.
    void hold(pending* p) noexcept {
        if (p) p->owner = this;
        delete std::exchange(held_, p);
    }
    /// Starts it. False: it has ended.
    bool start() noexcept {
        held_->run = [](hawser::detail::waiter& w) noexcept { static_cast<pending&>(w).owner->operation_ended(); };
        waits_ = held_->start(environment());
        if (waits_) add_ref();
        else held_->end(*scope_);
        return waits_;
    }
    pending* held() const noexcept { return held_; }

    /// What ended it: the results are on its coroutine's stack, or the error is kept.
    int results() const noexcept { return results_; }
    const reference& error() const noexcept { return error_; }
    const std::string& traceback() const noexcept { return traceback_; }
    event& at_end() noexcept { return at_end_; }

    /// A bare coroutine.yield() parks it until machine::schedule(): the way of nfl, for its spawn() alone.
    bool may_park = false;
    /// It could not even be resumed; there is no error to keep.
    bool ran_out_of_memory = false;
    /// Somebody has asked for its end, and so for its error.
    bool joined = false;

    void inspect(hawser::detail::inspector& to) const;

private:
    friend class machine;
    friend class group;
    struct node : hawser::detail::waiter {
        task* self = nullptr;
    };
    struct stop_node : hawser::detail::stop_callback {
        task* self = nullptr;
    };
    void leave_one() noexcept {
        scope_->clear_limit();
        scope_ = ref<cancel_scope>{scope_->outer()};
    }
    static constexpr unsigned most_refusals = 256;

    ~task() override;
    void operation_ended() noexcept;

    machine* machine_;
    ref<group> group_;
    reference thread_;
    state* co_;
    ref<cancel_scope> base_, scope_;
    node turn_;  // queues it without an operation: to begin, and after schedule()
    stop_node stop_while_parked_;
    pending* held_ = nullptr;
    int arguments_ = 0, results_ = 0;
    unsigned refusals_ = 0;
    status status_ = status::queued;
    bool* done_ = nullptr;  // of the stand-in, whose code waits in the loop
    bool began_ = false;
    bool cut_while_parked_ = false;
    bool waits_ = false;   // the kernel, or another task, will end what it holds
    reference error_;
    std::string traceback_;
    event at_end_;
};

/// Tasks that end together: an error of one stops the others.
class group final : public hawser::detail::ref_counted {
public:
    explicit group(ref<cancel_scope> scope) noexcept : scope_{std::move(scope)} { empty_.set(); }

    const ref<cancel_scope>& scope() const noexcept { return scope_; }
    std::size_t size() const noexcept { return size_; }
    event& when_empty() noexcept { return empty_; }
    void request_stop() noexcept { scope_->request_stop(); }

    /// Nobody waits for its end: an error is reported at once.
    bool unattended = false;
    /// The first task that failed, or an empty reference.
    const ref<task>& failed() const noexcept { return failed_; }

    void begun() noexcept {
        ++size_;
        empty_.reset();
    }
    void ended(task& t) noexcept {
        if (t.now() == task::status::failed) {
            if (!failed_) failed_ = ref<task>{&t};
            scope_->request_stop();
        }
        if (--size_ == 0) empty_.set();
    }

private:
    ref<cancel_scope> scope_;
    std::size_t size_ = 0;
    event empty_;
    ref<task> failed_;
};

inline task::task(machine& of, ref<group> member_of, reference thread, state* co, int arguments)
    : machine_{&of}, group_{std::move(member_of)}, thread_{std::move(thread)}, co_{co},
      base_{new cancel_scope{group_ ? group_->scope() : ref<cancel_scope>{}}}, scope_{base_}, arguments_{arguments} {
    turn_.self = stop_while_parked_.self = this;
}

inline task::~task() { delete held_; }

inline void task::inspect(hawser::detail::inspector& to) const {
    to.say("a Lua task");
    if (!held_ || status_ != status::waiting) return;
    to.say(" awaits ");
    held_->inspect(to);
}

}  // namespace hawser::lua::detail
