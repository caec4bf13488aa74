// The messages of a load and the expected replies.
#pragma once

#include "throughput/frames.h"
#include "throughput/load.h"
#include "throughput/reply.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tern::bench {

/// The number of different messages of a load: 1, unless it is compressed JSON.
std::uint32_t message_variants(const LoadOptions& options) noexcept;

struct Messages {
  FrameTrain requests;           ///< one round contains each different message once
  std::vector<Reply> replies{};  ///< to each message of a round

  std::size_t mean_wire_bytes() const noexcept;
};

/// Makes the messages, and learns the reply to each with learn_reply(). Up to `most_in_flight`
/// bytes of a connection's requests are contiguous. Throws as learn_reply().
Messages learn_messages(const LoadOptions& options, const Target& target,
                        std::size_t most_in_flight);

}  // namespace tern::bench
