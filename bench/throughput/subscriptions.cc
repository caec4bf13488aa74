// Compares the resident memory of the server before and after the subscriptions.
#include "throughput/subscriptions.h"

#include "throughput/frames.h"
#include "throughput/reply.h"
#include "throughput/system.h"
#include "throughput/upgrade.h"

#include <algorithm>
#include <vector>

namespace tern::bench {

std::size_t subscriptions_bytes(const SubscriptionsOptions& options) {
  const Target target = Target::parse(options.url);
  std::vector<Wire> wires;
  for (std::size_t i = 0; i < options.connections; ++i) {
    wires.push_back(connect_and_upgrade(target, source_of(i)));
    reset_on_close(wires.back().socket());
  }
  settled_cpu_time(options.server);
  const std::size_t before = resident_bytes(options.server);
  for (std::size_t i = 0; i < wires.size(); ++i) {
    const std::string number = std::to_string(i);
    send_waiting(wires[i], make_frame(frame::Opcode::text, number, frame::Masking::masked));
    read_reply(wires[i], number, true);
  }
  settled_cpu_time(options.server);
  const std::size_t after = resident_bytes(options.server);
  return after - std::min(after, before);
}

}  // namespace tern::bench
