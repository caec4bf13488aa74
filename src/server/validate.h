// What of a server's setup can never work.
#pragma once

#include "tern/server.h"

#include <string>
#include <string_view>

namespace tern::server {

/// Why these options can never work, naming the entry; empty: they can. Throws std::bad_alloc.
std::string why_invalid(const ServerOptions& options);
/// The numeric address that `host` stands for: itself, or that of "localhost".
std::string_view numeric_host(std::string_view host) noexcept;
/// Why no request can ever ask for this path; empty: one can. Throws std::bad_alloc.
std::string why_invalid_path(std::string_view path);

}  // namespace tern::server
