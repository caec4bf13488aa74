// The speed of a machine changes within minutes by more than servers differ. So figures of
// different times are never compared: each repetition visits every server in turn and gives a ratio
// for each, and the figure is the median of these ratios. A server has two ratios: that
// of its rate, and that of its messages for each second of its CPU time. The larger one counts. The
// second one is valid even when the client is the limit.
#include "throughput/compare.h"

#include "throughput/chart.h"
#include "throughput/contest.h"
#include "throughput/entrants.h"
#include "throughput/load.h"
#include "throughput/ratio_table.h"
#include "throughput/rivals.h"
#include "throughput/upgrades.h"
#include "throughput/visits.h"

#include <algorithm>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace tern::bench {
namespace {

struct Workload {
  std::size_t connections;
  std::size_t depth;
  std::size_t size;
  PayloadKind kind = PayloadKind::binary;
};

constexpr Workload workloads[] = {
    {100, 1, 16},
    {100, 1, 1024},
    {100, 1, 16 << 10},
    {100, 1, 128 << 10},
    {100, 1, 1 << 20},
    {100, 16, 16},
    {100, 16, 125},
    {100, 16, 1024},
    {100, 16, 16 << 10},
    {100, 16, 1024, PayloadKind::mixed},
    {100, 16, 16 << 10, PayloadKind::mixed},
    {1, 1, 16},
};

constexpr char upgrades_row[] = "upgrades";

std::string size_text(std::size_t bytes) {
  if (bytes >= 1 << 20 && bytes % (1 << 20) == 0) return std::to_string(bytes >> 20) + " MiB";
  if (bytes >= 1 << 10 && bytes % (1 << 10) == 0) return std::to_string(bytes >> 10) + " KiB";
  return std::to_string(bytes) + " B";
}

std::string name_of(const Workload& workload) {
  std::string name = std::to_string(workload.connections) + "x" + std::to_string(workload.depth) +
                     " " + size_text(workload.size);
  if (workload.kind != PayloadKind::binary) name += " " + std::string(to_string(workload.kind));
  return name;
}

bool any_row_of_the_chart_is_wanted(const CompareOptions& options) {
  return is_wanted(upgrades_row, options) ||
         std::ranges::any_of(
             workloads, [&](const Workload& each) { return is_wanted(name_of(each), options); });
}

std::vector<Entrant> beside_ceiling(const CompareOptions& options) {
  std::vector<Entrant> all = entrants(options, {});
  // Three rows show the gain of polling: of tern, of the raw echo, and of a raw echo with one
  // socket.
  Entrant spinning = all.front();
  spinning.name += " spins";
  spinning.command.insert(spinning.command.end(), {"--spin", "0.001"});
  spinning.rows = "1x1 ";
  const Entrant raw_spinning = ceiling("raw spins", "--spin", spinning.rows);
  const Entrant raw_on_recv = ceiling("raw on recv", "--spin-on-socket", spinning.rows);
  // The least cost of a server that reads its messages.
  Entrant bare = ceiling("bare echo", "--bare", "100x");
  bare.echoes_content = true;
  all.insert(all.begin() + 1, {std::move(spinning), raw_spinning, raw_on_recv, std::move(bare)});
  if (options.control) all.insert(all.begin(), ceiling("control"));
  all.insert(all.begin(), ceiling("ceiling"));
  return all;
}

class Comparison {
 public:
  explicit Comparison(const CompareOptions& options)
      : options_(options), contest_(beside_ceiling(options), options), table_(options.json) {}

  void run() {
    for (const Workload& workload : workloads) {
      run_row(name_of(workload), [&](const Entrant& entrant, const ServerProcess& server) {
        return Visit::of(run_load({.url = server.url(),
                                   .connections = workload.connections,
                                   .depth = workload.depth,
                                   .size = workload.size,
                                   .kind = workload.kind,
                                   .warm_up = entrant.warm_up,
                                   .duration = options_.duration,
                                   .check_content = entrant.echoes_content,
                                   .server = server.pid()}));
      });
    }
    run_row(upgrades_row, [&](const Entrant& entrant, const ServerProcess& server) {
      return Visit::of(run_upgrades({.url = server.url(),
                                     .warm_up = entrant.warm_up,
                                     .duration = options_.duration,
                                     .server = server.pid()}));
    });
    if (!options_.chart.empty()) write_chart(options_.chart, groups_, "tern");
  }

 private:
  void run_row(const std::string& name, const Contest::Visiting& visit) {
    if (!is_wanted(name, options_)) return;
    const std::vector<Standing> standings = contest_.run_row(name, visit);
    table_.print(name, standings);
    groups_.push_back({.workload = name});
    for (const Standing& standing : std::span(standings).subspan(1)) {
      if (!standing.left_out.empty()) continue;
      groups_.back().bars.push_back(
          {standing.entrant->name, better_ratio(standing.visits, standings.front().visits)});
    }
  }

  const CompareOptions& options_;
  Contest contest_;
  RatioTable table_;
  std::vector<BarGroup> groups_{};
};

}  // namespace

std::size_t prepare(CompareOptions& options) {
  if (options.servers.empty()) options.servers.push_back(beside_this_program("echo_server"));
  if (!pin_to_core(client_core))
    std::fputs("there is only one core, so the figures mean little\n", stderr);
  if (options.realtime && !set_realtime())
    std::fputs("--realtime has no effect: this user has no right to it\n", stderr);
  return raise_descriptor_limit();
}

int run_compare(const CompareOptions& asked) {
  CompareOptions options = asked;
  if (!options.chart.empty() && !any_row_of_the_chart_is_wanted(options)) {
    std::fprintf(stderr,
                 "no row of the chart has a name that contains '%s', so %s is not written\n",
                 options.only.c_str(), options.chart.c_str());
    return 1;
  }
  prepare(options);
  if (options.rivals && !any_rival_is_here()) {
    std::fputs("no rival is beside this program; `make bench-peers` builds them\n", stderr);
  }
  Comparison(options).run();
  run_rivals(options);
  return 0;
}

}  // namespace tern::bench
