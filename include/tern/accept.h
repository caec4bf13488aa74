// How a server accepts an upgrade, and what the opening handshake agreed on.
#pragma once

#include "tern/options.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tern {

/// How a server accepts an upgrade. The engine copies what it keeps.
struct Accept {
  /// Subprotocols of this route. The first one of the client's list that is also in this list is
  /// chosen. If there is none, the answer names none. RFC 6455 §4.2.2.
  std::vector<std::string> protocols{};
  /// Fields that are added to the 101, e.g. Set-Cookie. The rules of Response::header apply.
  std::vector<std::pair<std::string, std::string>> headers{};
  /// Limits of this connection. Absent: the limits of the options.
  std::optional<Limits> limits{};
  /// Compression on this route. Absent: that of the options. Level 0 switches it off.
  std::optional<Deflate> deflate{};
};

/// The result of an opening handshake.
struct Agreement {
  std::string protocol{};                     ///< the chosen subprotocol; empty if there is none
  std::optional<DeflateAgreement> deflate{};  ///< compression; absent if there is none
};

}  // namespace tern
