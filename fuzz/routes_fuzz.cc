// Compares the search for a route with a plain model, which tries each path and prefers a literal
// to a parameter and a parameter to a rest, from left to right. Input: lines; the last line is the
// path of a request, and each line before it is the path of a route.
//
// Subject: src/server/pattern.cc
// Subject: src/server/route_tree.cc
#include "server/router.h"
#include "server/validate.h"
#include "support/http_heads.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using tern::fuzz::require;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == text.npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool is_parameter(std::string_view segment) { return segment.starts_with('{'); }
bool is_rest(std::string_view segment) { return segment.ends_with("...}"); }

// How a path of a route fits a request: its rank at each segment, and the values.
struct Fit {
  std::vector<int> ranks{};
  std::vector<std::string_view> values{};
};

std::optional<Fit> fit(std::string_view route, std::string_view path) {
  Fit fit;
  const auto wanted = split(route.substr(1), '/');
  const auto given = split(path.substr(1), '/');
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i >= given.size()) return {};
    if (!is_parameter(wanted[i])) {
      if (wanted[i] != given[i]) return {};
      fit.ranks.push_back(0);
      continue;
    }
    if (given[i].empty()) return {};
    fit.ranks.push_back(is_rest(wanted[i]) ? 2 : 1);
    if (is_rest(wanted[i])) {
      const auto at = static_cast<std::size_t>(given[i].data() - path.data());
      fit.values.push_back(path.substr(at));
      return fit;
    }
    fit.values.push_back(given[i]);
  }
  if (given.size() != wanted.size()) return {};
  return fit;
}

// The path without the names of its parameters.
std::string shape(std::string_view route) {
  std::string text;
  for (const std::string_view segment : split(route.substr(1), '/')) {
    text += '/';
    text += is_rest(segment) ? "{...}" : is_parameter(segment) ? "{}" : segment;
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data),
                               std::min<std::size_t>(size, 4096));
  std::vector<std::string_view> lines = split(input, '\n');
  const tern::fuzz::ExactBlock block(lines.back());
  lines.pop_back();

  tern::server::Router router;
  std::vector<std::string_view> routes;
  for (const std::string_view line : lines) {
    tern::server::Router alone;
    alone.add(std::string(line), tern::server::Router::Kind::websocket);
    require(alone.problem().empty() == tern::server::why_invalid_path(line).empty());
    if (!alone.problem().empty()) continue;
    bool conflict = false;
    for (const std::string_view other : routes) conflict |= shape(other) == shape(line);
    if (conflict) continue;
    routes.push_back(line);
    router.add(std::string(line), tern::server::Router::Kind::websocket);
  }
  require(router.problem().empty());
  for (const std::string_view route : routes) {
    tern::server::Router same = {};
    same.add(std::string(route), tern::server::Router::Kind::websocket).decide = [](tern::Upgrade) {
    };
    same.add(std::string(route), tern::server::Router::Kind::websocket);
    require(!same.problem().empty());
  }

  const std::string_view path = block.text();
  if (!path.starts_with('/')) return 0;
  std::optional<Fit> best;
  std::string_view best_route;
  for (const std::string_view route : routes) {
    auto one = fit(route, path);
    if (!one || (best && best->ranks <= one->ranks)) continue;
    best = std::move(one);
    best_route = route;
  }
  tern::server::Parameters parameters;
  tern::server::Route* found = router.find(path);
  if (found == nullptr) found = router.find_pattern(path, parameters);
  require((found != nullptr) == best.has_value());
  if (found == nullptr) return 0;
  require(router.path_of(found->id) == best_route);
  require(parameters.all().size() == best->values.size());
  for (std::size_t i = 0; i < best->values.size(); ++i) {
    require(parameters.all()[i].value == best->values[i]);
    require(parameters.all()[i].value.data() == best->values[i].data());
  }
  return 0;
}
