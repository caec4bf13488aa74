// Group 9: large messages, many fragments, many messages. Autobahn checks only type and length of
// the echo; here its content counts as well.
#include "conformance/cases.h"

namespace tern::conformance {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

// A pattern whose length no power of two divides, so that misplaced bytes become visible.
Frame message(bool is_text, std::size_t size) {
  const std::string pattern = is_text ? "tern 9.x *" : bytes("00 FE 23 FA F0");
  std::string payload;
  payload.reserve(size + pattern.size());
  while (payload.size() < size) payload += pattern;
  payload.resize(size);
  return {is_text ? 1u : 2u, std::move(payload)};
}

}  // namespace

void add_bulk_cases(std::vector<Case>& cases) {
  const auto add = [&](int subgroup, std::vector<std::size_t> sizes, auto script) {
    for (const bool is_text : {true, false}) {
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        const std::size_t size = sizes[i];
        cases.push_back(
            {"9." + std::to_string(subgroup + (is_text ? 0 : 1)) + '.' + std::to_string(i + 1),
             [=] { return script(is_text, size); }});
      }
    }
  };
  add(1, {64 * kib, 256 * kib, mib, 4 * mib, 8 * mib, 16 * mib},
      [](bool is_text, std::size_t size) { return echo(message(is_text, size)); });
  add(3, {64, 256, kib, 4 * kib, 16 * kib, 64 * kib, 256 * kib, mib, 4 * mib},
      [](bool is_text, std::size_t size) {
        const Frame whole = message(is_text, 4 * mib);
        return Script{.steps = {send(fragments(whole, size))}, .expected = {to_string(whole)}};
      });
  add(5, {64, 128, 256, 512, 1024, 2048},
      [](bool is_text, std::size_t size) { return echo(message(is_text, mib), chops_of(size)); });
  add(7, {0, 16, 64, 256, 1024, 4096}, [](bool is_text, std::size_t size) {
    Script script = echo(message(is_text, size));
    script.rounds = 1000;
    return script;
  });
}

}  // namespace tern::conformance
