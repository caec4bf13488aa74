// Links a bridge over NATS. Its options are checked, so no broker is needed.
#include <iostream>
#include <tern/nats.h>

int main() {
  const tern::nats::Bridge bridge({.servers = {"nats://127.0.0.1:1"}});
  std::cout << bridge.problem();
  return bridge.problem().empty() ? 0 : 1;
}
