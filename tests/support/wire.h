// Frames made and checked without tern's own code: bytes of frames (also wrong ones), and an output
// reader that is stricter than any peer. So tests and fuzzers compare the engine with RFC 6455 and
// not with itself.
#pragma once

#include "tern/engine.h"

#include "support/zlib_peer.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tern::test {

struct Frame {
  unsigned opcode = 0;
  std::string payload{};
  bool fin = true;
  unsigned rsv = 0;  // RSV1 RSV2 RSV3 as a number: RSV1 = 4
};

/// The first frame of a compressed message: RSV1.
inline Frame compressed(Frame frame) {
  frame.rsv = 4;
  return frame;
}
inline Frame text(std::string payload, bool fin = true) { return {1, std::move(payload), fin}; }
inline Frame binary(std::string payload, bool fin = true) { return {2, std::move(payload), fin}; }
inline Frame more(std::string payload, bool fin = true) { return {0, std::move(payload), fin}; }
inline Frame ping(std::string payload = {}) { return {9, std::move(payload)}; }
inline Frame pong(std::string payload = {}) { return {10, std::move(payload)}; }
inline Frame closing() { return {8, {}}; }
inline Frame closing(int code, std::string_view reason = {}) {
  std::string payload{static_cast<char>(code / 256), static_cast<char>(code % 256)};
  return {8, payload.append(reason)};
}

/// The Close frame of a failure: code and text of the Errc (RFC 6455 §7.1.7).
inline Frame failing(Errc why) {
  return closing(static_cast<int>(close_code(why)), make_error_code(why).message());
}

/// A payload in the output of a test: a long one as its size and a hash.
inline std::string shown(std::string_view payload) {
  if (payload.size() <= 160) return std::string(payload);
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const char c : payload) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return std::to_string(payload.size()) + " bytes #" + std::to_string(hash);
}

/// The frame as text: "text Hello", "close 1000 bye". A frame without FIN has a '-' after its name;
/// one with reserved bits has a '*'.
inline std::string to_string(const Frame& frame) {
  static constexpr std::array<const char*, 16> names = {
      "continuation", "text", "binary", "3",  "4",  "5",  "6",  "7",
      "close",        "ping", "pong",   "11", "12", "13", "14", "15"};
  std::string result = names[frame.opcode & 15];
  if (!frame.fin) result += '-';
  if (frame.rsv != 0) result += '*';
  if (frame.payload.empty()) return result;
  if (frame.opcode != 8 || frame.payload.size() < 2) return result + ' ' + shown(frame.payload);
  const int code = static_cast<unsigned char>(frame.payload[0]) * 256 +
                   static_cast<unsigned char>(frame.payload[1]);
  result += ' ' + std::to_string(code);
  return frame.payload.size() == 2 ? result : result + ' ' + frame.payload.substr(2);
}

/// The Close frame of a failure as text: "close 1002 a frame has …".
inline std::string failure(Errc why) { return to_string(failing(why)); }

/// A payload of `count` equal bytes.
inline std::string payload_of(std::size_t count, char byte = 'x') {
  return std::string(count, byte);
}

/// The bytes of a length in one of its forms: 7, 16 or 64 bits (RFC 6455 §5.2).
inline std::string length_bytes(std::uint64_t length, int bits, bool masked) {
  const int mark = bits == 7 ? static_cast<int>(length) : bits == 16 ? 126 : 127;
  std::string result(1, static_cast<char>(mark | (masked ? 0x80 : 0)));
  for (int shift = bits - 8; bits > 7 && shift >= 0; shift -= 8) {
    result += static_cast<char>(length >> shift & 0xFF);
  }
  return result;
}

/// A header that announces `length`, with the key of `wire` below if `sender` is a client.
inline std::string wire_header(Role sender, const Frame& frame, std::uint64_t length) {
  const unsigned byte_0 = (frame.fin ? 0x80u : 0u) | frame.rsv << 4 | frame.opcode;
  const int bits = length < 126 ? 7 : length < 65536 ? 16 : 64;
  std::string result(1, static_cast<char>(byte_0));
  result += length_bytes(length, bits, sender == Role::client);
  if (sender == Role::client) result += "\x37\xFA\x21\x3D";
  return result;
}

/// The frame as `sender` puts it on the wire: a client masks (§5.1), with the key of §5.7.
inline std::string wire(Role sender, const Frame& frame) {
  std::string result = wire_header(sender, frame, frame.payload.size());
  const std::size_t start = result.size();
  result += frame.payload;
  if (sender == Role::server) return result;
  for (std::size_t i = start; i < result.size(); ++i) {
    result[i] = static_cast<char>(result[i] ^ "\x37\xFA\x21\x3D"[(i - start) % 4]);
  }
  return result;
}

inline std::string wire(Role sender, const std::vector<Frame>& frames) {
  std::string result;
  for (const Frame& frame : frames) result += wire(sender, frame);
  return result;
}

/// UTF-8 by the table of RFC 3629 §4, byte for byte.
inline bool is_utf8(std::string_view text) {
  std::size_t rest = 0;
  unsigned low = 0x80;
  unsigned high = 0xBF;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (rest > 0) {
      if (byte < low || byte > high) return false;
      low = 0x80, high = 0xBF, --rest;
    } else if (byte >= 0x80) {
      if (byte < 0xC2 || byte > 0xF4) return false;
      rest = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
      if (byte == 0xE0) low = 0xA0;
      if (byte == 0xED) high = 0x9F;
      if (byte == 0xF0) low = 0x90;
      if (byte == 0xF4) high = 0x8F;
    }
  }
  return rest == 0;
}

/// Reads the bytes that an engine of the role `sender` wrote after the handshake. Anything that
/// RFC 6455 forbids is a fault: masks of the wrong direction, reserved bits and opcodes, long forms
/// of lengths, long or cut control frames, interleaved messages, text that is not UTF-8, bad Close
/// payloads, and any byte behind a Close frame.
class FrameReader {
 public:
  explicit FrameReader(Role sender) : masked_(sender == Role::client) {}

  void feed(std::string_view bytes) {
    pending_ += bytes;
    while (fault_.empty() && !pending_.empty() && read_frame()) {
    }
  }

  const std::vector<Frame>& frames() const { return frames_; }
  /// The first fault; empty if there was none.
  const std::string& fault() const { return fault_; }
  /// Whether no frame and no message is in progress.
  bool at_boundary() const { return pending_.empty() && !in_message_; }
  bool closed() const { return closed_; }
  /// From now on messages may be compressed (RFC 7692): the payload of the last frame is then the
  /// inflated message, and that of earlier frames is empty. A message that cannot be inflated is a
  /// fault.
  void take_compressed(int window_bits, bool takeover) {
    if (!zlib_) zlib_ = std::make_unique<ZlibReceiver>(window_bits);
    takeover_ = takeover;
  }
  void forget() { frames_.clear(); }

 private:
  unsigned at(std::size_t index) const { return static_cast<unsigned char>(pending_[index]); }

  bool failed(const char* what) {
    fault_ = what;
    return false;
  }

  bool read_frame() {
    if (closed_) return failed("bytes behind a Close frame");
    if (pending_.size() < 2) return false;
    const bool begins_message = (at(0) & 0x0F) == 1 || (at(0) & 0x0F) == 2;
    const unsigned allowed = zlib_ && begins_message ? 0x40u : 0u;
    if ((at(0) & 0x70 & ~allowed) != 0) return failed("reserved bits");
    const bool masked = at(1) >= 0x80;
    if (masked != masked_) return failed("mask of the wrong direction");
    std::uint64_t length = at(1) & 0x7F;
    const std::size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    const std::size_t header = 2 + extended + (masked ? 4 : 0);
    if (pending_.size() < header) return false;
    if (extended > 0) {
      length = 0;
      for (std::size_t i = 0; i < extended; ++i) length = length << 8 | at(2 + i);
      if (length >> 63 != 0) return failed("top bit of a length");
      if (length < (extended == 2 ? 126u : 65536u)) return failed("length in a long form");
    }
    if (pending_.size() - header < length) return false;
    Frame frame{at(0) & 0x0F, pending_.substr(header, length), at(0) >= 0x80, at(0) >> 4 & 7};
    for (std::size_t i = 0; masked && i < frame.payload.size(); ++i) {
      frame.payload[i] = static_cast<char>(frame.payload[i] ^ pending_[header - 4 + i % 4]);
    }
    pending_.erase(0, header + length);
    return judge(std::move(frame));
  }

  bool judge(Frame frame) {
    switch (frame.opcode) {
      case 0:
        if (!in_message_) return failed("continuation of nothing");
        break;
      case 1:
      case 2:
        if (in_message_) return failed("message inside a message");
        in_text_ = frame.opcode == 1;
        compressed_ = frame.rsv != 0;
        message_.clear();
        break;
      case 8:
      case 9:
      case 10:
        if (!frame.fin) return failed("control frame without FIN");
        if (frame.payload.size() > 125) return failed("long control frame");
        if (frame.opcode == 8 && !close_is_valid(frame.payload)) return failed("bad Close payload");
        closed_ = frame.opcode == 8;
        frames_.push_back(std::move(frame));
        return true;
      default:
        return failed("reserved opcode");
    }
    message_ += frame.payload;
    in_message_ = !frame.fin;
    if (compressed_) {
      frame.payload.clear();
      if (frame.fin && !inflate(frame)) return failed("a message that cannot be inflated");
    }
    if (frame.fin && in_text_ && !is_utf8(message_)) return failed("text that is not UTF-8");
    frames_.push_back(std::move(frame));
    return true;
  }

  bool inflate(Frame& frame) {
    if (!takeover_) zlib_->reset();
    const auto inflated = zlib_->message(message_);
    if (!inflated) return false;
    message_ = frame.payload = *inflated;
    return true;
  }

  bool close_is_valid(const std::string& payload) const {
    if (payload.empty()) return true;
    if (payload.size() < 2) return false;
    const int code =
        static_cast<unsigned char>(payload[0]) * 256 + static_cast<unsigned char>(payload[1]);
    const bool sendable = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                          (code >= 3000 && code <= 4999);
    return sendable && is_utf8(std::string_view(payload).substr(2));
  }

  bool masked_;
  std::unique_ptr<ZlibReceiver> zlib_{};
  bool takeover_ = false;
  bool compressed_ = false;
  bool in_message_ = false;
  bool in_text_ = false;
  bool closed_ = false;
  std::string message_{};
  std::string pending_{};
  std::string fault_{};
  std::vector<Frame> frames_{};
};

}  // namespace tern::test
