// The names of states and causes, for logs and metrics.
#include "tern/bridge.h"

#include <iterator>

namespace tern {

std::string_view bridge_state_name(BridgeState state) noexcept {
  constexpr std::string_view names[] = {"connecting", "up", "down"};
  static_assert(std::size(names) == static_cast<std::size_t>(BridgeState::down) + 1);
  return names[static_cast<std::size_t>(state)];
}

std::string_view gap_cause_name(GapCause cause) noexcept {
  constexpr std::string_view names[] = {"outage", "too_slow", "lost"};
  static_assert(std::size(names) == static_cast<std::size_t>(GapCause::lost) + 1);
  return names[static_cast<std::size_t>(cause)];
}

}  // namespace tern
