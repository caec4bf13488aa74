// Paths are compared as received, byte by byte: no decoding, no patterns, so that no two spellings
// of a path can be told apart by one check and not by another.
#include "server/router.h"

namespace tern::server {

Route& Router::at(std::string path) {
  const auto [entry, is_new] = routes_.try_emplace(std::move(path));
  if (is_new && paths_.size() < UINT16_MAX) {
    paths_.push_back(entry->first);
    entry->second.id = static_cast<std::uint16_t>(paths_.size());
  }
  return entry->second;
}

std::string_view Router::path_of(std::uint16_t id) const noexcept {
  return id == 0 ? std::string_view() : paths_[id - 1u];
}

Route* Router::find(std::string_view path) noexcept {
  const auto found = routes_.find(path);
  return found == routes_.end() ? nullptr : &found->second;
}

}  // namespace tern::server
