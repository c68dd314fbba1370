#include <hawser/hawser.hpp>

#include <error.h>
#include <tls.h>
#include <unistd.h>

int second();
int second() { return 0; }
