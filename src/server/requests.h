// Which page or WebSocket answers a request.
#pragma once

#include "connection/live_connection.h"
#include "server/router.h"

namespace tern::server {

/// Answers the request of `connection` by the route of its path, or gives it to the route's
/// function, which answers it later. `files`: of the connection's worker. Without memory for an
/// answer the connection ends. Thread: the connection's loop.
void answer_request(Router& router, FileCache& files,
                    connection::LiveConnection& connection) noexcept;

}  // namespace tern::server
