// Checks that lists and parameters agree with a plain reference, which splits a list one character
// at a time. Input: field lines of one name, separated by LF.
//
// Subject: src/http/token.cc
// Subject: src/http/authority.cc
// Subject: src/handshake/origin.cc

#include "handshake/origin.h"
#include "handshake/protocols.h"
#include "http/authority.h"
#include "http/token.h"
#include "support/http_heads.h"

#include <set>

namespace {

using tern::HeaderField;
using tern::fuzz::ExactBlock;
using tern::fuzz::require;

constexpr std::string_view name = "Sec-WebSocket-Protocol";

struct List {
  std::vector<std::string> elements{};
  bool malformed = false;
};

std::string without_white_space_around(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

List reference(const std::vector<std::string>& lines) {
  List list;
  for (const std::string& line : lines) {
    enum { outside, quoted, escaped } state = outside;
    std::string element;
    for (const char c : line + ',') {
      if (c == ',' && state == outside) {
        element = without_white_space_around(element);
        if (!element.empty()) list.elements.push_back(element);
        element.clear();
        continue;
      }
      element += c;
      if (state == escaped) {
        state = quoted;
      } else if (state == quoted) {
        state = c == '"' ? outside : c == '\\' ? escaped : quoted;
      } else if (c == '"') {
        state = quoted;
      }
    }
    // The comma that this loop added is inside a quoted-string without an end.
    if (!element.empty()) {
      list.malformed = true;
      return list;
    }
  }
  return list;
}

List read(const std::vector<HeaderField>& fields) {
  List list;
  tern::http::ListReader reader(fields, "sec-websocket-protocol");
  while (const auto element = reader.next()) list.elements.emplace_back(*element);
  list.malformed = reader.malformed();
  return list;
}

// Checks that an element that is written again in its shortest form has the same meaning.
void check_parameters(std::string_view element) {
  const ExactBlock block(element);
  tern::http::ParameterReader reader(block.text());
  std::string text(reader.name());
  std::vector<std::string> names;
  while (const auto parameter = reader.next()) {
    require(tern::http::is_token(parameter->name));
    names.emplace_back(parameter->name);
    text.append(";").append(parameter->name);
    if (!parameter->has_value) continue;
    const std::string value = tern::fuzz::unescape(parameter->value);
    require(tern::http::is_token(value));
    text.append("=").append(value);
  }
  require(!reader.next());
  if (reader.malformed()) return;
  tern::http::ParameterReader again(text);
  require(again.name() == reader.name());
  std::size_t count = 0;
  while (const auto parameter = again.next()) require(parameter->name == names.at(count++));
  require(!again.malformed() && count == names.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> lines;
  std::vector<ExactBlock> blocks;
  std::vector<HeaderField> fields;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.emplace_back(text.substr(at, end - at));
    blocks.emplace_back(lines.back());
    fields.push_back({name, blocks.back().text()});
    at = end + 1;
  }
  const List expected = reference(lines);
  const List list = read(fields);
  require(list.malformed == expected.malformed && list.elements == expected.elements);

  const std::set<std::string> distinct(list.elements.begin(), list.elements.end());
  bool valid = !list.malformed && distinct.size() == list.elements.size();
  valid = valid && !distinct.empty() && distinct.size() <= tern::handshake::max_protocols;
  for (const std::string& element : list.elements) {
    valid = valid && tern::http::is_token(element);
    check_parameters(element);
  }
  require(tern::handshake::valid_protocol_list(fields) == valid);
  if (!list.elements.empty()) {
    require(tern::http::list_contains(fields, name, list.elements.back()) == !list.malformed);
  }

  // Each line is also an origin. It passes if the list of allowed origins holds it. With an empty
  // list it passes only for its own host, and for at most one of the two schemes.
  for (const ExactBlock& line : blocks) {
    const std::vector<HeaderField> head{{"Host", "a.b:9001"}, {"Origin", line.text()}};
    const tern::Request request({.fields = head});
    using tern::handshake::origin_passes;
    using tern::handshake::Security;
    int passed = 0;
    for (const Security security : {Security::plain, Security::tls}) {
      require(origin_passes(request, std::vector{std::string(line.text())}, security));
      passed += origin_passes(request, {}, security);
    }
    require(passed < 2);
    if (passed > 0) require(line.text().ends_with(":9001") && line.text().size() >= 13);
    if (const auto authority = tern::http::parse_authority(line.text())) {
      require(!authority->host.empty());
    }
  }
  return 0;
}
