#pragma once

// Distributions install it in a directory of its own; the Meson subproject exports that directory itself.
#if __has_include(<doctest/doctest.h>)
#include <doctest/doctest.h>
#else
#include <doctest.h>
#endif
