// Checks that the outcome of a PROXY header does not depend on how it is cut, that no byte behind
// it is taken, that its length is bounded, and that the texts that it tells have no controls.
// Input: the received bytes.
//
// Subject: src/net/proxy_header.cc
#include "net/proxy_header.h"
#include "support/http_heads.h"

#include <algorithm>

namespace {

using tern::fuzz::ExactBlock;
using tern::fuzz::require;
using tern::net::ProxiedClient;
using tern::net::ProxyHeaderParser;
using Status = ProxyHeaderParser::Status;

struct Outcome {
  Status status{};
  std::size_t took = 0;
  std::string told{};
  bool operator==(const Outcome&) const = default;
};

bool is_text(std::string_view text) {
  return std::ranges::none_of(
      text, [](char c) { return (static_cast<unsigned char>(c) < 0x20) || c == 0x7F; });
}

std::string told(const ProxiedClient& client) {
  require(!client.address || !client.unix_path);
  require(is_text(client.authority) && client.unique_id.size() <= 128);
  std::string all = client.authority + '|' + client.unique_id + '|';
  if (client.address) all += client.address->to_string();
  if (client.unix_path) all += *client.unix_path;
  if (!client.tls) return all;
  require(client.tls->certificate || !client.tls->verified);
  for (const std::string& part :
       {client.tls->version, client.tls->cipher, client.tls->common_name}) {
    require(is_text(part));
    all += '|' + part;
  }
  return all + (client.tls->used ? "s" : "") + (client.tls->verified ? "v" : "");
}

Outcome parse(std::string_view bytes, std::size_t piece) {
  ProxyHeaderParser parser;
  Outcome outcome;
  while (parser.status() == Status::more && outcome.took < bytes.size()) {
    const ExactBlock block(bytes.substr(outcome.took, piece));
    const std::size_t took = parser.feed(block.bytes());
    require(took == block.text().size() || parser.status() != Status::more);
    outcome.took += took;
  }
  require(parser.started() == (outcome.took > 0));
  require((parser.status() == Status::failed) == !parser.why().empty());
  outcome.status = parser.status();
  if (outcome.status == Status::done) outcome.told = told(parser.client());
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = parse(bytes, std::max<std::size_t>(size, 1));
  for (const std::size_t piece : {1u, 2u, 5u, 16u}) require(parse(bytes, piece) == whole);
  require(whole.took <= 16 + ProxyHeaderParser::max_v2_block);
  if (whole.status != Status::done) return 0;
  // The header alone has the same outcome, and without its last byte it is not complete.
  require(parse(bytes.substr(0, whole.took), whole.took) == whole);
  require(parse(bytes.substr(0, whole.took - 1), whole.took).status == Status::more);
  return 0;
}
