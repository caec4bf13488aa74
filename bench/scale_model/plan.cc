// Finds the smallest number of machines that keep all bounds after one of them has failed.
#include "scale_model/plan.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>

namespace tern::bench {
namespace {

constexpr std::size_t most_machines = 10'000;
// A server keeps 64 descriptors for itself.
constexpr double own_descriptors = 64;
// Ethernet 14, IPv4 20, TCP 32 (with timestamps), a frame's header 2; a record of TLS 1.3 adds 22.
constexpr double header_bytes = 14 + 20 + 32 + 2;
constexpr double record_bytes = 22;
constexpr double us = 1e-6;

// The bound that these machines break; nothing if they keep all.
std::optional<Decider> broken(const Workload& load, const Figures& figures, const Machine& machine,
                              std::size_t machines) noexcept {
  const Plan each = share_of(load, figures, machines);
  if (each.cores > machine.busy * machine.cores) return Decider::cpu;
  const double gap = coming_back_each(load, figures, machine, machine.cores - each.cores);
  if (each.connections * gap > machine.back_within) return Decider::coming_back;
  if (each.memory_bytes() > machine.memory * machine.memory_bytes) return Decider::memory;
  if (each.connections > machine.most_connections) return Decider::connections;
  return {};
}

}  // namespace

std::string_view name_of(Decider decider) noexcept {
  switch (decider) {
    case Decider::cpu:
      return "CPU";
    case Decider::memory:
      return "memory";
    case Decider::connections:
      return "connections";
    case Decider::coming_back:
      return "coming back";
  }
  return "";
}

double interested(double members, double machines) noexcept {
  return machines * (1 - std::pow(1 - 1 / machines, members));
}

double coming_back_cpu(const Workload& load, const Figures& figures) noexcept {
  return us * (load.tls ? figures.upgrade_tls_us + figures.message_tls_us
                        : figures.upgrade_us + figures.message_us);
}

double coming_back_each(const Workload& load, const Figures& figures, const Machine& machine,
                        double free) noexcept {
  const double cpu = coming_back_cpu(load, figures) / free;
  return load.tls ? std::max(cpu, machine.round_trip / machine.unfinished) : cpu;
}

Plan share_of(const Workload& load, const Figures& figures, std::size_t count) noexcept {
  const auto machines = static_cast<double>(count);
  const double publications = load.publications();
  const double reached = interested(load.members(), machines);
  Plan each{.machines = count};
  each.connections = load.connections / machines;
  each.deliveries = publications * load.members() / machines;
  each.broker_in = publications;
  each.broker_out = publications * reached;
  each.broker_cores =
      us * (each.broker_in * figures.broker_in_us + each.broker_out * figures.broker_out_us);

  const double sends = each.connections * load.sends;
  const double pings = each.connections * std::max(0.0, 1 / load.silence - load.sends);
  const double message_us = load.tls ? figures.message_tls_us : figures.message_us;
  const double delivery_us = load.tls ? figures.delivery_tls_us : figures.delivery_us;
  each.bridge_cores =
      us * (sends * figures.bridge_out_us + each.broker_out / machines * figures.bridge_in_us);
  each.cores =
      us * ((sends + pings) * message_us + each.deliveries * delivery_us) + each.bridge_cores;

  each.user_bytes = figures.process_bytes +
                    each.connections * ((load.tls ? figures.idle_tls_bytes : figures.idle_bytes) +
                                        load.topics_each * figures.subscription_bytes);
  each.kernel_bytes = each.connections * figures.kernel_bytes;
  each.descriptors = each.connections + own_descriptors;
  each.wire_bytes =
      each.deliveries * (load.payload_bytes + header_bytes + (load.tls ? record_bytes : 0));
  return each;
}

Plan plan(const Workload& load, const Figures& figures, const Machine& machine) {
  Decider decider = Decider::cpu;
  for (std::size_t left = 1; left < most_machines; ++left) {
    if (const auto bound = broken(load, figures, machine, left)) {
      decider = *bound;
      continue;
    }
    Plan made = share_of(load, figures, left + 1);
    made.decider = decider;
    return made;
  }
  throw std::runtime_error("no number of machines carries this load");
}

}  // namespace tern::bench
