// Autobahn's table for group 13. Group 12 offers and answers like 13.1.
//
// A server tester accepts the first offer and repeats its server_* parameters. It declines if its
// own answer needs client_max_window_bits and the client did not offer that.
#include "conformance/negotiation.h"

#include "conformance/cases.h"
#include "support/engine_peer.h"
#include "support/zlib_peer.h"

#include <array>
#include <cstdlib>

namespace tern::conformance {
namespace {

const std::string plain_offer =
    "permessage-deflate; client_no_context_takeover; client_max_window_bits";

// The offers and answers of 13.1 to 13.6.
struct Terms {
  const char* server = "";  // parameters for the server that a client tester adds
  bool client_no_takeover = false;
  int client_bits = 0;
};

constexpr std::array<Terms, 6> terms{{
    {},
    {"; server_no_context_takeover", true, 0},
    {"; server_max_window_bits=9", false, 9},
    {"; server_max_window_bits=15", false, 15},
    {"; server_no_context_takeover; server_max_window_bits=9", true, 9},
    {"; server_no_context_takeover; server_max_window_bits=15", true, 15},
}};

std::size_t subgroup_of(std::string_view id) {
  return group_of(id) == "13" ? static_cast<std::size_t>(id[3] - '0') : 1;
}

bool has(std::string_view text, std::string_view parameter) {
  return text.find(parameter) != text.npos;
}

int number_behind(std::string_view text, std::string_view name) {
  const std::size_t at = text.find(name);
  return at == text.npos ? 0 : std::atoi(std::string(text.substr(at + name.size())).c_str());
}

std::string answer_by(const Terms& own, std::string_view offer) {
  if (own.client_bits != 0 && !has(offer, "client_max_window_bits")) return {};
  std::string answer = "permessage-deflate";
  if (has(offer, "server_no_context_takeover")) answer += "; server_no_context_takeover";
  if (const int bits = number_behind(offer, "server_max_window_bits="); bits != 0) {
    answer += "; server_max_window_bits=" + std::to_string(bits);
  }
  if (own.client_no_takeover) answer += "; client_no_context_takeover";
  if (own.client_bits != 0) answer += "; client_max_window_bits=" + std::to_string(own.client_bits);
  return answer;
}

// Only parameters of RFC 7692 §7.1, each once.
void expect_known(std::string answer) {
  static constexpr std::array<std::string_view, 4> known = {
      "; server_no_context_takeover", "; client_no_context_takeover",
      "; server_max_window_bits=", "; client_max_window_bits="};
  for (const std::string_view name : known) {
    const std::size_t at = answer.find(name);
    if (at == answer.npos) continue;
    std::size_t size = name.size();
    while (at + size < answer.size() && answer[at + size] >= '0' && answer[at + size] <= '9')
      ++size;
    answer.erase(at, size);
  }
  test::require(answer == "permessage-deflate", "answers with", answer);
}

}  // namespace

std::string offer_of(std::string_view id) {
  const std::string group = group_of(id);
  if (group != "12" && group != "13") return {};
  const std::size_t subgroup = subgroup_of(id);
  if (subgroup < 7) return plain_offer + terms[subgroup - 1].server;
  return plain_offer + terms[4].server + ", " + plain_offer + terms[1].server + ", " + plain_offer;
}

std::string answer_of(std::string_view id, std::string_view offer) {
  const std::string_view first = offer.substr(0, offer.find(','));
  if (!first.starts_with("permessage-deflate")) return {};
  const std::size_t subgroup = subgroup_of(id);
  if (subgroup < 7) return answer_by(terms[subgroup - 1], first);
  for (const std::size_t each : {5u, 2u, 1u}) {
    const std::string answer = answer_by(terms[each - 1], first);
    if (!answer.empty()) return answer;
  }
  return {};
}

std::optional<DeflateAgreement> agreed_by(std::string_view answer, Role tester) {
  if (answer.empty() || answer == "(absent)") return {};
  expect_known(std::string(answer));
  const auto bits = [&](std::string_view name) {
    const int value = number_behind(answer, name);
    test::require(!has(answer, name) || (value >= 8 && value <= 15),
                  "answers with a window out of bounds");
    return static_cast<std::uint8_t>(value == 0 ? 15 : value);
  };
  const bool client = tester == Role::client;
  const std::string_view ours = client ? "client" : "server";
  const std::string_view theirs = client ? "server" : "client";
  const auto name = [](std::string_view side, std::string_view rest) {
    return std::string(side) + std::string(rest);
  };
  // The offer of a client tester applies even if the answer does not repeat it: no context
  // takeover.
  return DeflateAgreement{.window_bits = bits(name(ours, "_max_window_bits=")),
                          .peer_window_bits = bits(name(theirs, "_max_window_bits=")),
                          .takeover = !client && !has(answer, name(ours, "_no_context_takeover")),
                          .peer_takeover = !has(answer, name(theirs, "_no_context_takeover"))};
}

Script compressed(const Script& plain, std::string_view id, const DeflateAgreement& agreed) {
  Script script = plain;
  test::ZlibSender sender(agreed.window_bits);
  const std::size_t fragment = deflate_fragment_of(id);
  for (Step& step : script.steps) {
    if (step.kind != Step::Kind::send) continue;
    std::vector<Frame> frames;
    for (const Frame& message : step.frames) {
      if (!agreed.takeover) sender.reset();
      const Frame whole{message.opcode, sender.message(message.payload)};
      std::vector<Frame> cut = fragment == 0 ? std::vector{whole} : fragments(whole, fragment);
      cut.front().rsv = 4;
      frames.insert(frames.end(), cut.begin(), cut.end());
    }
    step.frames = std::move(frames);
  }
  return script;
}

}  // namespace tern::conformance
