// The rows of what tasks wait for among themselves, and of what comes from other threads and from the system.

#include <poll.h>

#include <csignal>

#include <hawser/coro/channel.hpp>
#include <hawser/coro/generator.hpp>
#include <hawser/coro/mutex.hpp>
#include <hawser/coro/semaphore.hpp>
#include <hawser/reactor/remote_channel.hpp>
#include <hawser/reactor/signals.hpp>

#include "table.hpp"

using namespace hawser_test;
using namespace std::chrono_literals;

namespace {

struct locked : world {
    hw::mutex lock;
    hw::mutex::guard held = lock.try_lock();
    void leave() override { held = {}; }
};
struct counted_permits : world {
    hw::semaphore permits{0};
};
struct full_channel : world {
    hw::channel<int> queue{1};
    full_channel() { (void)queue.try_send(1); }
    /// Each value is somewhere, once.
    hw::task<> account(const observed& first, bool completed) {
        std::vector<int> left, right;
        while (auto value = queue.try_receive()) left.push_back(*value);
        if (!completed) right.push_back(1);
        if (first.text == "sent") right.push_back(2);
        CHECK(left == right);
        co_return;
    }
};
struct empty_channel : world {
    hw::channel<int> queue{1};
};
struct generating : world {
    hw::event next;
    hw::generator<int> numbers = count(next);
    static hw::generator<int> count(hw::event& e) {
        for (int i = 1;; ++i) {
            co_await e.wait();
            e.reset();
            co_yield i;
        }
    }
};
/// Woken through the descriptors on which its reactor polls.
struct polled : world {
    void wake() {
        if (auto* o = io.find(hw::detail::op_kind::poll)) io.complete(*o, POLLIN);
    }
};
struct full_remote : polled {
    hw::remote_channel<int> queue{1};
    full_remote() { (void)queue.try_send(1); }
};
struct empty_remote : polled {
    hw::remote_channel<int> queue{1};
};

const auto number = [](auto&, int n) { return std::to_string(n); };
const auto maybe = [](auto&, std::optional<int> n) { return n ? std::to_string(*n) : std::string{"closed"}; };
const auto sent = [](auto&) -> std::string { return "sent"; };

const bool added = [] {
    add<locked>({.name = "mutex.lock", .value = "locked"}, [](locked& w) { return w.lock.lock(); },
                [](locked& w, hw::mutex::guard) { return std::string{w.lock.is_locked() ? "locked" : "not locked"}; },
                {.complete = [](locked& w) { w.held = {}; }});
    add<counted_permits>({.name = "semaphore.acquire", .value = "acquired"}, [](counted_permits& w) { return w.permits.acquire(); },
                         [](counted_permits&) { return std::string{"acquired"}; }, {.complete = [](counted_permits& w) { w.permits.release(); }});
    add<counted_permits>({.name = "semaphore.hold", .value = "acquired"}, [](counted_permits& w) { return w.permits.hold(); },
                         [](counted_permits&, hw::semaphore::permit) { return std::string{"acquired"}; },
                         {.complete = [](counted_permits& w) { w.permits.release(); }});
    add<full_channel>({.name = "channel.send", .value = "sent"}, [](full_channel& w) { return w.queue.send(2); }, sent,
                      {.complete = [](full_channel& w) { CHECK(w.queue.try_receive() == 1); },
                       .afterwards = [](full_channel& w, const observed& first, bool completed) { return w.account(first, completed); }});
    add<full_channel>({.name = "channel.reserve", .value = "sent"}, [](full_channel& w) { return w.queue.reserve(); },
                      [](full_channel&, hw::channel<int>::slot slot) {
                          slot.send(2);
                          return std::string{"sent"};
                      },
                      {.complete = [](full_channel& w) { CHECK(w.queue.try_receive() == 1); },
                       .afterwards = [](full_channel& w, const observed& first, bool completed) { return w.account(first, completed); }});
    add<empty_channel>({.name = "channel.receive", .value = "5"}, [](empty_channel& w) { return w.queue.receive(); }, maybe,
                       {.complete = [](empty_channel& w) { CHECK(w.queue.try_send(5)); }});
    add<generating>({.name = "generator.next", .value = "1"}, [](generating& w) { return w.numbers.next(); }, maybe,
                    {.complete = [](generating& w) { w.next.set(); },
                     .afterwards = [](generating& w, const observed& first, bool completed) -> hw::task<> {
                         if (!completed || first.text == "1") w.next.set();
                         auto after = co_await hw::as_result(w.numbers.next());
                         // Stopped inside its body it has ended; refused before, it has not.
                         CHECK(after.has_value());
                     }});
    add<full_remote>({.name = "remote_channel.send", .value = "sent"}, [](full_remote& w) { return w.queue.send(2); }, sent,
                     {.complete = [](full_remote& w) { CHECK(w.queue.try_receive() == 1); w.wake(); },
                      .afterwards = [](full_remote& w, const observed& first, bool completed) -> hw::task<> {
                          if (!completed) CHECK(w.queue.try_receive() == 1);
                          const auto left = w.queue.try_receive();
                          CHECK(left.has_value() == (first.text == "sent"));
                          co_return;
                      }});
    add<empty_remote>({.name = "remote_channel.receive", .value = "5"}, [](empty_remote& w) { return w.queue.receive(); }, maybe,
                      {.complete = [](empty_remote& w) { CHECK(w.queue.try_send(5)); w.wake(); }});
    add<polled>({.name = "next_signal", .value = std::to_string(SIGUSR1)}, [](polled&) { return hw::next_signal(SIGUSR1); }, number,
                {.complete = [](polled& w) { std::raise(SIGUSR1), w.wake(); }});
    return true;
}();

}  // namespace
