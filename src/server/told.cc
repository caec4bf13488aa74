// From the header fields of proxies to the client. Only the end of the fields is from proxies that
// are trusted; the client itself may have sent the rest. So each step towards the client needs the
// trust in the step before.
#include "server/told.h"

#include "http/authority.h"
#include "http/forwarded.h"
#include "http/token.h"
#include "net/address.h"

#include <cstddef>
#include <string_view>
#include <utility>

namespace tern::server {
namespace {

using http::LastElements;

// One entry of the chain.
struct Hop {
  std::string text;
  bool trusted;
};

// Returns nothing for an entry that cannot be read.
std::optional<Hop> hop_of(std::string_view entry, const TrustedPeers& trusted) {
  const auto node = http::parse_node(entry);
  if (!node) return {};
  switch (node->kind) {
    case http::Node::Kind::unix_socket:
      return Hop{.text = "unix:", .trusted = trusted.has_unix_sockets()};
    case http::Node::Kind::hidden:
      return Hop{.text = std::string(node->host), .trusted = false};
    case http::Node::Kind::address:
      break;
  }
  const auto address = net::Address::parse(node->host, node->port.value_or(0));
  if (!address) return {};
  return Hop{.text = node->port ? address->to_string() : address->host(),
             .trusted = trusted.contains(*address)};
}

std::optional<bool> is_secure(std::string_view scheme) noexcept {
  if (http::iequals(scheme, "https") || http::iequals(scheme, "wss")) return true;
  if (http::iequals(scheme, "http") || http::iequals(scheme, "ws")) return false;
  return {};
}

std::string valid_host(std::string_view host) {
  return http::parse_authority(host) ? std::string(host) : std::string();
}

// ---- X-Forwarded-*

// The place of the client in X-Forwarded-For.
struct EntryPlace {
  std::size_t from_end = 0;  // 1 for the last entry; 0: no entry is believed
  std::size_t entries = 0;
};

// Returns the element at that place, if the list has as many elements; otherwise its last element.
std::string_view element_at(std::span<const HeaderField> fields, std::string_view name,
                            EntryPlace place) noexcept {
  LastElements list(fields, name, LastElements::Commas::separate);
  std::string_view last;
  std::string_view at_place;
  std::size_t count = 0;
  while (const auto element = list.next()) {
    if (++count == 1) last = *element;
    if (count == place.from_end) at_place = *element;
  }
  return count == place.entries && place.from_end != 0 ? at_place : last;
}

Told told_by_x_forwarded(std::span<const HeaderField> fields, const TrustedPeers& trusted) {
  Told told;
  EntryPlace place;
  bool goes_on = true;
  LastElements chain(fields, "X-Forwarded-For", LastElements::Commas::separate);
  while (const auto entry = chain.next()) {
    ++place.entries;
    if (!goes_on) continue;
    std::optional<Hop> hop = hop_of(*entry, trusted);
    goes_on = hop && hop->trusted;
    if (!hop) continue;
    told.address = std::move(hop->text);
    place.from_end = place.entries;
  }
  told.secure = is_secure(element_at(fields, "X-Forwarded-Proto", place));
  told.host = valid_host(element_at(fields, "X-Forwarded-Host", place));
  return told;
}

// ---- Forwarded

Told told_by_forwarded(std::span<const HeaderField> fields, const TrustedPeers& trusted) {
  Told told;
  LastElements chain(fields, "Forwarded", LastElements::Commas::quoted);
  while (const auto entry = chain.next()) {
    const auto element = http::parse_forwarded(*entry);
    if (!element) break;
    // An element without "for" hides the client, so the chain ends there.
    std::optional<Hop> hop = element->node.empty() ? Hop{.text = told.address, .trusted = false}
                                                   : hop_of(element->node, trusted);
    if (!hop) break;
    told.address = std::move(hop->text);
    told.secure = is_secure(element->proto);
    told.host = valid_host(element->host);
    if (!hop->trusted) break;
  }
  return told;
}

}  // namespace

Told told_by_proxies(std::span<const HeaderField> fields, TrustedHeader header,
                     const TrustedPeers& trusted) {
  return header == TrustedHeader::forwarded ? told_by_forwarded(fields, trusted)
                                            : told_by_x_forwarded(fields, trusted);
}

}  // namespace tern::server
