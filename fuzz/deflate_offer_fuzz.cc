// Checks that offers and answers of permessage-deflate follow the rules of RFC 7692 §7.1, which are
// written here as a table. Input: four bytes of options, then field lines, separated by LF.
//
// Subject: src/deflate/params.cc
#include "deflate/params.h"
#include "http/token.h"
#include "support/http_heads.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace {

using tern::Deflate;
using tern::DeflateAgreement;
using tern::HeaderField;
using tern::fuzz::ExactBlock;
using tern::fuzz::require;

constexpr std::string_view name = "Sec-WebSocket-Extensions";
using Parameters = std::map<std::string, std::optional<std::string>>;

int bits_of(const std::string& text) {
  for (int bits = 8; bits <= 15; ++bits) {
    if (text == std::to_string(bits)) return bits;
  }
  return 0;
}

// Returns nothing if the element is not permessage-deflate or breaks a rule of RFC 7692.
std::optional<Parameters> reference(std::string_view element) {
  tern::http::ParameterReader reader(element);
  if (reader.name() != "permessage-deflate") return {};
  Parameters parameters;
  bool good = true;
  std::size_t count = 0;
  while (const auto parameter = reader.next()) {
    std::optional<std::string> value;
    if (parameter->has_value) value = tern::fuzz::unescape(parameter->value);
    good = good && parameters.emplace(parameter->name, value).second && ++count <= 16;
  }
  good = good && !reader.malformed();
  for (const auto& [key, value] : parameters) {
    if (key == "server_no_context_takeover" || key == "client_no_context_takeover") {
      good = good && !value;
    } else if (key == "server_max_window_bits") {
      good = good && value && bits_of(*value) != 0;
    } else {
      good = good && key == "client_max_window_bits" && (!value || bits_of(*value) != 0);
    }
  }
  if (!good) return {};
  return parameters;
}

// The elements up to the first fault in the list.
std::vector<std::string> elements_of(const std::vector<HeaderField>& fields) {
  std::vector<std::string> elements;
  tern::http::ListReader list(fields, name);
  while (const auto element = list.next()) elements.emplace_back(*element);
  return elements;
}

int window_in(const Parameters& parameters, const std::string& key) {
  const auto found = parameters.find(key);
  return found == parameters.end() || !found->second ? 0 : bits_of(*found->second);
}

void check_server(const std::vector<HeaderField>& fields, const Deflate& options) {
  std::optional<Parameters> offer;
  std::size_t count = 0;
  for (const std::string& element : elements_of(fields)) {
    if (++count > 16) break;
    offer = reference(element);
    if (offer && window_in(*offer, "server_max_window_bits") != 8) break;
    offer.reset();
  }
  const auto accepted = tern::deflate::accept_offer(fields, options);
  require(accepted.has_value() == offer.has_value());
  if (!accepted) return;
  const DeflateAgreement& agreed = accepted->agreed;
  const auto answer = reference(tern::deflate::answer_text(*accepted));
  require(answer.has_value());
  const int asked = window_in(*offer, "server_max_window_bits");
  const int granted = window_in(*answer, "server_max_window_bits");
  require(asked == 0 || (granted != 0 && granted <= asked));
  require(agreed.window_bits == (granted == 0 ? 15 : granted) && agreed.window_bits >= 9);
  require(agreed.window_bits <= options.window_bits);
  require(answer->contains("server_no_context_takeover") == !agreed.takeover);
  require(!offer->contains("server_no_context_takeover") || !agreed.takeover);
  require(!agreed.takeover || options.takeover);
  const int limit = window_in(*answer, "client_max_window_bits");
  require(answer->contains("client_max_window_bits") == (limit != 0));
  require(limit == 0 || offer->contains("client_max_window_bits"));
  require(answer->contains("client_no_context_takeover") == !agreed.peer_takeover);
  require(!agreed.peer_takeover || options.peer_takeover);
  require(!agreed.peer_takeover || agreed.peer_window_bits <= options.peer_window_bits);
  require(agreed.peer_window_bits == 15 || limit == agreed.peer_window_bits);
}

void check_client(const std::vector<HeaderField>& fields, const Deflate& options) {
  std::optional<DeflateAgreement> agreed;
  const auto fault = tern::deflate::check_answer(fields, &options, agreed);
  const auto elements = elements_of(fields);
  require(!fault || !agreed);
  if (!agreed) return;
  require(elements.size() == 1);
  const auto answer = reference(elements[0]);
  require(answer.has_value());
  require(agreed->window_bits == 0 || agreed->window_bits >= 9);
  require(agreed->window_bits <= options.window_bits);
  require(!agreed->takeover || options.takeover);
  require(!agreed->takeover || !answer->contains("client_no_context_takeover"));
  require(!agreed->peer_takeover || options.peer_takeover);
  require(!agreed->peer_takeover || agreed->peer_window_bits <= options.peer_window_bits);
  require(agreed->peer_takeover != answer->contains("server_no_context_takeover"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const auto options = tern::deflate::usable(Deflate{.level = 1 + data[0] % 9,
                                                     .window_bits = data[1] % 20,
                                                     .peer_window_bits = data[2] % 20,
                                                     .takeover = data[3] % 2 != 0,
                                                     .peer_takeover = data[3] / 2 % 2 != 0});
  const std::string_view text(reinterpret_cast<const char*>(data) + 4, size - 4);
  std::vector<ExactBlock> blocks;
  std::vector<HeaderField> fields;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    blocks.emplace_back(text.substr(at, end - at));
    fields.push_back({name, blocks.back().text()});
    at = end + 1;
  }
  check_server(fields, *options);
  check_client(fields, *options);
  // A server with these options accepts the offer of a client with the same options.
  const std::string offer = tern::deflate::offer_text(*options);
  const std::vector<HeaderField> offered{{name, offer}};
  require(tern::deflate::accept_offer(offered, *options).has_value());
  check_server(offered, *options);
  return 0;
}
