// Paths are compared as received, byte by byte, without decoding. So all checks of a path agree:
// two spellings are never the same path for one check and different for another. Only the value of
// a parameter is decoded, after its route was found.
//
// A path without parameters is found by one look-up. Only if there is none, the tree of the paths
// with parameters is searched. A path decides about its methods alone: a request whose method this
// path lacks is not given to a less specific path.
#include "server/router.h"

#include "server/validate.h"

#include <algorithm>

namespace tern::server {
namespace {

constexpr std::array<std::string_view, method_count> method_names{"GET", "HEAD",  "POST",
                                                                  "PUT", "PATCH", "DELETE"};
// By Router::Kind.
constexpr std::array<std::string_view, method_count + 1> function_names{
    "get", "head", "post", "put", "patch", "del", "route"};

}  // namespace

std::optional<Method> method_of(std::string_view name) noexcept {
  const auto found = std::ranges::find(method_names, name);
  if (found == method_names.end()) return {};
  return static_cast<Method>(found - method_names.begin());
}

std::string MethodSet::allow() const {
  std::string text;
  for (std::size_t i = 0; i < method_count; ++i) {
    const auto method = static_cast<Method>(i);
    const bool answered = has(method) || (method == Method::head && has(Method::get));
    if (answered) text.append(method_names[i]).append(", ");
  }
  return text.append("OPTIONS");
}

Page* Route::page_for(std::string_view name) noexcept {
  std::optional<Method> method = method_of(name);
  if (method == Method::head && !page(Method::head)) method = Method::get;
  return method && page(*method) ? &page(*method) : nullptr;
}

void Parameters::set(std::span<const std::string_view> names,
                     const ParameterValues& values) noexcept {
  count_ = std::min(names.size(), values.count);
  for (std::size_t i = 0; i < count_; ++i) {
    parameters_[i] = {.name = names[i], .value = values.values[i]};
  }
}

// ---- before the workers run

Route& Router::add(std::string path, Kind kind) {
  const std::string why = why_invalid_path(path);
  if (!why.empty()) complain(path, kind, why);
  Routes& routes = is_pattern(path) ? patterns_ : exact_;
  const auto [entry, is_new] = routes.try_emplace(std::move(path));
  Route& route = entry->second;
  if (is_new && paths_.size() < UINT16_MAX) {
    paths_.push_back(entry->first);
    route.id = static_cast<std::uint16_t>(paths_.size());
  }
  if (is_new && why.empty() && &routes == &patterns_) place_pattern(entry->first, route, kind);
  const bool given =
      kind == Kind::websocket ? route.is_websocket() : route.methods.has(static_cast<Method>(kind));
  if (given) complain(entry->first, kind, "this path was given before");
  return route;
}

// Two paths that fit the same requests are a mistake, also if one is a page and one a WebSocket.
void Router::place_pattern(std::string_view path, Route& route, Kind kind) {
  for (std::string_view rest = path; !rest.empty();) {
    const Segment segment = parse_segment(take_segment(rest));
    if (segment.kind != Segment::Kind::literal) route.parameters.push_back(segment.text);
  }
  Route*& place = tree_.place(path);
  if (place != nullptr) {
    const auto other =
        std::ranges::find_if(patterns_, [&](const auto& entry) { return &entry.second == place; });
    return complain(path, kind,
                    "\"" + other->first + "\" fits the same requests; use the same names");
  }
  place = &route;
}

void Router::set_page(Route& route, std::string_view path, Method method, Page page) {
  if (!page) complain(path, kind_of(method), "the function is empty");
  route.page(method) = std::move(page);
  route.methods.add(method);
  methods_.add(method);
}

void Router::set_fallback(Page page) {
  if (!page) complain("fallback: the function is empty");
  if (fallback_) complain("fallback: it was given before");
  fallback_ = std::move(page);
}

void Router::complain(std::string_view path, Kind kind, std::string_view why) {
  std::string text(function_names[static_cast<std::size_t>(kind)]);
  complain(text.append(" \"").append(path).append("\": ").append(why));
}

// ---- while they run

std::string_view Router::path_of(std::uint16_t id) const noexcept {
  return id == 0 ? std::string_view() : paths_[id - 1u];
}

Route* Router::find(std::string_view path) noexcept {
  const auto found = exact_.find(path);
  return found == exact_.end() ? nullptr : &found->second;
}

Route* Router::find_pattern(std::string_view path, Parameters& parameters) noexcept {
  ParameterValues values;
  Route* const found = tree_.find(path, values);
  if (found != nullptr) parameters.set(found->parameters, values);
  return found;
}

}  // namespace tern::server
