// An engine as server survives any peer, application, socket and clock, and does what RFC 6455
// says. Input: a script, see support/engine_script.h.
//
// Subject: src/engine/closing.cc
// Subject: src/engine/keepalive.cc
#include "support/engine_script.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tern::fuzz::Script(tern::Role::server, data, size).run();
  return 0;
}
