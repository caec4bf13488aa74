// The listening sockets of systemd as a server's listeners.
#include "net/inherited.h"

#include "tern/listener.h"

#include <utility>

namespace tern {

std::vector<Listener> inherited_listeners() {
  std::vector<Listener> listeners;
  for (net::Inherited& each : net::inherited()) {
    listeners.push_back({.descriptor = each.fd, .name = std::move(each.name)});
  }
  return listeners;
}

}  // namespace tern
