// The rare parts of a connection, which live as long as it does. They are behind one pointer, so
// that other connections stay small.
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
