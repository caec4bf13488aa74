// The opening handshake as text, made without tern's own code (RFC 6455 §1.3, §4).
#pragma once

#include <array>
#include <cctype>
#include <cstddef>
#include <openssl/evp.h>
#include <string>
#include <string_view>

namespace tern::test {

/// Sec-WebSocket-Accept for a key, RFC 6455 §4.2.2.
inline std::string accept_of(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  std::array<unsigned char, 64> out{};
  const int length = EVP_EncodeBlock(out.data(), digest.data(), static_cast<int>(size));
  return {reinterpret_cast<const char*>(out.data()), static_cast<std::size_t>(length)};
}

/// The value of the first field of this name (in any case) in a head; "(absent)" if there is none.
inline std::string field(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != head.npos; at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
    if (line.size() <= name.size() || line[name.size()] != ':') continue;
    bool same = true;
    for (std::size_t i = 0; i < name.size(); ++i) {
      same = same && std::tolower(line[i]) == std::tolower(name[i]);
    }
    if (!same) continue;
    const std::size_t start = line.find_first_not_of(" \t", name.size() + 1);
    return start == line.npos ? std::string() : std::string(line.substr(start));
  }
  return "(absent)";
}

/// A request for an upgrade, with the key of RFC 6455 §1.3. `more` has whole lines with their CRLF.
inline std::string upgrade_request(std::string_view more = {}, std::string_view target = "/echo") {
  return "GET " + std::string(target) +
         " HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
         std::string(more) + "\r\n";
}

/// The 101 that answers this request head of a client.
inline std::string upgrade_answer(std::string_view request_head, std::string_view more = {}) {
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: " +
         accept_of(field(request_head, "Sec-WebSocket-Key")) + "\r\n" + std::string(more) + "\r\n";
}

/// An answer that leads to another URL.
inline std::string redirect_to(std::string_view url) {
  return "HTTP/1.1 302 Found\r\nLocation: " + std::string(url) + "\r\nContent-Length: 0\r\n\r\n";
}

/// A plain request.
inline std::string page_request(std::string_view target = "/", std::string_view method = "GET") {
  return std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: example.org\r\n\r\n";
}

}  // namespace tern::test
