#pragma once
// Any stream as a transport, by two pumps; so TLS runs over it, and any_stream erases it.

#include <hawser/coro/event.hpp>
#include <hawser/net/plain_core.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/stream/buffered.hpp>

namespace hawser::detail {

template <stream S> class stream_transport final : public transport, io_object {
public:
    stream_transport(reactor& loop, S&& over) : transport{loop}, next_{std::move(over)} {
        for (pump* p : {&receiver_, &sender_}) {
            p->self = this;
            p->show = [](const root_task& t, inspector& to) { to.show(*static_cast<const pump&>(t).running); };
            p->run = [](waiter& w) noexcept { static_cast<pump&>(w).self->pump_ended(static_cast<pump&>(w)); };
        }
        linger_.self = this;
        linger_.fire = [](timer& t) noexcept { static_cast<linger_timer&>(t).self->abort(); };
        loop.attach(*this);
    }
    /// Starts the pumps, which wait until there is something to do.
    void open() {
        begin(receiver_, receive_loop());
        begin(sender_, send_loop());
    }

    void receive() noexcept override { wanted_.set(); }
    void pause() noexcept override { wanted_.reset(); }
    void commit() noexcept override { work_.set(); }
    std::size_t unsent() const noexcept override { return filling_.size() + flying_.size(); }
    void shutdown_send() noexcept override {
        shutdown_wanted_ = true;
        work_.set();
    }
    void release() noexcept override {
        sink_ = nullptr;
        if (!loop_ || unsent() == 0) return abort();
        shutdown_wanted_ = leaving_ = true;
        loop_->set_timer(linger_, deadline_after(loop_->now(), defaults::close_timeout));
        loop_->hold();
        work_.set();
    }
    void abort() noexcept override {
        sink_ = nullptr;
        if (!loop_) return;
        if (std::exchange(leaving_, false)) loop_->unhold();
        loop_->cancel_timer(linger_);
        stop_.request_stop();
    }
    std::string peer() const override {
        if constexpr (requires { next_.peer_name(); }) return next_.peer_name();
        else return "a stream";
    }

private:
    struct pump : waiter, root_task {
        stream_transport* self = nullptr;
        std::optional<operation<void>> running;
    };
    struct linger_timer : timer {
        stream_transport* self = nullptr;
    };
    ~stream_transport() override { io_object::unlink(); }

    void begin(pump& p, operation<void> body) {
        add_ref();
        p.running.emplace(std::move(body));
        loop_->attach(static_cast<root_task&>(p));
        if (!p.running->start({loop_, stop_.get_token()}, p)) loop_->make_ready(p);
    }
    void pump_ended(pump& p) noexcept {
        p.unlink();
        p.running.reset();
        drop_ref();
    }

    operation<void> receive_loop() {
        for (;;) {
            auto resumed = co_await as_result(wanted_.wait());
            if (!resumed) co_return resumed;
            if constexpr (requires { next_.read(); }) {
                auto chunk = co_await as_result(next_.read());
                if (!chunk) co_return end(chunk.error());
                if (!*chunk) co_return end(0);
                if (sink_) sink_->on_bytes(**chunk);
            } else {
                auto n = co_await as_result(next_.read_some(mutable_buffer{buffer_}));
                if (!n) co_return end(n.error());
                if (*n == 0) co_return end(0);
                if (sink_) sink_->on_bytes(hawser::detail::slice<const std::byte>{buffer_}.first(*n));
            }
        }
    }
    result<void> end(const error_info& why) noexcept {
        if (why == errc::cancelled) return why;
        // A layer above knows transports by errno: a cut TLS stream below must not look like its proper end.
        return end(why.code().category() == std::system_category() ? why.code().value() : ECONNRESET);
    }
    result<void> end(int number) noexcept {
        if (sink_) sink_->on_end(number);
        return {};
    }
    operation<void> send_loop() {
        for (;;) {
            auto woken = co_await as_result(work_.wait());
            if (!woken) co_return woken;
            work_.reset();
            while (!filling_.empty()) {
                flying_.swap(filling_);
                auto n = co_await as_result(write_all(next_, const_buffer{flying_.view()}));
                flying_.clear();
                if (!n) {
                    filling_.clear();
                    const auto& code = n.error().code();
                    if (sink_ && !(n.error() == errc::cancelled)) {
                        sink_->on_send_error(code.category() == std::system_category() ? code.value() : EPIPE);
                    }
                    co_return n.error();
                }
                if (sink_) sink_->on_room();
            }
            if (!shutdown_wanted_) continue;
            if constexpr (requires { next_.shutdown_send(); }) {
                auto ended = co_await as_result(next_.shutdown_send());
                if (!ended) co_return ended.error();
            }
            if (leaving_) abort();
            co_return result<void>{};
        }
    }

    void on_reactor_stop() noexcept override { abort(); }
    void on_reactor_gone() noexcept override {
        loop_ = nullptr;
        if (sink_) sink_->on_gone();
    }

    S next_;
    stop_source stop_;
    event wanted_, work_;
    pump receiver_, sender_;
    linger_timer linger_;
    byte_queue flying_;
    std::array<std::byte, std::is_base_of_v<any_stream, S> ? 1 : 16384> buffer_;
    bool shutdown_wanted_ = false, leaving_ = false;
};

template <class S> inline constexpr bool is_buffered_movable = false;
template <class S> inline constexpr bool is_buffered_movable<buffered<S>> = std::is_move_constructible_v<std::remove_reference_t<S>>;

/// The transport below `s`: of a plain stream its own, of anything else pumps. A `buffered` is taken apart, also one that
/// refers to its stream: the layer above may have to send when the scope of both is left.
template <stream S> taken_transport transport_of(reactor& loop, S&& s) {
    if constexpr (is_buffered_movable<S>) {
        byte_queue first;
        taken_transport taken = detail::transport_of(loop, s.surrender(first));
        if (!first.append(taken.unread.view())) throw std::bad_alloc{};
        taken.unread.swap(first);
        return taken;
    } else {
        if constexpr (std::is_base_of_v<any_stream, S>) {
            if (auto* plain = dynamic_cast<plain_core*>(s.core().get())) {
                const any_stream moved_from{std::move(s)};  // else the caller's handle would keep the descriptor open
                return plain->surrender();
            }
        }
        auto* pumps = new stream_transport<S>{loop, std::move(s)};
        ref<transport> carrier{pumps};
        pumps->open();
        return {std::move(carrier)};
    }
}

}  // namespace hawser::detail

namespace hawser {

/// Makes an any_stream of a stream of one's own, which it owns: two tasks of the reactor pump its bytes. Throws
/// errc::no_reactor outside run().
template <stream S>
    requires(!std::is_lvalue_reference_v<S> && !std::is_base_of_v<any_stream, S>)
any_stream make_any_stream(S&& s) {
    using namespace detail;
    reactor* loop = reactor::current();
    if (!loop) throw_error(errc::no_reactor);
    return any_stream{ref<stream_core>{new plain_core{transport_of(*loop, std::move(s))}}};
}

}  // namespace hawser
