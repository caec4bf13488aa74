// Who takes part in a comparison, and how each is started.
#pragma once

#include "throughput/compare.h"
#include "throughput/field.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tern::bench {

/// tern, as often as the options name a server; then, if they want them, every rival that stands
/// beside this program. `flags` are for everybody.
std::vector<Entrant> entrants(const CompareOptions& options, const std::vector<std::string>& flags);

/// Client programs, each with a raw echo as its server: first tern's, then those on other libraries
/// that stand beside this program.
std::vector<Entrant> client_entrants();
inline constexpr std::size_t tern_clients = 2;

/// The raw epoll echo; with a flag of its own, and only in rows whose names start so.
Entrant ceiling(const std::string& name);
Entrant ceiling(const std::string& name, const std::string& flag, std::string_view rows);

/// Whether a rival's server stands there.
bool any_rival_is_here();

}  // namespace tern::bench
