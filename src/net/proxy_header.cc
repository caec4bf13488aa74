// Parses the PROXY protocol, versions 1 and 2.
//
//   v1 = "PROXY " ( "TCP4" / "TCP6" ) 4( " " field ) CRLF  /  "PROXY UNKNOWN" *any CRLF    §2.1
//   v2 = signature(12)  version and command(1)  family(1)  length(2)  addresses  *TLV      §2.2
//   TLV = type(1) length(2) value
//
// The parser waits until a header is complete, and then reads its fields. A
// header that breaks a rule ends the connection, because the rest of the stream cannot be trusted
// to begin where it seems to begin.
#include "net/proxy_header.h"

#include "net/crc32c.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

namespace tern::net {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::string_view signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view v1_start = "PROXY ";
constexpr std::size_t v2_head = 16;
constexpr std::size_t unix_bytes = 108;  // of one address of a Unix socket

// Types of TLVs, §2.2.
enum Type : unsigned {
  authority = 0x02,
  crc32c = 0x03,
  unique_id = 0x05,
  ssl = 0x20,
  ssl_version = 0x21,
  ssl_cn = 0x22,
  ssl_cipher = 0x23,
};
constexpr std::size_t max_unique_id = 128;
// Bits of PP2_TYPE_SSL's first byte.
constexpr unsigned client_ssl = 1;
constexpr unsigned client_certificate = 2 | 4;  // on this connection, or in this session

unsigned byte_at(Bytes bytes, std::size_t at) noexcept { return static_cast<unsigned>(bytes[at]); }

unsigned number16(Bytes bytes) noexcept { return byte_at(bytes, 0) << 8 | byte_at(bytes, 1); }

std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The client chooses some of the texts (SNI), and they may be shown in a log.
bool is_text(Bytes bytes) noexcept {
  return std::ranges::all_of(
      bytes, [](std::byte byte) { return byte >= std::byte(0x20) && byte != std::byte(0x7F); });
}

Bytes take(Bytes& from, std::size_t size) noexcept {
  const Bytes taken = from.first(size);
  from = from.subspan(size);
  return taken;
}

// A decimal number up to 65535 without leading zeros.
std::optional<std::uint16_t> parse_port(std::string_view text) noexcept {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || stop != end || (text.size() > 1 && text.front() == '0')) return {};
  return port;
}

std::optional<Address> parse_v1_address(std::string_view host, bool v6, std::string_view port) {
  if (host.find(':') == host.npos ? v6 : !v6) return {};
  if (host.find_first_of("[%") != host.npos) return {};  // no brackets, and no zones
  const auto number = parse_port(port);
  return number ? Address::parse(host, *number) : std::nullopt;
}

// Reads one TLV from the front of `rest`. Returns nothing if it does not fit.
struct Tlv {
  unsigned type;
  Bytes value;
};
std::optional<Tlv> take_tlv(Bytes& rest) noexcept {
  if (rest.size() < 3) return {};
  const unsigned type = byte_at(rest, 0);
  const std::size_t size = number16(rest.subspan(1));
  rest = rest.subspan(3);
  if (size > rest.size()) return {};
  return Tlv{type, take(rest, size)};
}

}  // namespace

std::size_t ProxyHeaderParser::feed(std::span<const std::byte> input) {
  std::size_t took = 0;
  while (status_ == Status::more && took < input.size()) {
    const std::size_t now = std::min(wanted(), input.size() - took);
    bytes_.append(reinterpret_cast<const char*>(input.data()) + took, now);
    took += now;
    on_bytes();
  }
  return took;
}

void ProxyHeaderParser::fail(std::string_view why) noexcept {
  status_ = Status::failed;
  why_ = why;
}

// Returns a number of bytes that certainly belong to the header. A header of version 1 ends with a
// line break, so only the next byte is certain.
std::size_t ProxyHeaderParser::wanted() noexcept {
  if (!bytes_.starts_with('\r')) return 1;
  if (bytes_.size() < v2_head)
    return bytes_.size() < signature.size() ? 1 : v2_head - bytes_.size();
  const Bytes head = std::as_bytes(std::span(bytes_));
  return v2_head + number16(head.subspan(v2_head - 2)) - bytes_.size();
}

void ProxyHeaderParser::on_bytes() {
  const std::string_view text = bytes_;
  const std::string_view start = text.front() == '\r' ? signature : v1_start;
  const std::size_t compared = std::min(text.size(), start.size());
  if (text.substr(0, compared) != start.substr(0, compared)) {
    return fail("the connection does not begin with a PROXY header");
  }
  if (start == v1_start) {
    if (text.ends_with("\r\n")) return parse_v1(text.substr(0, text.size() - 2));
    if (text.size() == max_v1_bytes) fail("the header of version 1 is too long");
    return;
  }
  if (text.size() < v2_head) return;
  const Bytes head = std::as_bytes(std::span(bytes_));
  const std::size_t block = number16(head.subspan(v2_head - 2));
  if (block > max_v2_block) return fail("the header of version 2 is too long");
  if (text.size() == v2_head + block) parse_v2();
}

// ---- version 1

void ProxyHeaderParser::parse_v1(std::string_view line) {
  line.remove_prefix(v1_start.size());
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) {
    status_ = Status::done;
    return;
  }
  // Protocol, the two addresses, and the two ports.
  std::array<std::string_view, 5> parts;
  for (std::string_view& part : parts) {
    const std::size_t end = std::min(line.find(' '), line.size());
    part = line.substr(0, end);
    line.remove_prefix(&part == &parts.back() ? end : std::min(end + 1, line.size()));
  }
  const auto& [protocol, source, destination, source_port, destination_port] = parts;
  const bool v6 = protocol == "TCP6";
  client_.address = parse_v1_address(source, v6, source_port);
  const bool fits = line.empty() && (v6 || protocol == "TCP4") && client_.address &&
                    parse_v1_address(destination, v6, destination_port);
  if (!fits) return fail("the header of version 1 is malformed");
  status_ = Status::done;
}

// ---- version 2

void ProxyHeaderParser::parse_v2() {
  Bytes block = std::as_bytes(std::span(bytes_));
  const unsigned version_and_command = byte_at(block, 12);
  const unsigned family = byte_at(block, 13);
  block = block.subspan(v2_head);
  if (version_and_command == 0x20) {  // LOCAL: the block has no meaning
    status_ = Status::done;
    return;
  }
  if (version_and_command != 0x21) return fail("the header has an unknown version or command");
  if (!parse_addresses(block, family)) return fail("the addresses of the header are malformed");
  if (!parse_tlvs(block)) return fail("the header has a malformed TLV or a wrong checksum");
  status_ = Status::done;
}

// Removes the addresses from the front of the block. TCP and UDP count alike, because the proxy may
// have received HTTP/3.
bool ProxyHeaderParser::parse_addresses(std::span<const std::byte>& block, unsigned family) {
  const auto is = [family](unsigned number) { return family == number || family == number + 1; };
  if (family == 0) return true;  // UNSPEC: TLVs follow
  if (is(0x11) && block.size() >= 12) {
    const Bytes all = take(block, 12);
    sockaddr_in from{};
    from.sin_family = AF_INET;
    std::memcpy(&from.sin_addr, all.data(), 4);
    std::memcpy(&from.sin_port, all.data() + 8, 2);
    client_.address = Address::from(reinterpret_cast<const sockaddr*>(&from), sizeof from);
    return true;
  }
  if (is(0x21) && block.size() >= 36) {
    const Bytes all = take(block, 36);
    sockaddr_in6 from{};
    from.sin6_family = AF_INET6;
    std::memcpy(&from.sin6_addr, all.data(), 16);
    std::memcpy(&from.sin6_port, all.data() + 32, 2);
    client_.address = Address::from(reinterpret_cast<const sockaddr*>(&from), sizeof from);
    return true;
  }
  if (is(0x31) && block.size() >= 2 * unix_bytes) {
    const std::string path = text_of(take(block, 2 * unix_bytes).first(unix_bytes));
    const bool is_abstract = path.front() == '\0' && path[1] != '\0';
    const std::string_view name = std::string_view(path).substr(is_abstract ? 1 : 0);
    client_.unix_path = (is_abstract ? "@" : "") + std::string(name.substr(0, name.find('\0')));
    return is_text(std::as_bytes(std::span(*client_.unix_path)));
  }
  return false;
}

bool ProxyHeaderParser::parse_tlvs(std::span<const std::byte> block) {
  std::array<bool, 256> seen{};
  while (!block.empty()) {
    const auto tlv = take_tlv(block);
    if (!tlv) return false;
    const bool again = std::exchange(seen[tlv->type], true);
    switch (tlv->type) {
      case authority:
        if (again || !is_text(tlv->value)) return false;
        client_.authority = text_of(tlv->value);
        break;
      case unique_id:
        if (again || tlv->value.size() > max_unique_id) return false;
        client_.unique_id = text_of(tlv->value);
        break;
      case crc32c:
        if (again || !checksum_fits(tlv->value)) return false;
        break;
      case ssl:
        if (again || !parse_tls(tlv->value)) return false;
        break;
      default:
        break;
    }
  }
  return true;
}

bool ProxyHeaderParser::parse_tls(std::span<const std::byte> block) {
  if (block.size() < 5) return false;
  const unsigned bits = byte_at(block, 0);
  const bool verified =
      std::ranges::all_of(block.subspan(1, 4), [](std::byte byte) { return byte == std::byte(0); });
  ProxiedTls& tls = client_.tls.emplace();
  tls.used = (bits & client_ssl) != 0;
  tls.certificate = (bits & client_certificate) != 0;
  tls.verified = tls.certificate && verified;
  for (Bytes rest = block.subspan(5); !rest.empty();) {
    const auto tlv = take_tlv(rest);
    if (!tlv) return false;
    std::string* const into = tlv->type == ssl_version  ? &tls.version
                              : tlv->type == ssl_cn     ? &tls.common_name
                              : tlv->type == ssl_cipher ? &tls.cipher
                                                        : nullptr;
    if (into == nullptr) continue;
    if (!into->empty() || !is_text(tlv->value)) return false;
    *into = text_of(tlv->value);
  }
  return true;
}

// The checksum is that of the header with zeros in place of the checksum. §2.2.2.
bool ProxyHeaderParser::checksum_fits(std::span<const std::byte> checksum) const noexcept {
  if (checksum.size() != 4) return false;
  const Bytes all = std::as_bytes(std::span(bytes_));
  const auto before = static_cast<std::size_t>(checksum.data() - all.data());
  constexpr std::array<std::byte, 4> zeros{};
  Crc32c crc;
  crc.add(all.first(before));
  crc.add(zeros);
  crc.add(all.subspan(before + checksum.size()));
  std::uint32_t said = 0;
  for (const std::byte byte : checksum) said = said << 8 | static_cast<std::uint32_t>(byte);
  return crc.value() == said;
}

}  // namespace tern::net
