// Compresses and inflates by zlib alone.
#include "throughput/packing.h"

#include <array>
#include <stdexcept>
#include <zlib.h>

namespace tern::bench {
namespace {

// A sync flush ends with these bytes, which a message omits (RFC 7692 §7.2.1).
constexpr std::string_view tail("\0\0\xFF\xFF", 4);

Bytef* zlib_bytes(std::string_view bytes) noexcept {
  return reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
}

}  // namespace

std::string pack(std::string_view message) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("zlib does not compress");
  }
  std::string packed(deflateBound(&stream, static_cast<uLong>(message.size())) + 16, '\0');
  stream.next_in = zlib_bytes(message);
  stream.avail_in = static_cast<uInt>(message.size());
  stream.next_out = zlib_bytes(packed);
  stream.avail_out = static_cast<uInt>(packed.size());
  ::deflate(&stream, Z_SYNC_FLUSH);
  packed.resize(packed.size() - stream.avail_out - tail.size());
  ::deflateEnd(&stream);
  return packed;
}

std::string unpack(std::string_view payload) {
  const std::string packed = std::string(payload).append(tail);
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::runtime_error("zlib does not inflate");
  stream.next_in = zlib_bytes(packed);
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string message;
  std::array<char, 16'384> buffer;
  int result = Z_OK;
  do {
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    result = ::inflate(&stream, Z_SYNC_FLUSH);
    message.append(buffer.data(), buffer.size() - stream.avail_out);
  } while (result == Z_OK && stream.avail_out == 0);
  const bool whole = stream.avail_in == 0 && (result == Z_OK || result == Z_BUF_ERROR);
  ::inflateEnd(&stream);
  if (!whole) throw std::runtime_error("a reply does not inflate");
  return message;
}

}  // namespace tern::bench
