// Checks that a server's engine keeps to RFC 6455 with any peer, application, socket and clock.
// Input: a script (support/engine_script.h).
//
// Subject: src/engine/closing.cc
// Subject: src/engine/keepalive.cc
#include "support/engine_script.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tern::fuzz::Script(tern::Role::server, data, size).run();
  return 0;
}
