// A balancer that spreads connections at random, one connection after another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tern::bench {

struct Placement {
  double interested = 0;     ///< mean number of machines with a subscriber of a topic
  double largest = 0;        ///< connections of the fullest machine, divided by the mean
  std::uint64_t placed = 0;  ///< subscribers
};

/// Puts the `members` subscribers of each of `topics` topics on `machines` machines.
Placement place_at_random(std::size_t topics, std::size_t members, std::uint32_t machines);

/// How a balancer chooses the machine of a new connection.
enum class Balancer { random, least_connections };
std::string_view name_of(Balancer balancer) noexcept;

struct RollingDeploy {
  Balancer balancer = Balancer::least_connections;
  std::uint32_t machines = 2;  ///< at least 2
  std::size_t clients = 0;
  double spread = 30;  ///< Drain::spread in seconds
  double wait = 5;     ///< the longest wait of a client: Retry::first_after_end
  double boot = 15;    ///< seconds until the new process is ready
};

struct RollingResult {
  double seconds = 0;
  double moves = 0;    ///< of a client, on average
  double largest = 0;  ///< connections of the fullest machine at any time, divided by the mean
  std::uint64_t clients = 0;  ///< on all machines at the end
};

/// Each machine in turn drains, and starts again without connections. A client whose connection
/// ends goes to another machine.
RollingResult roll(const RollingDeploy& deploy);
/// Calculates the same result without random numbers. With `random` each machine has grown by the
/// clients that moved before it drained.
RollingResult rolling_formula(const RollingDeploy& deploy);

}  // namespace tern::bench
