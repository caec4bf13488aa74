// "*" stands for each coding that the list does not name. The list does not need to name identity:
// that is refused only by "identity;q=0", or by "*;q=0" if identity is not named.
#include "http/accept_encoding.h"

#include "http/chars.h"
#include "http/token.h"

#include <optional>
#include <string_view>

namespace tern::http {
namespace {

constexpr int full = 1000;
constexpr int least = 1;

// Reads a qvalue: "0" or "1", with up to three digits behind a dot (RFC 9110 §12.4.2).
std::optional<int> read_quality(std::string_view text) noexcept {
  if (text.empty() || (text[0] != '0' && text[0] != '1')) return {};
  int quality = (text[0] - '0') * full;
  if (text.size() == 1) return quality;
  if (text[1] != '.' || text.size() > 5 || !all(text.substr(2), digit)) return {};
  int weight = full / 10;
  for (const char c : text.substr(2)) {
    quality += (c - '0') * weight;
    weight /= 10;
  }
  if (quality > full) return {};
  return quality;
}

// The quality that an element states; nothing if it is malformed.
std::optional<int> quality_of(ParameterReader& element) noexcept {
  int quality = full;
  while (const auto parameter = element.next()) {
    if (!iequals(parameter->name, "q")) continue;
    const auto stated = read_quality(parameter->value);
    if (!stated) return {};
    quality = *stated;
  }
  if (element.malformed() || element.name().empty()) return {};
  return quality;
}

}  // namespace

int CodingQualities::of(Coding coding) const noexcept {
  switch (coding) {
    case Coding::br:
      return br;
    case Coding::gzip:
      return gzip;
    case Coding::identity:
      break;
  }
  return identity;
}

CodingQualities read_accept_encoding(std::span<const HeaderField> fields) noexcept {
  std::optional<int> br;
  std::optional<int> gzip;
  std::optional<int> identity;
  std::optional<int> any;
  if (!count(fields, "Accept-Encoding")) return {};
  ListReader list(fields, "Accept-Encoding");
  while (const auto text = list.next()) {
    ParameterReader element(*text);
    const auto quality = quality_of(element);
    if (!quality) continue;
    const std::string_view name = element.name();
    if (iequals(name, "br")) br = quality;
    if (iequals(name, "gzip") || iequals(name, "x-gzip")) gzip = quality;
    if (iequals(name, "identity")) identity = quality;
    if (name == "*") any = quality;
  }
  return {.br = br.value_or(any.value_or(0)),
          .gzip = gzip.value_or(any.value_or(0)),
          .identity = identity.value_or(any.value_or(least))};
}

}  // namespace tern::http
