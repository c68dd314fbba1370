#pragma once
// A level-triggered stop request within one thread: no allocation, no atomics. To stop a task of another thread,
// post a function to its reactor.

#include <hawser/base/intrusive.hpp>

namespace hawser {

class stop_source;

namespace detail {

/// A function to call once when stop is requested. Linked from before an operation starts until it has finished.
struct stop_callback : list_node {
    void (*invoke)(stop_callback&) noexcept = nullptr;
};

}  // namespace detail

/// Tells a task whether it was asked to stop. Valid as long as its source.
class stop_token {
public:
    stop_token() noexcept = default;
    bool stop_requested() const noexcept;
    bool stop_possible() const noexcept { return source_ != nullptr; }

private:
    friend class stop_source;
    explicit stop_token(stop_source* source) noexcept : source_{source} {}
    stop_source* source_ = nullptr;
};

/// Makes a stop request. Pinned: tokens and callbacks point to it.
class stop_source {
public:
    stop_source() noexcept = default;
    stop_source(const stop_source&) = delete;
    stop_source& operator=(const stop_source&) = delete;
    ~stop_source() { parent_.unlink(); }

    stop_token get_token() noexcept { return stop_token{this}; }
    bool stop_requested() const noexcept { return requested_; }

    /// Asks every operation that waits under this source to give up. They become ready; none is resumed inside.
    void request_stop() noexcept {
        if (requested_) return;
        requested_ = true;
        while (!callbacks_.empty()) {
            detail::stop_callback& callback = callbacks_.pop_front();
            callback.invoke(callback);
        }
    }

    /// From now on a stop of `parent` is a stop of this one too.
    void follow(stop_token parent) noexcept {
        if (!parent.source_) return;
        if (parent.source_->requested_) return request_stop();
        parent_.owner = this;
        parent_.invoke = [](detail::stop_callback& c) noexcept { static_cast<link&>(c).owner->request_stop(); };
        parent.source_->callbacks_.push_back(parent_);
    }
    void unfollow() noexcept { parent_.unlink(); }

    /// Registers `callback` with the token's source; does nothing where there is none or stop was already requested.
    static void attach(stop_token token, detail::stop_callback& callback) noexcept {
        if (token.source_ && !token.source_->requested_) token.source_->callbacks_.push_back(callback);
    }

private:
    struct link : detail::stop_callback {
        stop_source* owner = nullptr;
    };
    bool requested_ = false;
    detail::list<detail::stop_callback> callbacks_;
    link parent_;
};

inline bool stop_token::stop_requested() const noexcept { return source_ && source_->stop_requested(); }

}  // namespace hawser
