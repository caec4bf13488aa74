// The only place where a failed allocation becomes the end of one connection.
#pragma once

#include "tern/engine.h"

#include <new>
#include <utility>

namespace tern {

template <class F>
void Engine::guarded(F&& function) noexcept {
  try {
    std::forward<F>(function)();
  } catch (const std::bad_alloc&) {
    fail(Errc::no_memory);
  }
}

}  // namespace tern
