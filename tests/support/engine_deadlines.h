// Deadlines for tests of engines in virtual time.
#pragma once

#include "support/engine_peer.h"

namespace tern::test {

using Duration = Timeouts::Duration;
constexpr Duration never = Duration::max();

/// All values differ, so that a test finds a deadline that is used in place of another one.
inline const Timeouts timeouts{
    .handshake = 10s, .silence = 20s, .pong = 7s, .close = 5s, .stall = 30s, .http_idle = 3s};
inline const EngineOptions with_deadlines{.timeouts = timeouts};

}  // namespace tern::test
