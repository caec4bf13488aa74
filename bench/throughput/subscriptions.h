// The memory of subscriptions.
#pragma once

#include <cstddef>
#include <string>
#include <sys/types.h>

namespace tern::bench {

struct SubscriptionsOptions {
  std::string url{};  ///< of a route on which each message subscribes its connection to topics
  std::size_t connections = 1'000;
  pid_t server = 0;
};

/// Opens the connections, then sends the message on each, and waits for the answer. Returns the
/// growth of the server's resident memory since the connections were open. Throws as
/// connect_and_upgrade().
std::size_t subscriptions_bytes(const SubscriptionsOptions& options);

}  // namespace tern::bench
