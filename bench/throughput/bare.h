// The smallest possible WebSocket echo.
#pragma once

#include "throughput/raw_server.h"

namespace tern::bench {

/// Makes connections that echo each frame, without a limit, a deadline, control frames or a closing
/// handshake. A control frame or a forbidden frame ends the connection.
MakeConnection bare_echo();

}  // namespace tern::bench
