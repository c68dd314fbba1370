// The floor: a bare loop over libtls and io_uring, without a library in between. One thread, state machines by hand.

#include <CLI/CLI.hpp>

#include <algorithm>
#include <string>

#include "../support/server_options.hpp"
#include "empty_lines.hpp"
#include "floor_tls.hpp"
#include "libtls_settings.hpp"
#include "sockets.hpp"

namespace {

class tcp_echo final : public bare::connection {
public:
    tcp_echo(bare::loop& in, int fd) : connection{in, fd} {}

private:
    void drive() override {
        while (!inbox_.empty() && has_room()) {
            const auto some = inbox_.first(std::min<std::size_t>(inbox_.size(), bare::ring::buffer_size));
            append(some);
            inbox_ = inbox_.subspan(some.size());
        }
        if (ended_ && inbox_.empty()) finish();
    }
};

class tls_server_connection : public bare::tls_connection {
public:
    tls_server_connection(bare::loop& in, int fd, ::tls* context) : tls_connection{in, fd} {
        if (::tls_accept_cbs(context, &session_, take_input, give_output, this) != 0) finish();
    }

protected:
    /// For what read() says besides a count.
    void stop(ssize_t n) {
        if (n != TLS_WANT_POLLIN) close();
    }
};

class tls_echo final : public tls_server_connection {
    using tls_server_connection::tls_server_connection;

    void drive() override {
        while (has_room()) {
            const ssize_t n = read(in_.plaintext);
            if (n <= 0) return stop(n);
            if (!write(std::span{in_.plaintext}.first(static_cast<std::size_t>(n)))) return finish();
        }
    }
};

class tls_hello final : public tls_server_connection {
    using tls_server_connection::tls_server_connection;

    void drive() override {
        while (has_room()) {
            const ssize_t n = read(in_.plaintext);
            if (n <= 0) return stop(n);
            answers_.clear();
            const std::span text{in_.plaintext.data(), static_cast<std::size_t>(n)};
            for (std::size_t left = requests_.in(text); left != 0; --left) answers_ += hello_response;
            if (!write(std::as_bytes(std::span{answers_}))) return finish();
        }
    }

    static inline std::string answers_;
    empty_lines requests_;
};

class tls_bulk final : public tls_server_connection {
    using tls_server_connection::tls_server_connection;

    static constexpr std::size_t record = 16384;

    void drive() override {
        for (;;) {
            if (step_ == step::sending) {
                while (done_ < end_ && has_room()) {
                    const std::size_t n = std::min(end_ - done_, record);
                    if (!write(std::span{block_}.subspan(done_, n))) return finish();
                    done_ += n;
                }
                if (done_ < end_) return;
                left_ -= end_;
                next();
            } else {
                const auto room = step_ == step::asked ? std::as_writable_bytes(std::span{&asked_, 1}) : std::span{block_};
                const ssize_t n = read(room.subspan(done_));
                if (n <= 0) return stop(n);
                done_ += static_cast<std::size_t>(n);
                if (done_ < room.size()) continue;
                if (step_ == step::asked) begin();
                else start(step::sending);
            }
        }
    }

    void begin() {
        left_ = asked_.both_ways != 0 && asked_.block != 0 ? asked_.total / asked_.block * asked_.block : asked_.total;
        block_.resize(asked_.block);
        next();
    }
    /// A block, or the next request.
    void next() {
        if (left_ == 0 || block_.empty()) {
            block_ = {};
            return start(step::asked);
        }
        start(asked_.both_ways != 0 ? step::receiving : step::sending);
    }

    enum class step { asked, receiving, sending };
    void start(step s) {
        step_ = s;
        done_ = 0;
        end_ = static_cast<std::size_t>(std::min<std::uint64_t>(left_, block_.size()));
    }

    bulk_request asked_{};
    std::vector<std::byte> block_;
    std::uint64_t left_ = 0;           // bytes still to be written
    std::size_t done_ = 0, end_ = 0;   // of this block, or of the request
    step step_ = step::asked;
};

class acceptor final : public bare::subject {
public:
    using make_connection = bare::connection* (*)(bare::loop&, int fd, ::tls*);

    acceptor(bare::loop& in, int fd, ::tls* context, make_connection make) : in_{in}, fd_{fd}, context_{context}, make_{make} {
        arm();
    }

    void complete(op, const io_uring_cqe& cqe) override {
        if (cqe.res >= 0) make_(in_, cqe.res, context_)->settle();
        else if (cqe.res != -ECONNABORTED && cqe.res != -EINTR) sockets::die("accept", -cqe.res);
        if ((cqe.flags & IORING_CQE_F_MORE) == 0) arm();
    }

private:
    void arm() {
        io_uring_sqe* sqe = in_.io.entry();
        ::io_uring_prep_multishot_accept(sqe, fd_, nullptr, nullptr, SOCK_CLOEXEC);
        ::io_uring_sqe_set_data64(sqe, tag(op::accept));
    }

    bare::loop& in_;
    int fd_;
    ::tls* context_;
    make_connection make_;
};

template <class Connection> bare::connection* make(bare::loop& in, int fd, [[maybe_unused]] ::tls* context) {
    if constexpr (std::is_base_of_v<bare::tls_connection, Connection>) return new Connection{in, fd, context};
    else return new Connection{in, fd};
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"The floor: libtls and io_uring in a bare loop."};
    const server_options of = parse_server_options(app, argc, argv);
    const acceptor::make_connection connection = of.mode == "tcp-echo"   ? make<tcp_echo>
                                                 : of.mode == "tls-echo" ? make<tls_echo>
                                                 : of.mode == "tls-bulk" ? make<tls_bulk>
                                                                         : make<tls_hello>;
    ::tls* const context = of.mode == "tcp-echo" ? nullptr : libtls::server_context(of.cert, of.key);
    const int door = sockets::listen_on(of.port);
    bare::loop loop;
    acceptor accepting{loop, door, context, connection};
    announce(sockets::port_of(door));
    for (;;) loop.turn();
}
