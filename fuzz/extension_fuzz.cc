// Checks that a list of extensions (Sec-WebSocket-Extensions) gives the same extensions,
// parameters, values and faults as a plain reader, which reads the grammar of RFC 6455 §9.1 one
// character at a time. Input: field lines, separated by LF.
//
// Subject: src/http/token.cc
#include "http/token.h"
#include "support/http_heads.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using tern::HeaderField;
using tern::fuzz::ExactBlock;
using tern::fuzz::require;

constexpr std::string_view name = "Sec-WebSocket-Extensions";

struct Parameter {
  std::string name{};
  std::optional<std::string> value{};
  bool operator==(const Parameter&) const = default;
};

struct Extension {
  std::string name{};
  std::vector<Parameter> parameters{};
  bool operator==(const Extension&) const = default;
};

// Reads one element of a list. The white space and the commas around it are already removed.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  /// Returns nothing if the element breaks the grammar.
  std::optional<Extension> read() {
    Extension extension{.name = token()};
    if (extension.name.empty()) return {};
    for (skip(); !rest_.empty(); skip()) {
      if (!take(';')) return {};
      skip();
      Parameter parameter{.name = token()};
      if (parameter.name.empty()) return {};
      skip();
      if (take('=')) {
        skip();
        parameter.value = take('"') ? quoted() : token();
        if (parameter.value->empty()) return {};
      }
      extension.parameters.push_back(std::move(parameter));
    }
    return extension;
  }

 private:
  static bool is_token_char(char c) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
    return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip() {
    while (take(' ') || take('\t')) {
    }
  }
  std::string token() {
    std::string taken;
    while (!rest_.empty() && is_token_char(rest_.front())) {
      taken += rest_.front();
      rest_.remove_prefix(1);
    }
    return taken;
  }
  // Returns the text between the quotes if it is a token (§9.1). Otherwise returns nothing, which
  // is a fault.
  std::string quoted() {
    std::string taken;
    while (!rest_.empty()) {
      if (take('"')) return taken;
      take('\\');
      if (rest_.empty() || !is_token_char(rest_.front())) return {};
      taken += rest_.front();
      rest_.remove_prefix(1);
    }
    return {};
  }

  std::string_view rest_;
};

std::optional<Extension> read_by_tern(std::string_view element) {
  const ExactBlock block(element);
  tern::http::ParameterReader reader(block.text());
  Extension extension{.name = std::string(reader.name())};
  while (const auto parameter = reader.next()) {
    require(!reader.malformed());
    Parameter copy{.name = std::string(parameter->name)};
    if (parameter->has_value) copy.value = tern::fuzz::unescape(parameter->value);
    extension.parameters.push_back(std::move(copy));
  }
  require(!reader.next());
  if (reader.malformed()) return {};
  return extension;
}

// Removes control characters, because the head parser refuses lines that have them.
std::string as_field_value(std::string_view line) {
  std::string value;
  for (const char c : line) {
    if (c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != '\x7F')) value += c;
  }
  return value;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<ExactBlock> blocks;
  std::vector<HeaderField> fields;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    blocks.emplace_back(as_field_value(text.substr(at, end - at)));
    fields.push_back({name, blocks.back().text()});
    fields.push_back({"Sec-WebSocket-Extension", "another"});
    at = end + 1;
  }
  require(tern::http::count(fields, "sec-websocket-extensions") == blocks.size());
  require(tern::http::find(fields, "SEC-WEBSOCKET-EXTENSIONS") == blocks.front().text());
  tern::http::ListReader list(fields, "sec-WebSocket-extensions");
  while (const auto element = list.next()) {
    require(!element->empty() && tern::http::trim(*element) == *element);
    require(tern::http::is_field_value(*element));
    const auto expected = Reader(*element).read();
    require(read_by_tern(*element) == expected);
    if (expected && expected->parameters.empty()) require(tern::http::is_token(*element));
    if (!expected) require(!tern::http::is_token(*element));
  }
  require(!list.next());
  return 0;
}
