// Payloads, and frames that are made in advance, so that nothing is encoded during the measurement.
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
  json,    ///< ASCII text: a list of orders
};

std::string_view to_string(PayloadKind kind) noexcept;
frame::Opcode opcode_of(PayloadKind kind) noexcept;

/// Returns a payload of exactly `size` bytes, the same for the same arguments. Text is valid UTF-8.
/// JSON differs for each `variant`, if it is long enough to contain an order.
std::string make_payload(PayloadKind kind, std::size_t size, std::uint32_t variant = 0);

/// Returns one frame with FIN as it is on the wire. `compressed`: whether the payload is
/// compressed.
std::vector<std::byte> make_frame(frame::Opcode opcode, std::string_view payload,
                                  frame::Masking masking, bool compressed = false);

/// An endless stream of frames that repeats one round. Any part of the stream is in memory, so it
/// can be sent at once.
class FrameTrain {
 public:
  /// One round consists of `frames`, at least one. From the beginning of each frame at least
  /// `at_least` bytes are contiguous.
  FrameTrain(const std::vector<std::vector<std::byte>>& frames, std::size_t at_least);

  /// The offset of frame number `frame` in the stream. The first frame is number 0.
  std::uint64_t offset_of(std::uint64_t frame) const noexcept {
    return frame / begins_.size() * round_bytes_ + begins_[frame % begins_.size()];
  }
  /// The stream from `offset` on: at most `most` bytes, and only as many as are contiguous.
  std::span<const std::byte> from(std::uint64_t offset, std::size_t most) const noexcept;

 private:
  std::vector<std::size_t> begins_{};  // of each frame of a round
  std::size_t round_bytes_ = 0;
  std::vector<std::byte> bytes_{};
};

/// The position of a connection in such a stream.
class TrainSender {
 public:
  TrainSender() = default;
  /// Begins with frame number `first`.
  TrainSender(const FrameTrain& train, std::uint64_t first) noexcept
      : sent_(train.offset_of(first)), end_(first), begun_(first) {}

  /// Adds `frames` to the frames that wait to be sent.
  void owe(std::size_t frames, const FrameTrain& train) noexcept {
    end_ += frames;
    owed_ = static_cast<std::size_t>(train.offset_of(end_) - sent_);
  }
  /// The number of bytes that wait to be sent.
  std::size_t owed() const noexcept { return owed_; }
  /// The number of frames begun since the last call: at least one byte of each was sent.
  std::size_t take_begun(const FrameTrain& train) noexcept;
  /// Sends owed frames until all are sent or the socket takes no more. False on an error.
  bool send(int socket, const FrameTrain& train) noexcept;
  bool send(Wire& wire, const FrameTrain& train) noexcept;

 private:
  template <class F>
  bool send_with(F&& send, const FrameTrain& train) noexcept;

  std::uint64_t sent_ = 0;   // of the stream
  std::uint64_t end_ = 0;    // the first frame that is not owed
  std::uint64_t begun_ = 0;  // the first one that take_begun() has not counted
  std::size_t owed_ = 0;
};

}  // namespace tern::bench
