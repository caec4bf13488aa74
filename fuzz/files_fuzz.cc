// Checks the rules for files with plain references: a path never names anything outside of its
// folder, a range lies in the file, conditions and codings do not depend on the order of the
// fields. Input, in lines: the size of the file, the path, a pattern, then fields of the request.
//
// Subject: src/http/range.cc
// Subject: src/http/conditional.cc
// Subject: src/http/accept_encoding.cc
// Subject: src/http/file_path.cc
// Subject: src/http/content_type.cc

#include "http/accept_encoding.h"
#include "http/conditional.h"
#include "http/content_type.h"
#include "http/file_path.h"
#include "http/range.h"
#include "http/token.h"
#include "support/http_heads.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using tern::HeaderField;
using tern::Request;
using tern::fuzz::ExactBlock;
using tern::fuzz::require;
using tern::http::RangeChoice;

/// Takes a line from the front of the text.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

bool are_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

/// A number without a limit, as its digits.
std::string without_zeros(std::string_view digits) {
  const std::size_t first = digits.find_first_not_of('0');
  return first == digits.npos ? "0" : std::string(digits.substr(first));
}
bool is_less(const std::string& a, const std::string& b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

void check_range(std::string_view value, std::uint64_t size) {
  const RangeChoice choice = tern::http::choose_range(value, size);
  if (choice.kind == RangeChoice::Kind::part) {
    require(choice.length > 0 && choice.first < size && choice.length <= size - choice.first);
    require(!tern::http::content_range(choice, size).empty());
  }
  const std::size_t equals = value.find('=');
  if (equals == value.npos || !tern::http::iequals(value.substr(0, equals), "bytes")) {
    return require(choice.kind == RangeChoice::Kind::whole);
  }
  const std::string_view range = tern::http::trim(value.substr(equals + 1));
  const std::size_t dash = range.find('-');
  if (dash == range.npos) return require(choice.kind == RangeChoice::Kind::whole);
  const std::string_view from = range.substr(0, dash);
  const std::string_view to = range.substr(dash + 1);
  const bool valid =
      (from.empty() ? are_digits(to) : are_digits(from)) && (to.empty() || are_digits(to));
  if (!valid) return require(choice.kind == RangeChoice::Kind::whole);
  const std::string bytes = std::to_string(size);
  if (from.empty()) {
    const std::string wanted = without_zeros(to);
    if (wanted == "0") return require(choice.kind == RangeChoice::Kind::unsatisfiable);
    if (size == 0) return require(choice.kind == RangeChoice::Kind::whole);
    return require(std::to_string(choice.length) == (is_less(wanted, bytes) ? wanted : bytes) &&
                   choice.first + choice.length == size);
  }
  const std::string first = without_zeros(from);
  if (!to.empty() && is_less(without_zeros(to), first)) {
    // Two numbers above 64 bits are equal to us, and both lie behind the end.
    return require(choice.kind != RangeChoice::Kind::part);
  }
  if (!is_less(first, bytes)) return require(choice.kind == RangeChoice::Kind::unsatisfiable);
  require(choice.kind == RangeChoice::Kind::part && std::to_string(choice.first) == first);
  const std::string last = std::to_string(choice.first + choice.length - 1);
  require(last == (to.empty() || !is_less(without_zeros(to), bytes) ? std::to_string(size - 1)
                                                                    : without_zeros(to)));
}

void check_path(std::string_view path) {
  const auto named = tern::http::file_path(path);
  if (!named) return;
  std::string_view rest = named->path;
  require(!rest.starts_with('/') && !rest.ends_with('/') && rest.find("//") == rest.npos);
  require(rest.find('\0') == rest.npos && rest.find('\\') == rest.npos);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view part = rest.substr(0, end);
    require(!part.starts_with('.') || part == ".well-known");
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  require(!tern::http::content_type_of(named->path).empty());
}

bool fits_plainly(std::string_view pattern, std::string_view text) {
  std::vector<bool> fits(text.size() + 1);  // whether the pattern so far fits text[0, i)
  fits[0] = true;
  for (const char c : pattern) {
    std::vector<bool> next(text.size() + 1);
    for (std::size_t i = 0; i <= text.size(); ++i) {
      next[i] =
          c == '*' ? fits[i] || (i > 0 && next[i - 1]) : i > 0 && fits[i - 1] && text[i - 1] == c;
    }
    fits = std::move(next);
  }
  return fits[text.size()];
}

void check_fields(std::vector<HeaderField> fields, std::string_view etag) {
  using namespace std::chrono_literals;
  const tern::http::Validators current{.etag = etag,
                                       .modified = std::chrono::sys_seconds(784'111'777s)};
  const auto condition =
      tern::http::check_conditions(Request({.method = "GET", .fields = fields}), current);
  const bool counts = tern::http::range_counts(Request({.fields = fields}), current,
                                               current.modified + std::chrono::hours(1));
  const auto qualities = tern::http::read_accept_encoding(fields);
  for (const int quality : {qualities.br, qualities.gzip, qualities.identity})
    require(quality >= 0 && quality <= 1000);
  // Fields of other names may stand anywhere.
  std::ranges::stable_sort(fields, {}, [](const HeaderField& field) {
    std::string name(field.name);
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 0x20 : c);
    return name;
  });
  require(tern::http::check_conditions(Request({.fields = fields}), current) == condition);
  require(tern::http::range_counts(Request({.fields = fields}), current,
                                   current.modified + std::chrono::hours(1)) == counts);
  require(tern::http::read_accept_encoding(fields) == qualities);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view number = take_line(text);
  std::uint64_t file_size = 0;
  std::from_chars(number.data(), number.data() + number.size(), file_size);
  const ExactBlock path(take_line(text));
  if (path.text().empty() || path.text().starts_with('/')) check_path(path.text());
  const ExactBlock pattern(take_line(text));
  require(tern::http::fits_pattern(pattern.text(), path.text()) ==
          fits_plainly(pattern.text(), path.text()));
  std::deque<ExactBlock> blocks;
  std::vector<HeaderField> fields;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const std::size_t colon = std::min(line.find(':'), line.size());
    blocks.emplace_back(line.substr(0, colon));
    const std::string_view name = blocks.back().text();
    blocks.emplace_back(tern::http::trim(line.substr(std::min(colon + 1, line.size()))));
    fields.push_back({name, blocks.back().text()});
    check_range(blocks.back().text(), file_size);
  }
  check_fields(std::move(fields), "\"a-1\"");
  return 0;
}
