// Computes Sec-WebSocket-Accept, and checks the form of Sec-WebSocket-Key. The key is never
// decoded, because nothing uses its bits.
#include "handshake/accept.h"

#include "base/base64.h"
#include "crypto/digest.h"
#include "http/chars.h"

#include <cstring>
#include <span>

namespace tern::handshake {

std::optional<AcceptValue> accept_for(std::string_view key) noexcept {
  constexpr std::string_view guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 §1.3
  constexpr std::size_t key_size = base::base64_size(16);
  std::array<char, key_size + guid.size()> text{};
  if (key.size() != key_size) return {};
  std::memcpy(text.data(), key.data(), key_size);
  std::memcpy(text.data() + key_size, guid.data(), guid.size());
  const auto digest = crypto::sha1(std::as_bytes(std::span(text)));
  if (!digest) return {};
  AcceptValue value{};
  static_assert(base::base64_size(crypto::Sha1().size()) == AcceptValue().size());
  base::base64_encode(*digest, value);
  return value;
}

bool is_key(std::string_view value) noexcept {
  constexpr std::string_view padding = "==";
  return value.size() == base::base64_size(16) && value.ends_with(padding) &&
         http::all(value.substr(0, value.size() - padding.size()), http::base64_char);
}

}  // namespace tern::handshake
