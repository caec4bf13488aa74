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

/// A payload of exactly `size` bytes; the same for the same arguments. Text is valid UTF-8.
std::string make_payload(PayloadKind kind, std::size_t size);

/// One frame with FIN, as it stands on the wire. `compressed`: the payload is.
std::vector<std::byte> make_frame(frame::Opcode opcode, std::string_view payload,
                                  frame::Masking masking, bool compressed = false);

/// Copies of one frame side by side: any part of an endless stream of them is there to be sent.
class FrameTrain {
 public:
  /// As many copies as fill `at_least` bytes, but at least one.
  FrameTrain(std::vector<std::byte> frame, std::size_t at_least);

  std::size_t frame_bytes() const noexcept { return frame_bytes_; }
  std::span<const std::byte> frame() const noexcept {
    return std::span(bytes_).first(frame_bytes_);
  }
  /// The stream from `phase` bytes into a frame on: at most `most` bytes, as many as there are.
  std::span<const std::byte> from(std::size_t phase, std::size_t most) const noexcept;

 private:
  std::size_t frame_bytes_;
  std::vector<std::byte> bytes_;
};

/// How far a connection has come in sending such a stream.
class TrainSender {
 public:
  void owe(std::size_t bytes) noexcept { owed_ += bytes; }
  std::size_t owed() const noexcept { return owed_; }
  /// Sends what is owed until all is sent or the socket takes no more: true, or false on an error.
  bool send(int socket, const FrameTrain& train) noexcept;
  bool send(Wire& wire, const FrameTrain& train) noexcept;

 private:
  template <class F>
  bool send_with(F&& send, const FrameTrain& train) noexcept;

  std::size_t owed_ = 0;
  std::size_t phase_ = 0;
};

}  // namespace tern::bench
