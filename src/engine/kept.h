// What few connections have and keep for life: behind one pointer, so that the others stay small.
#pragma once

#include "tern/engine.h"

#include "deflate/codec.h"

#include <memory>
#include <string>

namespace tern::engine {

struct Kept {
  std::string protocol{};
  std::unique_ptr<const EngineOptions> options{};  // of its route
  // With context takeover (RFC 7692 §7.1.1), from the first compressed message on.
  std::unique_ptr<deflate::Deflater> deflater{};
  std::unique_ptr<deflate::Inflater> inflater{};
};

}  // namespace tern::engine
