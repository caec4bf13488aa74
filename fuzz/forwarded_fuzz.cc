// Checks the rules of Forwarded and X-Forwarded-*. The elements of trusted proxies lead to the same
// client, although the client may send any text before them, in the same line or in earlier lines.
// If the quotes are balanced, the reader of elements agrees with a plain reader, which begins at
// the other end. Input: one byte of flags, then the bytes of the client.
//
// Subject: src/http/forwarded.cc
// Subject: src/server/told.cc
#include "http/forwarded.h"
#include "http/token.h"
#include "server/told.h"
#include "support/http_heads.h"
#include "support/input.h"

namespace {

using tern::HeaderField;
using tern::TrustedHeader;
using tern::fuzz::ExactBlock;
using tern::fuzz::require;
using tern::http::LastElements;
using tern::server::Told;
using tern::server::told_by_proxies;
using tern::server::TrustedPeers;

const TrustedPeers& trusted() {
  static const TrustedPeers peers({"10.0.0.0/8", "unix:"});
  return peers;
}

Told read(const std::vector<std::pair<std::string, std::string>>& lines, TrustedHeader header) {
  std::vector<ExactBlock> blocks;
  std::vector<HeaderField> fields;
  blocks.reserve(lines.size());
  for (const auto& [name, value] : lines) {
    blocks.emplace_back(value);
    fields.push_back({name, tern::http::trim(blocks.back().text())});
  }
  return told_by_proxies(fields, header, trusted());
}

// An address that is told can be read again, and what is told has no controls.
void check(const Told& told) {
  require(told.address.empty() || tern::http::parse_node(told.address));
  require(tern::http::is_field_value(told.address) && tern::http::is_field_value(told.host));
}

void check_proxies_win(const std::string& client, bool same_line) {
  using Lines = std::vector<std::pair<std::string, std::string>>;
  const auto lines = [&](const std::string& name, const std::string& theirs) {
    return same_line ? Lines{{name, client + ", " + theirs}}
                     : Lines{{name, client}, {name, theirs}};
  };
  const Told forwarded =
      read(lines("Forwarded", R"(for="203.0.113.7:9";host="h:1";proto=https, for=10.0.0.1)"),
           TrustedHeader::forwarded);
  require(forwarded.address == "203.0.113.7:9" && forwarded.host == "h:1" && *forwarded.secure);
  Lines all = lines("X-Forwarded-For", "203.0.113.7, 10.0.0.1");
  all.push_back({"X-Forwarded-Proto", "https"});
  const Told x_forwarded = read(all, TrustedHeader::x_forwarded);
  require(x_forwarded.address == "203.0.113.7" && *x_forwarded.secure);
}

void check_elements(std::string_view text) {
  const ExactBlock block(text);
  const std::vector<HeaderField> fields{{"A", tern::http::trim(block.text())}};
  std::vector<std::string_view> from_end;
  LastElements last(fields, "a", LastElements::Commas::quoted);
  while (const auto element = last.next()) from_end.push_back(*element);
  bool plain = true;  // all quotes open a value or end one, so both directions must agree
  std::vector<std::string_view> from_begin;
  tern::http::ListReader first(fields, "a");
  while (const auto element = first.next()) {
    from_begin.push_back(*element);
    plain = plain && tern::http::parse_forwarded(*element);
  }
  if (!plain || first.malformed()) return;
  std::ranges::reverse(from_begin);
  require(from_begin == from_end);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tern::fuzz::Input input(data, std::min<std::size_t>(size, 4096));
  const unsigned flags = input.take();
  std::string client;
  while (!input.empty()) client += static_cast<char>(input.take());
  if (!tern::http::is_field_value(client)) return 0;  // the parser of heads refuses it
  check(read({{"Forwarded", client}}, TrustedHeader::forwarded));
  check(read(
      {{"X-Forwarded-For", client}, {"X-Forwarded-Host", client}, {"X-Forwarded-Proto", client}},
      TrustedHeader::x_forwarded));
  check_proxies_win(client, (flags & 1) != 0);
  check_elements(client);
  return 0;
}
