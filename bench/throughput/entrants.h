// Who takes part in a comparison, and how each is started.
#pragma once

#include "throughput/compare.h"
#include "throughput/field.h"

#include <string>
#include <vector>

namespace tern::bench {

/// tern, as often as the options name a server; then, if they want them, every rival that stands
/// beside this program. `flags` are for everybody.
std::vector<Entrant> entrants(const CompareOptions& options, const std::vector<std::string>& flags);

/// The raw epoll echo.
Entrant ceiling(const std::string& name);

/// Whether one of them stands there.
bool any_rival_is_here();

}  // namespace tern::bench
