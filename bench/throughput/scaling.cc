// Three kinds of rows, all beside the ceiling, visited in turn as those of a comparison:
//
//   connections 1 … 10000   one message of 64 B in flight on each: what does a message cost?
//   opening 0-1000 …        one after another, and they stay: what does one more connection cost?
//   In
//                           a new process each time, so that tables and pools have yet to grow.
//   loops 100x16 16 B …     by one loop and by two. The ceiling has one.
//
// One loop is bound to a core, and the load to another. Two loops may use both, so one of them and
// the load take turns where there are but two cores: then the rate says nothing. A real-time load
// never rests, and would let that loop wait a tenth of a second each time: these rows do without.
#include "throughput/scaling.h"

#include "throughput/entrants.h"
#include "throughput/field.h"
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

// A server keeps 64 for itself, and so much else is open here.
constexpr std::size_t other_descriptors = 100;

constexpr std::string_view notes =
    "opening: connections, one after another, instead of messages.\n"
    "2 loops: not bound to a core; of two cores they share one with the load, and the rate says\n"
    "little: judge by the CPU each message takes (us each). Never with real-time priority.\n";

std::vector<Entrant> beside_ceiling(const CompareOptions& options) {
  std::vector<Entrant> all = entrants(options, {});
  all.insert(all.begin(), ceiling("ceiling"));
  return all;
}

// Each build of tern with one loop and with two.
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
    Field field(beside_ceiling(options_), options_);
    for (const std::size_t connections : connection_rows) {
      const std::string name = "connections " + std::to_string(connections);
      if (!is_wanted_and_possible(name, connections)) continue;
      run_row(field, name, [&](const Entrant& entrant, const ServerProcess& server) {
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
    Field field(beside_ceiling(options_), options_);
    for (const Opening& row : opening_rows) {
      const std::string name = "opening " + std::to_string(row.from) + "-" + std::to_string(row.to);
      if (!is_wanted_and_possible(name, row.to)) continue;
      run_row(field, name, [&](const Entrant&, const ServerProcess& server) {
        return visit_opening(row, server);
      });
    }
  }

  void run_loops() {
    CompareOptions options = options_;
    if (std::exchange(options.realtime, false)) unset_realtime();
    Field field(with_loops(options), options);
    for (const LoopsRow& row : loops_rows) {
      const std::string name(row.name);
      run_row(field, name, [&](const Entrant& entrant, const ServerProcess& server) {
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

  void run_row(Field& field, const std::string& name, const Field::Visiting& visit) {
    if (is_wanted(name, options_)) table_.print(name, field.run_row(name, visit));
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
