#pragma once

#include "tern/engine.h"
#include "tern/error.h"

#include <string_view>

namespace tern::client {

/// Returns the error of an opening handshake that failed: what the server answered, or why no
/// answer came. `engine` has just reported its end. `url` is for people; `explanation` is that of
/// the transport. Throws std::bad_alloc.
Error handshake_error(const Engine& engine, std::string_view url, std::string_view explanation);

}  // namespace tern::client
