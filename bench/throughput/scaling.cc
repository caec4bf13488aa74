// Measures three kinds of rows beside the ceiling. The servers are visited in turn, as in a
// comparison.
//
//   connections 1 … 10000   one message of 64 B in flight on each: the cost of a message
//   opening 0-1000 …        connections are opened one after another and stay open: the cost of one
//                           more. Each measurement has a new process, so tables and pools must
//                           grow.
//   loops 100x16 16 B …     one loop and two loops; the ceiling has one
//
// One loop is bound to a core, and the load to another. Two loops may use both cores. With only two
// cores one of the loops and the load take turns, so the rate means nothing. A real-time load never
// rests and would delay that loop by a tenth of a second each time, so these rows run without it.
#include "throughput/scaling.h"

#include "throughput/contest.h"
#include "throughput/entrants.h"
#include "throughput/load.h"
#include "throughput/ratio_table.h"
#include "throughput/upgrade.h"
#include "throughput/visits.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tern::bench {
namespace {

constexpr std::size_t connection_rows[] = {1, 10, 100, 1'000, 10'000};
constexpr std::size_t connection_size = 64;

struct Opening {
  std::size_t from;
  std::size_t to;
};
constexpr Opening opening_rows[] = {{0, 1'000}, {4'000, 5'000}, {9'000, 10'000}};

struct LoopsRow {
  std::string_view name;
  std::size_t depth;
  std::size_t size;
};
constexpr LoopsRow loops_rows[] = {{"loops 100x16 16 B", 16, 16}, {"loops 100x1 64 B", 1, 64}};
constexpr std::size_t loops_connections = 100;

// A server keeps 64 descriptors for itself, and this program has as many others open.
constexpr std::size_t other_descriptors = 100;

constexpr std::string_view notes =
    "opening: connections, one after another, instead of messages.\n"
    "2 loops: not bound to a core. With two cores they share one with the load, so the rate means\n"
    "little: compare the CPU of a message (us each). Never with real-time priority.\n";

std::vector<Entrant> beside_ceiling(const CompareOptions& options) {
  std::vector<Entrant> all = entrants(options, {});
  all.insert(all.begin(), ceiling("ceiling"));
  return all;
}

// Each build of tern, with one loop and with two.
std::vector<Entrant> with_loops(const CompareOptions& options) {
  std::vector<Entrant> all{ceiling("ceiling")};
  for (Entrant& one : entrants(options, {"--threads", "1"})) {
    one.name.replace(0, std::string_view("tern").size(), "1 loop");
    all.push_back(std::move(one));
  }
  for (Entrant& two : entrants(options, {"--threads", "2"})) {
    two.name.replace(0, std::string_view("tern").size(), "2 loops");
    two.core = any_core;
    all.push_back(std::move(two));
  }
  return all;
}

Visit visit_opening(const Opening& row, const ServerProcess& server) {
  const Target target = Target::parse(server.url());
  std::vector<Wire> wires;
  const auto open = [&](std::size_t connections) {
    while (wires.size() < connections) {
      wires.push_back(connect_and_upgrade(target, source_of(wires.size())));
      reset_on_close(wires.back().socket());
    }
  };
  open(row.from);
  const auto server_before = settled_cpu_time(server.pid());
  const auto own_before = cpu_time(::getpid());
  const auto began = Clock::now();
  open(row.to);
  const double seconds = Seconds(Clock::now() - began).count();
  const Seconds own = cpu_time(::getpid()) - own_before;
  const Seconds used = settled_cpu_time(server.pid()) - server_before;
  const auto opened = static_cast<double>(row.to - row.from);
  return {.per_second = opened / seconds,
          .us_each = used.count() * 1e6 / opened,
          .other_busy = own.count() / seconds};
}

class Scaling {
 public:
  Scaling(const CompareOptions& options, std::size_t descriptors)
      : options_(options), descriptors_(descriptors), table_(options.json, std::string(notes)) {}

  void run_connections() {
    Contest contest(beside_ceiling(options_), options_);
    for (const std::size_t connections : connection_rows) {
      const std::string name = "connections " + std::to_string(connections);
      if (!is_wanted_and_possible(name, connections)) continue;
      run_row(contest, name, [&](const Entrant& entrant, const ServerProcess& server) {
        return Visit::of(run_load({.url = server.url(),
                                   .connections = connections,
                                   .size = connection_size,
                                   .duration = options_.duration,
                                   .check_content = entrant.echoes_content,
                                   .server = server.pid()}));
      });
    }
  }

  void run_openings() {
    Contest contest(beside_ceiling(options_), options_);
    for (const Opening& row : opening_rows) {
      const std::string name = "opening " + std::to_string(row.from) + "-" + std::to_string(row.to);
      if (!is_wanted_and_possible(name, row.to)) continue;
      run_row(contest, name, [&](const Entrant&, const ServerProcess& server) {
        return visit_opening(row, server);
      });
    }
  }

  void run_loops() {
    CompareOptions options = options_;
    if (std::exchange(options.realtime, false)) unset_realtime();
    Contest contest(with_loops(options), options);
    for (const LoopsRow& row : loops_rows) {
      const std::string name(row.name);
      run_row(contest, name, [&](const Entrant& entrant, const ServerProcess& server) {
        return Visit::of(run_load({.url = server.url(),
                                   .connections = loops_connections,
                                   .depth = row.depth,
                                   .size = row.size,
                                   .duration = options_.duration,
                                   .check_content = entrant.echoes_content,
                                   .server = server.pid()}));
      });
    }
  }

 private:
  bool is_wanted_and_possible(const std::string& row, std::size_t connections) const {
    if (!is_wanted(row, options_)) return false;
    if (connections + other_descriptors <= descriptors_) return true;
    std::fprintf(stderr, "%s: left out, the hard limit of descriptors is %zu\n", row.c_str(),
                 descriptors_);
    return false;
  }

  void run_row(Contest& contest, const std::string& name, const Contest::Visiting& visit) {
    if (is_wanted(name, options_)) table_.print(name, contest.run_row(name, visit));
  }

  const CompareOptions& options_;
  std::size_t descriptors_;
  RatioTable table_;
};

}  // namespace

int run_scaling(const CompareOptions& asked) {
  CompareOptions options = asked;
  options.rivals = false;
  const std::size_t descriptors = prepare(options);
  Scaling scaling(options, descriptors);
  scaling.run_connections();
  scaling.run_openings();
  scaling.run_loops();
  return 0;
}

}  // namespace tern::bench
