// If all compressed messages were equal, a processor would learn the branches that zlib takes for
// them. Most of all this would help a server that inflates the messages of all connections before
// it compresses the first one: it would look a third faster than it is. So there are several
// different messages, and a connection sends them in turn. With 64 KiB each, their literals and
// matches are some hundreds of thousands of branches, and no predictor stores so many.
//
// The reply to a message is the same every time, compressed or not, because without context
// takeover it depends on the message alone. So all replies are known in advance, and a check costs
// almost nothing.
#include "throughput/messages.h"

#include "throughput/packing.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

namespace tern::bench {
namespace {

// So many fit into a core's caches with their replies, and are learnt in a moment: 64 KiB of JSON
// are 14 KiB on the wire. The number is odd, so that every 64th reply on a connection belongs to
// another one.
constexpr std::uint32_t compressed_variants = 31;

}  // namespace

std::uint32_t message_variants(const LoadOptions& options) noexcept {
  return options.deflate && options.kind == PayloadKind::json ? compressed_variants : 1;
}

std::size_t Messages::mean_wire_bytes() const noexcept {
  const auto add = [](std::size_t sum, const Reply& reply) { return sum + reply.wire_bytes; };
  const std::size_t sum = std::accumulate(replies.begin(), replies.end(), std::size_t{0}, add);
  return (sum + replies.size() / 2) / replies.size();
}

Messages learn_messages(const LoadOptions& options, const Target& target,
                        std::size_t most_in_flight) {
  std::vector<std::vector<std::byte>> frames;
  std::vector<Reply> replies;
  std::size_t largest = 0;
  for (std::uint32_t i = 0; i < message_variants(options); ++i) {
    const std::string payload = make_payload(options.kind, options.size, i);
    frames.push_back(make_frame(opcode_of(options.kind), options.deflate ? pack(payload) : payload,
                                frame::Masking::masked, options.deflate));
    replies.push_back(learn_reply(target, frames.back(), payload, options.check_content));
    largest = std::max(largest, frames.back().size());
  }
  return {.requests = FrameTrain(frames, std::min(options.depth * largest, most_in_flight)),
          .replies = std::move(replies)};
}

}  // namespace tern::bench
