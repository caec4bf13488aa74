// The tables of docs/guides/a-million-connections.md.
#pragma once

#include "scale_model/figures.h"
#include "scale_model/plan.h"
#include "scale_model/storm.h"

#include <string>
#include <string_view>
#include <vector>

namespace tern::bench {

/// A load that the page plans, and the plan for it.
struct Planned {
  Workload load;
  Plan plan;
};

/// The loads of the page for this number of connections, each with TLS and without.
std::vector<Workload> loads_of(double connections);
std::vector<Planned> plan_all(const std::vector<Workload>& loads, const Figures& figures,
                              const Machine& machine);

/// A way in which clients lose their connections.
struct Event {
  std::string_view name;
  Storm storm;
};
/// The events of these machines.
std::vector<Event> events_of(const Planned& planned, const Figures& figures,
                             const Machine& machine);

/// Markdown. The same arguments give the same text.
std::string report(const Figures& figures, const Machine& machine, double connections);
/// Markdown: the table of the figures.
std::string figures_table(const Figures& figures);

}  // namespace tern::bench
