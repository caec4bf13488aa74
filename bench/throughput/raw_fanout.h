// The smallest possible fan-out.
#pragma once

#include "throughput/raw_server.h"

namespace tern::bench {

/// Makes connections of which each one is a publisher and a subscriber: the messages that one of
/// them sends go to all others. All messages of a server are equal to its first one.
MakeConnection raw_fanout();

}  // namespace tern::bench
