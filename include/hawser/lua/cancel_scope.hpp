#pragma once
// cancel_scope: what stops a part of a Lua task, a task, or a group of them.

#include <hawser/base/intrusive.hpp>
#include <hawser/reactor/reactor.hpp>

namespace hawser::lua::detail {

/// One stop source in the chain from an operation to the outermost group. A stop of an outer one stops the inner ones.
class cancel_scope final : public hawser::detail::ref_counted, hawser::detail::timer {
public:
    explicit cancel_scope(hawser::detail::ref<cancel_scope> outer) noexcept : outer_{std::move(outer)} {
        if (outer_) source_.follow(outer_->token());
    }
    /// Below a C++ task. `outer` must live until unfollow().
    explicit cancel_scope(stop_token outer) noexcept { source_.follow(outer); }
    void unfollow() noexcept { source_.unfollow(); }

    stop_token token() noexcept { return source_.get_token(); }
    bool stop_requested() const noexcept { return source_.stop_requested(); }
    void request_stop() noexcept { source_.request_stop(); }

    /// Stops itself after `limit`, once.
    void set_limit(reactor& loop, duration limit) noexcept {
        loop_ = &loop;
        fire = [](hawser::detail::timer& t) noexcept {
            cancel_scope& self = static_cast<cancel_scope&>(t);
            if (self.stop_requested()) return;
            self.timed_out_ = true;
            self.request_stop();
        };
        loop.set_timer(*this, deadline_after(loop.now(), limit));
    }
    void clear_limit() noexcept {
        if (loop_ && hawser::detail::timer_heap::is_set(*this)) loop_->cancel_timer(*this);
    }
    /// The reactor of its limit has gone, and with it the timer.
    bool timed_out() const noexcept { return timed_out_; }

    /// The outermost scope that was stopped: the reason why operations below fail. nullptr: none was.
    cancel_scope* cause() noexcept {
        cancel_scope* found = nullptr;
        for (cancel_scope* s = this; s; s = s->outer_.get()) if (s->stop_requested()) found = s;
        return found;
    }
    /// An operation in it has failed because `cause`, it or an outer one, was stopped.
    void cut(const cancel_scope& cause) noexcept {
        for (cancel_scope* s = this; s; s = s->outer_.get()) {
            s->has_cut_ = true;
            if (s == &cause) break;
        }
    }
    bool has_cut() const noexcept { return has_cut_; }

    const hawser::detail::ref<cancel_scope>& outer() const noexcept { return outer_; }

private:
    ~cancel_scope() override { clear_limit(); }

    hawser::detail::ref<cancel_scope> outer_;
    stop_source source_;
    reactor* loop_ = nullptr;
    bool timed_out_ = false, has_cut_ = false;
};

}  // namespace hawser::lua::detail
