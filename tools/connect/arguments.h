#pragma once

#include "connect/options.h"

namespace command {

/// Reads the command line of `tern connect`; argv[0] is ignored. --help prints to stdout and exits
/// with 0. A wrong command line prints one line to stderr and exits with 2.
ConnectOptions parse_connect(int argc, char** argv);

}  // namespace command
