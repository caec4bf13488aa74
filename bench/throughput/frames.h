// Payloads, and frames made of them beforehand, so that nothing is encoded while time is measured.
#pragma once

#include "frame/header.h"
#include "throughput/wire.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tern::bench {

enum class PayloadKind : std::uint8_t {
  binary,  ///< all byte values
  ascii,   ///< text of ASCII only
  mixed,   ///< text of many scripts: characters of 2, 3 and 4 bytes
  json,    ///< text as a server lists its orders, of ASCII
};

std::string_view to_string(PayloadKind kind) noexcept;
frame::Opcode opcode_of(PayloadKind kind) noexcept;

/// A payload of exactly `size` bytes; the same for the same arguments. Text is valid UTF-8. Of
/// JSON there is another text for each `variant`, if it is long enough for orders.
std::string make_payload(PayloadKind kind, std::size_t size, std::uint32_t variant = 0);

/// One frame with FIN, as it stands on the wire. `compressed`: the payload is.
std::vector<std::byte> make_frame(frame::Opcode opcode, std::string_view payload,
                                  frame::Masking masking, bool compressed = false);

/// Frames side by side, round after round: any part of an endless stream of them is there to be
/// sent.
class FrameTrain {
 public:
  /// One round is `frames`, at least one. From the beginning of each, `at_least` bytes are in one
  /// piece.
  FrameTrain(const std::vector<std::vector<std::byte>>& frames, std::size_t at_least);

  /// Where frame number `frame` of the stream begins; the first is 0.
  std::uint64_t offset_of(std::uint64_t frame) const noexcept {
    return frame / begins_.size() * round_bytes_ + begins_[frame % begins_.size()];
  }
  /// The stream from `offset` on: at most `most` bytes, as many as are in one piece.
  std::span<const std::byte> from(std::uint64_t offset, std::size_t most) const noexcept;

 private:
  std::vector<std::size_t> begins_{};  // of each frame of a round
  std::size_t round_bytes_ = 0;
  std::vector<std::byte> bytes_{};
};

/// How far a connection has come in sending such a stream.
class TrainSender {
 public:
  TrainSender() = default;
  /// Begins with frame number `first`.
  TrainSender(const FrameTrain& train, std::uint64_t first) noexcept
      : sent_(train.offset_of(first)), end_(first), begun_(first) {}

  /// Owes so many frames more.
  void owe(std::size_t frames, const FrameTrain& train) noexcept {
    end_ += frames;
    owed_ = static_cast<std::size_t>(train.offset_of(end_) - sent_);
  }
  /// In bytes.
  std::size_t owed() const noexcept { return owed_; }
  /// How many frames were begun since this was asked last: something of each was sent.
  std::size_t take_begun(const FrameTrain& train) noexcept;
  /// Sends what is owed until all is sent or the socket takes no more: true, or false on an error.
  bool send(int socket, const FrameTrain& train) noexcept;
  bool send(Wire& wire, const FrameTrain& train) noexcept;

 private:
  template <class F>
  bool send_with(F&& send, const FrameTrain& train) noexcept;

  std::uint64_t sent_ = 0;   // of the stream
  std::uint64_t end_ = 0;    // the first frame that is not owed
  std::uint64_t begun_ = 0;  // the first one of which take_begun() has not told
  std::size_t owed_ = 0;
};

}  // namespace tern::bench
