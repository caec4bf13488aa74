// The common parts of the groups, and group 10.
#include "conformance/cases.h"

#include <algorithm>

namespace tern::conformance {

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  add_framing_cases(cases);
  add_text_cases(cases);
  add_closing_cases(cases);
  add_bulk_cases(cases);
  add_fragment_cases(cases);
  add_deflate_cases(cases);
  return cases;
}

std::string bytes(std::string_view hex) {
  const auto value = [](char digit) { return digit < 'A' ? digit - '0' : digit - 'A' + 10; };
  std::string result;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 3) {
    result += static_cast<char>(value(hex[i]) * 16 + value(hex[i + 1]));
  }
  return result;
}

std::vector<Frame> fragments(const Frame& message, std::size_t size) {
  if (message.payload.size() <= size) return {message};
  std::vector<Frame> frames;
  for (std::size_t at = 0; at < message.payload.size(); at += size) {
    const bool whole = message.payload.size() - at >= size;
    frames.push_back({at == 0 ? message.opcode : 0, message.payload.substr(at, size), !whole});
  }
  if (!frames.back().fin) frames.push_back(test::more(""));
  return frames;
}

Script echo(const Frame& message, Writing writing) {
  return {.steps = {send({message}, writing)}, .expected = {to_string(message)}};
}

Script failure(std::vector<Frame> frames, int code, Writing writing) {
  return {.steps = {send(std::move(frames), writing)}, .ending = fails_with(code)};
}

void add_fragment_cases(std::vector<Case>& cases) {
  cases.push_back({"10.1.1", [] {
                     const Frame message = test::text(std::string(65536, '*'));
                     return Script{.steps = {send(fragments(message, 1300))},
                                   .expected = {to_string(message)}};
                   }});
}

}  // namespace tern::conformance
