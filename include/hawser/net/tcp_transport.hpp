#pragma once
// A connected socket as a transport: one receive and one send in flight, both in buffers of ours.

#include <hawser/net/socket.hpp>
#include <hawser/net/transport.hpp>

namespace hawser::detail {

class tcp_transport final : public transport, io_object {
public:
    /// `host` is what the caller named the peer, for messages; empty if nothing.
    tcp_transport(reactor& loop, unique_fd fd, const endpoint& remote, std::string_view host)
        : transport{loop}, fd_{std::move(fd)}, remote_{remote}, host_{host} {
        receive_.self = send_.self = flush_.self = linger_.self = this;
        receive_.fd = send_.fd = fd_.get();
        receive_.on_complete = [](op& o, const completion& c) noexcept { static_cast<node<receive_op>&>(o).self->received(c); };
        send_.on_complete = [](op& o, const completion& c) noexcept { static_cast<node<send_op>&>(o).self->sent(c.result); };
        flush_.flush = [](deferred& d) noexcept { static_cast<node<deferred>&>(d).self->send_now(); };
        linger_.fire = [](timer& t) noexcept { static_cast<node<timer>&>(t).self->end_linger(); };
        loop.attach(*this);
    }

    const endpoint& remote() const noexcept { return remote_; }
    int native_handle() const noexcept override { return fd_.get(); }
    std::string peer() const override {
        const std::string address = remote_.to_string();
        return host_.empty() ? address : host_ + " (" + address + ")";
    }

    void receive() noexcept override {
        if (!loop_ || ended_ || dropped_) return;
        wanted_ = true;
        if (receive_.active) return;  // a receive that is being cancelled starts again when it has ended
        start_receive();
    }
    void pause() noexcept override {
        wanted_ = false;
        if (loop_ && receive_.active) loop_->io().cancel(receive_);
        paused_ = true;
    }

    void commit() noexcept override {
        if (!loop_ || send_error_ || dropped_) return;
        if (filling_.size() >= send_mark) send_now();
        else loop_->defer(flush_);
    }
    std::size_t unsent() const noexcept override { return filling_.size() + flying_.size(); }

    void shutdown_send() noexcept override {
        shutdown_wanted_ = true;
        shut_down_when_sent();
    }

    void release() noexcept override {
        const bool pending = loop_ && !send_error_ && unsent() != 0;
        sink_ = nullptr;
        if (!pending) return abort();
        lingering_ = true;
        add_ref();
        loop_->hold();
        loop_->set_timer(linger_, deadline_after(loop_->now(), defaults::close_timeout));
        shutdown_wanted_ = true;
        receive();  // unread input would turn close(2) into a reset that overtakes what is sent
    }
    void abort() noexcept override {
        if (lingering_) return end_linger();
        sink_ = nullptr;
        drop();
        filling_.clear();
        if (!loop_) return;
        flush_.unlink();
        pause();
        if (send_.active) loop_->io().cancel(send_);
        close_if_dropped();
    }

private:
    template <class Base> struct node : Base {
        tcp_transport* self = nullptr;
    };
    ~tcp_transport() override {
        flush_.unlink();
        close_descriptor();
        io_object::unlink();
    }

    void start_receive() noexcept {
        receive_.piecewise = std::exchange(paused_, false);
        add_ref();
        loop_->io().start(receive_);
    }
    void received(const completion& c) noexcept {
        if (c.result > 0) {
            if (sink_) sink_->on_bytes(c.data);
            if (c.more) return;
        }
        if (c.more) return;
        if (c.result == 0 || (c.result < 0 && c.result != -ECANCELED && !(receive_.cancelling && c.result == -ENOBUFS))) {
            ended_ = true;
            // Linux reports a reset once: where a send has had it, the end that follows is no proper one.
            if (sink_) sink_->on_end(c.result == 0 ? lost_ : -c.result);
            if (lingering_ && (c.result < 0 || unsent() == 0)) end_linger();
        } else if (wanted_ && loop_ && (sink_ || lingering_)) {
            start_receive();
        }
        close_if_dropped();
        drop_ref();
    }

    void send_now() noexcept {
        if (send_.active || filling_.empty() || !loop_ || send_error_) return;
        flying_.swap(filling_);
        start_send();
    }
    void start_send() noexcept {
        send_.data = flying_.view();
        add_ref();
        loop_->io().start(send_);
    }
    void sent(int result) noexcept {
        if (result < 0) {
            send_error_ = true;
            if (result != -EPIPE && result != -ECANCELED) lost_ = -result;  // EPIPE follows a proper end as well
            cut_ = true;
            flying_.clear();
            filling_.clear();
            if (sink_) sink_->on_send_error(-result);
            if (lingering_) end_linger();
        } else if (dropped_) {
            cut_ = cut_ || static_cast<std::size_t>(result) < flying_.size();
            flying_.clear();  // a send that was cancelled half-way does not go on
        } else {
            flying_.consume(static_cast<std::size_t>(result));
            if (!flying_.empty()) start_send();
            else if (filling_.size() >= send_mark) send_now();
            else if (!filling_.empty()) loop_->defer(flush_);
            if (sink_) sink_->on_room();
            shut_down_when_sent();
        }
        close_if_dropped();
        drop_ref();
    }
    /// As soon as the kernel works on it no more, and not only with the last handle, which may be kept for long.
    void close_if_dropped() noexcept {
        if (dropped_ && !receive_.active && !send_.active) close_descriptor();
    }
    /// Through the backend, whose peers have to see it; without a reactor there is none.
    void close_descriptor() noexcept {
        if (loop_ && fd_) loop_->io().close(fd_.release(), cut_);
        else fd_.reset();
    }
    void shut_down_when_sent() noexcept {
        if (!shutdown_wanted_ || shut_down_ || unsent() != 0) return;
        shut_down_ = true;
        if (loop_ && fd_) loop_->io().shutdown_send(fd_.get());
        if (lingering_ && ended_) end_linger();
    }
    void end_linger() noexcept {
        if (!lingering_) return;
        lingering_ = false;
        loop_->cancel_timer(linger_);
        loop_->unhold();
        abort();
        drop_ref();
    }

    /// Nothing more is sent.
    void drop() noexcept {
        dropped_ = true;
        cut_ = cut_ || !filling_.empty();
    }
    void on_reactor_stop() noexcept override {
        wanted_ = false;
        drop();
        if (receive_.active) loop_->io().cancel(receive_);
        if (send_.active) loop_->io().cancel(send_);
    }
    void on_reactor_gone() noexcept override {
        flush_.unlink();
        close_descriptor();
        loop_ = nullptr;
        if (sink_) sink_->on_gone();
    }

    unique_fd fd_;
    endpoint remote_;
    std::string host_;
    node<receive_op> receive_;
    node<send_op> send_;
    node<deferred> flush_;
    node<timer> linger_;
    byte_queue flying_;
    int lost_ = 0;  // why sending failed, if that says that receiving has failed too
    bool wanted_ = false, ended_ = false, send_error_ = false, shutdown_wanted_ = false, shut_down_ = false, lingering_ = false, dropped_ = false;
    bool paused_ = false;  // since the last receive was started
    bool cut_ = false;  // something that was accepted was not sent
};

}  // namespace hawser::detail
