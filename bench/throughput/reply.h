// The reply of a server to a message.
#pragma once

#include "throughput/upgrade.h"

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace tern::bench {

struct Reply {
  std::vector<std::byte> bytes{};  ///< all of its frames
  std::size_t header_bytes = 0;    ///< of the first
  std::size_t wire_bytes = 0;      ///< bytes read from the socket; with TLS more than `bytes`
};

/// Reads a reply, which must be the whole input. With `check_content` its content must be
/// `payload`, compressed or not; else it must only have the same length. Throws std::runtime_error
/// if it is not, and as receive_waiting().
Reply read_reply(Wire& wire, std::string_view payload, bool check_content);

/// Sends `request` on a connection of its own and returns the reply. With `check_content` the reply
/// must be the echo of `payload`, compressed or not; else it must only have the same length. Throws
/// std::runtime_error if it is not, and as connect_and_upgrade() and receive_waiting().
Reply learn_reply(const Target& target, std::span<const std::byte> request,
                  std::string_view payload, bool check_content);

}  // namespace tern::bench
