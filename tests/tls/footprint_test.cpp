// What many connections hold: OpenSSL's buffers go back while they are empty.

#include <openssl/ssl.h>

#include <memory>
#include <vector>

#include "support.hpp"

using namespace hawser_test;
using hawser::detail::byte_queue;
using hawser::detail::frame_recycler;
using hw::tls::detail::one_of_many;

namespace {

/// The SSL objects that this thread makes, in their order. Nothing is noted where libtls stands on another library.
std::vector<SSL*>& made() {
    static std::vector<SSL*> all;
    static const int watching = SSL_get_ex_new_index(
        0, nullptr, [](void* ssl, void*, CRYPTO_EX_DATA*, int, long, void*) { all.push_back(static_cast<SSL*>(ssl)); }, nullptr, nullptr);
    static_cast<void>(watching);
    return all;
}
bool gives_buffers_back(SSL* ssl) { return (SSL_get_mode(ssl) & SSL_MODE_RELEASE_BUFFERS) != 0; }

/// So many connections, as far as counting goes.
std::vector<std::unique_ptr<one_of_many>> connections(int count) {
    std::vector<std::unique_ptr<one_of_many>> all;
    for (int i = 0; i < count; ++i) all.push_back(std::make_unique<one_of_many>());
    return all;
}

}  // namespace

TEST_CASE("few connections keep OpenSSL's buffers, the others give them back while they are empty") {
    const auto context = context_of(server_config());
    const auto trust = client_config({});
    made().clear();
    byte_queue out;
    const auto others = connections(one_of_many::few - 1);
    engine last_of_few{out};
    last_of_few.accept(context).value();
    engine first_of_many{out};
    first_of_many.accept(context).value();
    engine client{out};
    client.connect(trust, "localhost").value();
    if (made().empty()) return;
    REQUIRE(made().size() == 3);
    CHECK(!gives_buffers_back(made()[0]));
    CHECK(gives_buffers_back(made()[1]));
    CHECK(gives_buffers_back(made()[2]));
}

TEST_CASE("connections that give their buffers back talk like any other") {
    const auto others = connections(one_of_many::few);
    for (const std::string_view version : both_versions) {
        CAPTURE(version);
        line_pair p{{.protocols = version}};
        p.connected();
        const std::string sent = long_text(50000), answer = long_text(300);
        CHECK(p.client.write(sent) == sent.size());
        CHECK(p.server.write(answer) == answer.size());
        std::size_t piece = 0;
        p.settle([&] { return piece = piece % 1500 + 7; });  // most records come in parts
        CHECK(p.server.got == sent);
        CHECK(p.client.got == answer);
    }
}

#if HAWSER_RECYCLES
TEST_CASE("connections are a crowd: when most have left, what is kept for others goes back") {
    auto all = connections(one_of_many::crowd);
    frame_recycler::give(frame_recycler::take(64), 64);
    all.resize(one_of_many::crowd / 4);
    CHECK(frame_recycler::kept() == 0);
}
#endif
