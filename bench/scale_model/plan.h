// How many machines a load needs: sums and quotients only.
#pragma once

#include "scale_model/figures.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace tern::bench {

/// One of the machines, and how much of it may be used.
struct Machine {
  double cores = 8;
  double memory_bytes = 32.0 * (1 << 30);
  double busy = 0.6;     ///< most cores that work, as a share
  double memory = 0.75;  ///< most memory that is used, as a share
  double most_connections =
      250'000;                 ///< a limit of the operator: the loss of a machine is that big
  double back_within = 30;     ///< seconds in which all clients must be able to come back
  double unfinished = 16'384;  ///< ServerOptions::max_unfinished_handshakes
  double round_trip = 0.1;     ///< seconds; over TLS 1.3 a handshake lasts as long
};

/// The behaviour of the clients. A topic has `connections * topics_each / topics` subscribers.
struct Workload {
  std::string_view name;
  bool tls = true;
  double connections = 1'000'000;
  double topics = 1;
  double topics_each = 1;  ///< subscriptions of a connection
  double sends = 0;        ///< messages a second of one connection, each to one topic
  double feed = 0;         ///< publications a second that other programs give to the broker
  double payload_bytes = 100;
  double silence = 20;  ///< Timeouts::silence in seconds: a ping follows

  double members() const noexcept { return connections * topics_each / topics; }
  double publications() const noexcept { return connections * sends + feed; }
};

/// The bound that needs the most machines.
enum class Decider { cpu, memory, connections, coming_back };
std::string_view name_of(Decider decider) noexcept;

/// Each of the machines, with all of them at work.
struct Plan {
  std::size_t machines = 0;
  Decider decider = Decider::cpu;
  double connections = 0;
  double cores = 0;         ///< that work, bridge included
  double bridge_cores = 0;  ///< of its thread; it has one
  double user_bytes = 0;    ///< of the process
  double kernel_bytes = 0;  ///< of its sockets
  double descriptors = 0;
  double deliveries = 0;  ///< a second
  double wire_bytes = 0;  ///< a second to the clients, with the headers of TCP and IP
  double broker_in = 0;   ///< publications a second that the broker receives
  double broker_out = 0;  ///< and sends, to all machines
  double broker_cores = 0;

  double memory_bytes() const noexcept { return user_bytes + kernel_bytes; }
};

/// The mean number of machines that have a subscriber of a topic, if each of `members` subscribers
/// is on any of `machines`: m (1 - (1 - 1/m)^members).
double interested(double members, double machines) noexcept;

/// One of `machines` machines under this load.
Plan share_of(const Workload& load, const Figures& figures, std::size_t machines) noexcept;
/// The CPU time, in seconds, of a client that comes back: its handshake, and the message with which
/// it subscribes.
double coming_back_cpu(const Workload& load, const Figures& figures) noexcept;
/// The seconds between two clients that come back to a machine with `free` cores: the CPU time, or
/// the wait for other handshakes if their number is the limit.
double coming_back_each(const Workload& load, const Figures& figures, const Machine& machine,
                        double free) noexcept;
/// The smallest number of machines of which one may be lost. The others then stay within the bounds
/// of `machine`.
Plan plan(const Workload& load, const Figures& figures, const Machine& machine);

}  // namespace tern::bench
