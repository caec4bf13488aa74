// What the connections of a load send, and what has to come back.
#pragma once

#include "throughput/frames.h"
#include "throughput/load.h"
#include "throughput/reply.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tern::bench {

/// How many messages a load sends that differ: 1, unless it is compressed JSON.
std::uint32_t message_variants(const LoadOptions& options) noexcept;

struct Messages {
  FrameTrain requests;           ///< one round is all that differ
  std::vector<Reply> replies{};  ///< to each of a round

  std::size_t mean_wire_bytes() const noexcept;
};

/// Makes them, and learns the reply to each as learn_reply() does. A connection's requests are in
/// one piece as long as they are no more than `most_in_flight` bytes. Throws as learn_reply().
Messages learn_messages(const LoadOptions& options, const Target& target,
                        std::size_t most_in_flight);

}  // namespace tern::bench
