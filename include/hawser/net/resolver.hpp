#pragma once
// What turns names into addresses, as an interface: c-ares is one, a table in a test another.

#include <vector>

#include <hawser/base/intrusive.hpp>
#include <hawser/net/endpoint.hpp>

namespace hawser {

/// Which addresses are wanted.
enum class address_family : unsigned char { any, v4, v6 };

namespace detail {
class resolve_operation;
}

/// One question to a resolver, and the way back for its answer. Counted by reference: it may outlive the operation
/// that asks, which is gone once it was cancelled or timed out. Belongs to the thread of its reactor.
class resolve_query final : public detail::ref_counted {
public:
    /// The name, never an address, "localhost" or empty; at most 253 characters and a final dot.
    const std::string& host() const noexcept { return host_; }
    /// The port that belongs into every endpoint of the answer.
    std::uint16_t port() const noexcept { return port_; }
    address_family family() const noexcept { return family_; }

    /// Gives the answer: endpoints in the order in which they should be tried, or why there are none. Call it once,
    /// from start() or later, on the reactor's thread. It resumes nobody inside; nobody may be waiting any more.
    void finish(result<std::vector<endpoint>> answer) noexcept;

private:
    friend class detail::resolve_operation;
    resolve_query(std::string_view host, address_family family) : host_{host}, family_{family} {}

    std::string host_;
    std::uint16_t port_ = 0;
    address_family family_;
    detail::resolve_operation* asker_ = nullptr;
};

/// Keeps a query as long as its answer may come.
using resolve_query_ref = detail::ref<resolve_query>;

/// Looks names up for the tasks of one reactor. Must outlive its last query.
class resolver {
public:
    resolver() = default;
    resolver(const resolver&) = delete;
    resolver& operator=(const resolver&) = delete;
    virtual ~resolver() = default;

    /// Begins to look up query->host(); query->finish() is called once, inside or later. Must not block. What it
    /// throws is thrown by resolve().
    virtual void start(resolve_query_ref query) = 0;
};

}  // namespace hawser
