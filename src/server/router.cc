// Paths are compared as received, byte by byte: no decoding, no patterns, so that no two spellings
// of a path can be told apart by one check and not by another.
#include "server/router.h"

namespace tern::server {

Route* Router::find(std::string_view path) noexcept {
  const auto found = routes_.find(path);
  return found == routes_.end() ? nullptr : &found->second;
}

}  // namespace tern::server
