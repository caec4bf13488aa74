// Checks that decode_close accepts a payload exactly if RFC 6455 §5.5.1 and §7.4 allow it, that
// such a payload encodes to the same bytes, and that encode_close writes a valid payload for any
// code and reason. Input: the payload.
//
// Subject: src/frame/close_payload.cc
#include "frame/close_payload.h"
#include "support/engine_peer.h"

#include <array>
#include <cstring>
#include <memory>

namespace {

using tern::CloseCode;
using tern::Errc;
using tern::frame::ClosePayload;
using tern::test::require;

bool sendable(int code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

Errc expected(std::string_view payload, int code) {
  if (payload.empty()) return {};
  if (payload.size() == 1) return Errc::close_payload_too_short;
  if (!sendable(code)) return Errc::close_code_invalid;
  return tern::test::is_utf8(payload.substr(2)) ? Errc{} : Errc::close_reason_not_utf8;
}

std::string encode(int code, std::string_view reason) {
  std::array<std::byte, tern::frame::max_control_payload> out{};
  const std::size_t size = tern::frame::encode_close(out, static_cast<CloseCode>(code), reason);
  return {reinterpret_cast<const char*>(out.data()), size};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::unique_ptr<std::byte[]> block(new std::byte[size]);
  if (size > 0) std::memcpy(block.get(), data, size);
  const std::string_view payload(reinterpret_cast<const char*>(block.get()), size);
  const int code = size < 2 ? 0 : data[0] * 256 + data[1];

  const ClosePayload decoded = tern::frame::decode_close({block.get(), size});
  require(decoded.error == expected(payload, code), "decode_close and §7.4 disagree");
  if (size < 2) return 0;
  const std::string encoded = encode(code, payload.substr(2));
  if (decoded.error == Errc{} && size <= 125) {
    require(static_cast<int>(decoded.code) == code, "decoded to another code");
    require(encoded == payload, "encoded to other bytes");
  }
  const ClosePayload again = tern::frame::decode_close(std::as_bytes(std::span(encoded)));
  require(again.error == Errc{}, "encode_close wrote an invalid payload");
  const std::string_view reason =
      std::string_view(encoded).substr(std::min<std::size_t>(2, encoded.size()));
  require(payload.substr(2).starts_with(reason), "encoded another reason");
  return 0;
}
