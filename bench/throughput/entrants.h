// The programs of a comparison, and the command that starts each.
#pragma once

#include "throughput/compare.h"
#include "throughput/contest.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tern::bench {

/// tern, once for each server that the options name. Then every rival beside this program, if the
/// options include rivals. All of them get `flags`.
std::vector<Entrant> entrants(const CompareOptions& options, const std::vector<std::string>& flags);

/// Client programs, each with a raw echo as its server: first tern's, then those of other libraries
/// that are beside this program.
std::vector<Entrant> client_entrants();
inline constexpr std::size_t tern_clients = 3;

/// The raw epoll echo. The second form has a flag of its own and takes part only in rows whose
/// names start with `rows`.
Entrant ceiling(const std::string& name);
Entrant ceiling(const std::string& name, const std::string& flag, std::string_view rows);

/// Whether the server of any rival is beside this program.
bool any_rival_is_here();

}  // namespace tern::bench
