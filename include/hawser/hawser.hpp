#pragma once
// hawser: TCP and TLS streams for C++20 coroutines, on io_uring and libtls. Everything, at once.

#include <hawser/coro/channel.hpp>
#include <hawser/coro/event.hpp>
#include <hawser/coro/generator.hpp>
#include <hawser/coro/mutex.hpp>
#include <hawser/coro/semaphore.hpp>
#include <hawser/coro/this_task.hpp>
#include <hawser/coro/when_all.hpp>
#include <hawser/coro/when_any.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/net/connect.hpp>
#include <hawser/reactor/dump_tasks.hpp>
#include <hawser/reactor/foreign.hpp>
#include <hawser/reactor/remote_channel.hpp>
#include <hawser/reactor/run_main.hpp>
#include <hawser/reactor/signals.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/stream/algorithms.hpp>
#include <hawser/stream/buffered.hpp>
#include <hawser/tls/connect.hpp>
#include <hawser/tls/listener.hpp>
