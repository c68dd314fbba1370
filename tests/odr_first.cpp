// With odr_second.cpp: the umbrella in two files of one program is no second definition of anything, and it does not
// mind what system headers were seen before it.
#include <error.h>
#include <tls.h>
#include <unistd.h>

#include <hawser/hawser.hpp>

int second();

int main() { return second(); }
