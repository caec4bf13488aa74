// How an opening answers its engine.
#pragma once

#include "tern/engine.h"

#include <cstdint>
#include <system_error>

namespace tern::engine {

/// The next step of the engine after a call of ServerOpening or ClientOpening.
struct OpeningStep {
  enum class Kind : std::uint8_t {
    wait,     // nothing: the opening needs input, room for output, or a decision
    request,  // report Kind::request
    pull,     // report Kind::pull
    body,     // report Kind::body
    open,     // the next byte in each direction belongs to a frame; `agreement` holds
    end,      // end the connection once the queued output is written
    drop,     // end the connection at once
  };

  Kind kind = Kind::wait;
  std::error_code why{};  // of end and drop; empty after an answer that ends the connection
  Agreement agreement{};
};

}  // namespace tern::engine
