// Clients that lost their connections, and come back.
#pragma once

#include "client/retry.h"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tern::bench {

struct Storm {
  std::size_t clients = 0;
  /// A client notices the end of its connection at a random time between these two.
  std::chrono::nanoseconds first_end{};
  std::chrono::nanoseconds last_end{};
  std::uint32_t machines = 1;  ///< that accept
  /// CPU time of one connection divided by the free cores of a machine.
  std::chrono::nanoseconds each{};
  std::size_t waiting = 0;  ///< connections that wait on a machine; a SYN beyond them is lost
  client::BackoffOptions retry{};  ///< of all clients
  bool jitter = true;  ///< false: clients come back at once, and after a failure each `retry.first`
  std::chrono::nanoseconds dial_timeout = std::chrono::seconds(30);
};

struct StormResult {
  std::uint64_t back = 0;  ///< clients
  std::uint64_t attempts = 0;
  std::uint64_t lost_syns = 0;
  std::uint64_t failed = 0;                  ///< attempts that took dial_timeout
  std::uint64_t most_in_100_ms = 0;          ///< attempts that began, on all machines
  std::chrono::nanoseconds longest_queue{};  ///< of an accepted connection, until it is open
  std::chrono::nanoseconds half{};           ///< half of the clients are back
  std::chrono::nanoseconds nearly_all{};     ///< 99 % of them
  std::chrono::nanoseconds all{};
};

/// Goes through all attempts in the order of time. A balancer sends each one to a random machine. A
/// machine serves them one after another. A client tries as tern::Client does: its waits come from
/// the same code. A SYN that a full queue loses comes again after 1, 3, 7 and 15 s, as Linux sends
/// it.
StormResult ride_out(const Storm& storm);

}  // namespace tern::bench
