// Checks that an engine in either role that agreed on compression keeps to RFC 7692 with any peer,
// application, socket and clock. Input: one byte for the role, then a script
// (support/engine_script.h).
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
