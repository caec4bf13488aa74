// Checks that Inflater gives the same text as plain zlib, however the input is cut, and that
// inflating restores what Deflater compressed. Input: one byte that chooses the cuts, then
// messages, each behind its length in two bytes.
//
// Subject: src/deflate/codec.cc
#include "deflate/codec.h"
#include "support/http_heads.h"
#include "support/zlib_peer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using tern::deflate::Contexts;
using tern::deflate::Deflater;
using tern::deflate::Inflater;
using tern::fuzz::ExactBlock;
using tern::fuzz::require;

// Returns nothing if the payload is corrupt.
std::optional<std::string> inflate(Inflater& inflater, std::string_view payload, std::size_t piece,
                                   std::size_t room) {
  std::string text;
  std::vector<std::byte> out(room);
  const auto take = [&](const Inflater::Step& step) {
    require(step.produced <= room);
    text.append(reinterpret_cast<const char*>(out.data()), step.produced);
    return step.produced == room;
  };
  for (; !payload.empty(); payload.remove_prefix(std::min(piece, payload.size()))) {
    const ExactBlock block(payload.substr(0, piece));
    std::span<const std::byte> rest = std::as_bytes(std::span(block.text()));
    for (bool more = true; more;) {
      const Inflater::Step step = inflater.inflate(rest, out);
      more = take(step);
      if (step.corrupt) return {};
      rest = rest.subspan(step.consumed);
    }
    require(rest.empty());
  }
  for (;;) {
    const Inflater::Step step = inflater.finish(out);
    const bool more = take(step);
    if (step.corrupt) return {};
    if (!more) return text;
  }
}

void compress(Deflater& deflater, Inflater& inflater, std::string_view message, bool takeover) {
  if (message.empty()) return;
  tern::base::ChunkPool pool;
  tern::base::ChunkRef out;
  const std::size_t size =
      deflater.compress(std::as_bytes(std::span(message)), takeover, pool, out);
  if (takeover) {
    require(size > 0 && size <= message.size() + 5 * (message.size() / 127 + 2));
  } else {
    if (size == 0) return;
    require(size < message.size());
    inflater.reset();
  }
  const std::string_view payload(reinterpret_cast<const char*>(out.data()), size);
  require(inflate(inflater, payload, payload.size(), 16'384) == message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned flags = data[0];
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool takeover = flags % 2 != 0;
  const std::size_t piece = 1 + flags / 2 % 4 * 5;
  const std::size_t room = flags / 8 % 2 != 0 ? 3 : 16'384;
  Contexts contexts;
  auto lent = contexts.take_inflater();
  Inflater& inflater = *lent;
  Inflater back(15);
  tern::test::ZlibReceiver receiver;
  Deflater&
      deflater =  // small windows and little memory, because such a Deflater is quick to create
      contexts.deflater({1 + static_cast<int>(flags / 16 % 9), 9, 1});
  while (rest.size() >= 2) {
    const std::size_t announced =
        static_cast<unsigned char>(rest[0]) * 256u + static_cast<unsigned char>(rest[1]);
    const std::string_view payload = rest.substr(2, announced);
    rest.remove_prefix(2 + payload.size());
    compress(deflater, back, payload, takeover);
    if (!takeover) {
      inflater.reset();
      receiver.reset();
    }
    const auto text = inflate(inflater, payload, piece, room);
    require(text == receiver.message(payload));
    if (!text) break;
  }
  contexts.give_back(std::move(lent));
  return 0;
}
