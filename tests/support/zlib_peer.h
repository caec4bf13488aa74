// The zlib of a peer (RFC 7692 §7.2), without tern's own code. Tests compare tern's compression
// with it. It has context takeover; a peer without it calls reset() for each message.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>
#include <zlib.h>

namespace tern::test {

inline Bytef* zlib_bytes(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

/// Compresses by RFC 7692 §7.2.1.
class ZlibSender {
 public:
  explicit ZlibSender(int window_bits = 15, int level = 6, int memory_level = 8,
                      int strategy = Z_DEFAULT_STRATEGY) {
    const int made =
        deflateInit2(&stream_, level, Z_DEFLATED, -window_bits, memory_level, strategy);
    if (made != Z_OK) throw std::runtime_error("deflateInit2");
  }
  ZlibSender(const ZlibSender&) = delete;
  ZlibSender& operator=(const ZlibSender&) = delete;
  ~ZlibSender() { deflateEnd(&stream_); }

  /// The payload of a message.
  std::string message(std::string_view text) {
    if (text.empty())
      return std::string(1, '\0');  // §7.2.3.6; zlib flushes an empty message only once
    std::string out = run(text, Z_SYNC_FLUSH);
    out.resize(out.size() - 4);
    return out;
  }
  /// The payload of a message that ends with a final block (§7.2.3.4).
  std::string final_message(std::string_view text) {
    std::string out = run(text, Z_FINISH);
    deflateReset(&stream_);
    return out + '\0';
  }
  /// Blocks that end at a byte, without the end of a message.
  std::string run(std::string_view text, int flush) {
    std::string out;
    stream_.next_in = zlib_bytes(text);
    stream_.avail_in = static_cast<uInt>(text.size());
    do {
      const std::size_t before = out.size();
      out.resize(before + 65536);
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + before);
      stream_.avail_out = 65536;
      ::deflate(&stream_, flush);
      out.resize(out.size() - stream_.avail_out);
    } while (stream_.avail_out == 0);
    return out;
  }
  void reset() { deflateReset(&stream_); }

 private:
  z_stream stream_{};
};

/// Inflates by RFC 7692 §7.2.2, and accepts nothing that refers beyond its window.
class ZlibReceiver {
 public:
  explicit ZlibReceiver(int window_bits = 15)
      // The output of one call is a window, too, so short steps are used.
      : step_(window_bits < 15 ? 16 : 65536) {
    if (inflateInit2(&stream_, -window_bits) != Z_OK) throw std::runtime_error("inflateInit2");
  }
  ZlibReceiver(const ZlibReceiver&) = delete;
  ZlibReceiver& operator=(const ZlibReceiver&) = delete;
  ~ZlibReceiver() { inflateEnd(&stream_); }

  /// The message; nothing if it cannot be inflated.
  std::optional<std::string> message(std::string_view payload) {
    std::string out;
    bool at_final_end = false;
    if (!payload.empty() && !run(payload, out, at_final_end)) return {};
    if (at_final_end) return out;
    if (!run(std::string_view("\0\0\xFF\xFF", 4), out, at_final_end)) return {};
    // The end is the border of a byte and of a block that is not the last.
    if (at_final_end || (stream_.data_type & 191) != 128) return {};
    return out;
  }
  void reset() { inflateReset(&stream_); }

 private:
  bool run(std::string_view in, std::string& out, bool& at_final_end) {
    stream_.next_in = zlib_bytes(in);
    stream_.avail_in = static_cast<uInt>(in.size());
    for (;;) {
      at_final_end = false;
      const std::size_t before = out.size();
      out.resize(before + step_);
      stream_.next_out = reinterpret_cast<Bytef*>(out.data() + before);
      stream_.avail_out = static_cast<uInt>(step_);
      const int result = ::inflate(&stream_, Z_SYNC_FLUSH);
      out.resize(out.size() - stream_.avail_out);
      if (result == Z_STREAM_END) {
        begin_anew();
        at_final_end = stream_.avail_in == 0;
        if (at_final_end) return true;
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        return false;
      } else if (stream_.avail_out > 0) {
        return true;
      }
    }
  }

  // Starts again behind a final block (§7.2.3.4), with the window kept.
  void begin_anew() {
    std::vector<Bytef> window(32768);
    uInt size = 0;
    inflateGetDictionary(&stream_, window.data(), &size);
    inflateReset(&stream_);
    if (size > 0) inflateSetDictionary(&stream_, window.data(), size);
  }

  z_stream stream_{};
  std::size_t step_;
};

/// Bytes that do not compress; the same for each seed.
inline std::string noise(std::size_t size, std::uint64_t seed = 1) {
  std::string bytes(size, '\0');
  std::uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (char& byte : bytes) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    byte = static_cast<char>(state >> 32);
  }
  return bytes;
}

/// Text like the JSON that servers send.
inline std::string json(std::size_t size, std::uint64_t seed = 1) {
  std::string text = "[";
  const std::string numbers = noise(64, seed);
  for (std::size_t i = 0; text.size() < size; ++i) {
    text += R"({"id":)" + std::to_string(i * seed) + R"(,"name":"user )" +
            std::to_string(static_cast<unsigned char>(numbers[i % 64])) +
            R"(","active":true,"tags":["a","b"]},)";
  }
  text.resize(size);
  return text;
}

}  // namespace tern::test
