// A hint for loops over many objects. Between two objects a loop makes system calls, which take the
// processor's caches. So the next object is usually far away: to wait for it costs up to 0.3 us.
#pragma once

#include <cstddef>

namespace tern::base {

/// Starts to load `bytes` bytes at `from` into the cache, because they are needed soon. It accesses
/// nothing, so `from` may be null, or the object may be smaller.
template <std::size_t bytes>
inline void prefetch(const void* from) noexcept {
  constexpr std::size_t line = 64;
  if (from == nullptr) return;
  for (std::size_t at = 0; at < bytes; at += line) {
    __builtin_prefetch(static_cast<const char*>(from) + at);
  }
}

}  // namespace tern::base
