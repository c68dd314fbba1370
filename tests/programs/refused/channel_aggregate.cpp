// refused by: g++ 12
// because: g++ before 13 destroys a temporary of this aggregate twice in a co_await expression: give it a constructor
#include <string>
#include <hawser/coro/channel.hpp>
#include <hawser/coro/task.hpp>

struct order {
    std::string what;
};

hawser::task<> body(hawser::channel<order>& orders) {
#if defined(ALLOWED)
    order some{"tea"};
    co_await orders.send(some);
    auto slot = co_await orders.reserve();
    slot.send(order{"more tea"});
#else
    co_await orders.send(order{"tea"});
#endif
}
