// An engine that agreed on compression survives any peer, application, socket and clock, in either
// role, and does what RFC 7692 says. Input: an octet for the role, then a script, see
// support/engine_script.h.
//
// Subject: src/engine/inbound.cc
// Subject: src/engine/sending.cc
// Subject: src/engine/shared_message.cc
#include "support/engine_script.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const tern::Role role = data[0] % 2 == 0 ? tern::Role::server : tern::Role::client;
  tern::fuzz::Script(role, data + 1, size - 1, true).run();
  return 0;
}
