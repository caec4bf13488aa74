// The names of the stages of an attempt. Errors and figures show them, so they never change.
#include "tern/stage.h"

namespace tern {

std::string_view stage_name(Stage stage) noexcept {
  switch (stage) {
    // clang-format off
    case Stage::prepare: return "prepare";
    case Stage::resolve: return "resolve";
    case Stage::connect: return "connect";
    case Stage::proxy: return "proxy";
    case Stage::tls: return "tls";
    case Stage::upgrade: return "upgrade";
    case Stage::open: return "open";
      // clang-format on
  }
  return "unknown";
}

}  // namespace tern
