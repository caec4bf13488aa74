// Finds the parts of a server's setup that can never work.
#pragma once

#include "tern/server.h"

#include <string>
#include <string_view>

namespace tern::server {

/// Returns the reason why these options can never work, with the name of the option; empty if they
/// can. Throws std::bad_alloc.
std::string why_invalid(const ServerOptions& options);
/// Returns the numeric address that `host` stands for: 127.0.0.1 for "localhost", else `host`.
std::string_view numeric_host(std::string_view host) noexcept;
/// Returns the reason why no request can ever have this path of a route; empty if one can. Throws
/// std::bad_alloc.
std::string why_invalid_path(std::string_view path);

}  // namespace tern::server
