// The parts of the world that a blocking client and a client on a loop have in common.
#pragma once

#include "tern/engine.h"

#include "support/fake_kernel.h"
#include "support/input.h"

#include <cerrno>

namespace tern::fuzz {

/// Limits that a short input reaches.
inline Limits small_limits() {
  return {.max_message_bytes = 2000,
          .max_fragments = 8,
          .max_head_bytes = 2000,
          .max_header_fields = 20,
          .max_queued_bytes = 3000,
          .high_water_bytes = 1000,
          .low_water_bytes = 100};
}

/// The result of a connect(), for Kernel::on_connect: mostly 0, also EINPROGRESS or a failure.
inline int result_of_connect(Input& input) {
  switch (input.take() % 8) {
    case 1:
      return EINPROGRESS;
    case 2:
      return ECONNREFUSED;
    case 3:
      return ENETUNREACH;
    default:
      return 0;
  }
}

/// Ends a connect() that is under way. Returns false if none is.
inline bool end_connect(Stream& stream, bool refused) {
  if (!stream.connecting) return false;
  stream.connecting = false;
  if (refused) stream.reset(ECONNREFUSED);
  return true;
}

/// The server of a client ends. Returns false if it has ended before.
inline bool end_peer(Stream& stream) {
  if (stream.broken || stream.fin_arrived) return false;
  if (stream.connecting) {
    stream.reset(ETIMEDOUT);
  } else {
    stream.fin_arrived = true;
  }
  return true;
}

}  // namespace tern::fuzz
