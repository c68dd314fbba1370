#pragma once
// Everything with which a C++ program runs Lua on its own reactor.

#include <hawser/lua/call.hpp>
#include <hawser/lua/channel.hpp>
#include <hawser/lua/function.hpp>
#include <hawser/lua/open.hpp>
