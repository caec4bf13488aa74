// The least that is a WebSocket echo.
#pragma once

#include "throughput/raw_server.h"

namespace tern::bench {

/// Makes connections that echo each frame, without a limit, a deadline, control frames or a closing
/// handshake: a connection is over with any of them, and with a frame that must not be.
MakeConnection bare_echo();

}  // namespace tern::bench
