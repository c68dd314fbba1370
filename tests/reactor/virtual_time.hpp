#pragma once
// A backend whose time passes only when nothing else can happen, and whose operations end by cancel() only.

#include <cstdio>
#include <cstdlib>

#include <hawser/coro/task.hpp>
#include <hawser/reactor/reactor.hpp>
#include <hawser/reactor/run.hpp>

namespace virtual_time {

class backend final : public hawser::detail::backend {
public:
    void start(hawser::detail::op& o) noexcept override {
        o.active = true;
        o.cancelling = false;
        ++in_flight_;
    }
    void cancel(hawser::detail::op& o) noexcept override {
        if (!o.active || o.cancelling) return;
        o.cancelling = true;
        cancelled_.push_back(o);
    }
    void wait(hawser::time_point until) noexcept override {
        if (!cancelled_.empty()) {
            while (!cancelled_.empty()) {
                hawser::detail::op& o = cancelled_.pop_front();
                o.active = false;
                --in_flight_;
                o.on_complete(o, {-ECANCELED, {}, false});
            }
            return;
        }
        if (until == hawser::time_point::max()) {
            std::fputs("dead lock: nothing is ready, no timer is set, and the task has not ended\n", stderr);
            std::abort();
        }
        if (until > now_) now_ = until;
    }
    std::size_t in_flight() const noexcept override { return in_flight_; }
    hawser::time_point now() const noexcept override { return now_; }
    const char* name() const noexcept override { return "virtual time"; }

private:
    hawser::detail::list<hawser::detail::op> cancelled_;
    std::size_t in_flight_ = 0;
    hawser::time_point now_{std::chrono::hours{1000}};
};

/// Runs `t` as hawser::run does.
template <class T> T run(hawser::task<T> t) {
    hawser::detail::root<hawser::task<T>> root{std::move(t)};
    backend io;
    hawser::reactor loop{io};
    return root.run_on(loop).get();
}

inline hawser::time_point now() { return hawser::reactor::current()->now(); }

}  // namespace virtual_time
