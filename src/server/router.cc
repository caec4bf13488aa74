// Paths are compared as received, byte by byte, without decoding and without patterns. So all
// checks of a path agree: two spellings are never the same path for one check and different for
// another.
#include "server/router.h"

#include "server/validate.h"

namespace tern::server {

Route& Router::add(std::string path, Kind kind) {
  if (const std::string why = why_invalid_path(path); !why.empty()) complain(path, kind, why);
  const auto [entry, is_new] = routes_.try_emplace(std::move(path));
  if (is_new && paths_.size() < UINT16_MAX) {
    paths_.push_back(entry->first);
    entry->second.id = static_cast<std::uint16_t>(paths_.size());
  }
  Route& route = entry->second;
  if (kind == Kind::page ? static_cast<bool>(route.page) : route.is_websocket()) {
    complain(entry->first, kind, "this path was given before");
  }
  return route;
}

void Router::complain(std::string_view path, Kind kind, std::string_view why) {
  if (!problem_.empty()) return;
  problem_.append(kind == Kind::page ? "get" : "route").append(" \"").append(path);
  problem_.append("\": ").append(why);
}

std::string_view Router::path_of(std::uint16_t id) const noexcept {
  return id == 0 ? std::string_view() : paths_[id - 1u];
}

Route* Router::find(std::string_view path) noexcept {
  const auto found = routes_.find(path);
  return found == routes_.end() ? nullptr : &found->second;
}

}  // namespace tern::server
