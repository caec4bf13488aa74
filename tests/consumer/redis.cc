// Links a bridge over Redis. Its options are checked, so no broker is needed.
#include <iostream>
#include <tern/redis.h>

int main() {
  const tern::redis::Bridge bridge({.address = "127.0.0.1:1"});
  std::cout << bridge.problem();
  return bridge.problem().empty() ? 0 : 1;
}
