// An entity tag may hold any visible character but the quote. So a backslash in it stands for
// itself, other than in a quoted-string, and the lists of this file are read here (RFC 9110
// §8.8.3).
#include "http/conditional.h"

#include "http/date.h"
#include "http/token.h"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace tern::http {
namespace {

enum class Comparison : std::uint8_t { strong, weak };

struct EntityTag {
  std::string_view opaque{};  // with its quotes
  bool weak = false;
};

// Takes an entity tag from the front of `text`.
std::optional<EntityTag> take_tag(std::string_view& text) noexcept {
  EntityTag tag;
  tag.weak = text.starts_with("W/");
  if (tag.weak) text.remove_prefix(2);
  if (!text.starts_with('"')) return {};
  const std::size_t end = text.find('"', 1);
  if (end == std::string_view::npos) return {};
  tag.opaque = text.substr(0, end + 1);
  if (tag.opaque.find_first_of(" \t") != std::string_view::npos) return {};
  text.remove_prefix(end + 1);
  return tag;
}

bool equal(const EntityTag& tag, std::string_view etag, Comparison comparison) noexcept {
  return tag.opaque == etag && (comparison == Comparison::weak || !tag.weak);
}

// Whether a list of tags has this one. Nothing behind a fault of the grammar counts.
bool list_has(std::string_view list, std::string_view etag, Comparison comparison) noexcept {
  for (;;) {
    while (!list.empty() && (is_space(list.front()) || list.front() == ',')) list.remove_prefix(1);
    const auto tag = take_tag(list);
    if (!tag) return false;
    list = trim(list);
    if (!list.empty() && list.front() != ',') return false;
    if (equal(*tag, etag, comparison)) return true;
  }
}

// Whether a field with tags names this version; "*" names every version.
bool names(const Request& request, std::string_view field, std::string_view etag,
           Comparison comparison) noexcept {
  return std::ranges::any_of(request.headers(), [&](const HeaderField& each) {
    return iequals(each.name, field) &&
           (each.value == "*" || list_has(each.value, etag, comparison));
  });
}

std::optional<std::chrono::sys_seconds> date_of(const Request& request,
                                                std::string_view field) noexcept {
  const auto value = only(request.headers(), field);
  return value ? parse_date(*value) : std::nullopt;
}

}  // namespace

Condition check_conditions(const Request& request, const Validators& current) noexcept {
  if (request.has_header("If-Match")) {
    if (!names(request, "If-Match", current.etag, Comparison::strong)) return Condition::failed;
  } else if (const auto since = date_of(request, "If-Unmodified-Since")) {
    if (current.modified > *since) return Condition::failed;
  }
  if (request.has_header("If-None-Match")) {
    const bool has = names(request, "If-None-Match", current.etag, Comparison::weak);
    return has ? Condition::not_modified : Condition::holds;
  }
  const auto since = date_of(request, "If-Modified-Since");
  return since && current.modified <= *since ? Condition::not_modified : Condition::holds;
}

bool range_counts(const Request& request, const Validators& current,
                  std::chrono::sys_seconds now) noexcept {
  if (!request.has_header("If-Range")) return true;
  const auto value = only(request.headers(), "If-Range");
  if (!value) return false;
  std::string_view rest = *value;
  if (const auto tag = take_tag(rest)) {
    return rest.empty() && equal(*tag, current.etag, Comparison::strong);
  }
  const auto date = parse_date(*value);
  return date && *date == current.modified && now - current.modified > std::chrono::seconds(1);
}

}  // namespace tern::http
