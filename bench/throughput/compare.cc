// The speed of a machine changes within minutes, more than servers differ. So nothing is compared
// across time: each repetition visits every server in turn, each pair of neighbours gives a ratio,
// and the median of the ratios is the figure. A server is judged by the better of two: the rate,
// and the messages it can do in a second of its own CPU time, which holds even when the client
// limits.
#include "throughput/compare.h"

#include "throughput/chart.h"
#include "throughput/entrants.h"
#include "throughput/field.h"
#include "throughput/load.h"
#include "throughput/rivals.h"
#include "throughput/upgrades.h"
#include "throughput/visits.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
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

std::vector<Entrant> plain_entrants(const CompareOptions& options) {
  const std::string bench = beside_this_program("tern-bench");
  std::vector<Entrant> all = entrants(options, {});
  Entrant spinning = all.front();
  spinning.name += " spins";
  spinning.rows = "1x1 ";
  spinning.command.insert(spinning.command.end(), {"--spin", "0.001"});
  all.insert(all.begin() + 1, std::move(spinning));
  if (options.control) {
    all.insert(all.begin(),
               {.name = "control", .command = {bench, "ceiling"}, .echoes_content = false});
  }
  all.insert(all.begin(),
             {.name = "ceiling", .command = {bench, "ceiling"}, .echoes_content = false});
  return all;
}

class Comparison {
 public:
  explicit Comparison(const CompareOptions& options)
      : options_(options), field_(plain_entrants(options), options) {}

  void run() {
    for (const Workload& workload : workloads) {
      run_row(name_of(workload), [&](const Entrant& entrant, const ServerProcess& server) {
        return Visit::of(run_load({.url = server.url(),
                                   .connections = workload.connections,
                                   .depth = workload.depth,
                                   .size = workload.size,
                                   .kind = workload.kind,
                                   .duration = options_.duration,
                                   .check_content = entrant.echoes_content,
                                   .server = server.pid()}));
      });
    }
    run_row("upgrades", [&](const Entrant&, const ServerProcess& server) {
      return Visit::of(run_upgrades(
          {.url = server.url(), .duration = options_.duration, .server = server.pid()}));
    });
    if (!options_.chart.empty()) write_chart(options_.chart, groups_, "tern");
  }

 private:
  void run_row(const std::string& name, const Field::Visiting& visit) {
    if (name.find(options_.only) == std::string::npos) return;
    print_head();
    const std::vector<Standing> standings = field_.run_row(name, visit);
    groups_.push_back({.workload = name});
    for (std::size_t i = 1; i < standings.size(); ++i) {
      if (standings[i].left_out.empty()) {
        print_row(name, standings[i], standings[0].visits);
      } else {
        print_left_out(name, standings[i], options_.json);
      }
    }
  }

  void print_head() {
    if (options_.json || std::exchange(head_printed_, true)) return;
    std::puts("Ratios are to the ceiling (a raw epoll echo) in the same repetition, medians;");
    std::puts("above 1 is better. rate: messages/s; CPU: messages per second of server CPU.");
    std::puts("*: the client was the limit; the CPU column holds all the same.");
    std::printf("%-22s %-11s %9s %9s %7s %9s %9s %7s %7s %6s\n", "workload", "server", "ceiling/s",
                "server/s", "rate", "ceil. us", "us each", "CPU", "better", "client");
  }

  void print_row(const std::string& workload, const Standing& standing, const Visits& ceiling) {
    const Visits& visits = standing.visits;
    const char* const server = standing.entrant->name.c_str();
    const double rate = median_ratio(visits, ceiling, rate_of);
    const double cpu = median_ratio(visits, ceiling, per_cpu_us_of);
    groups_.back().bars.push_back({standing.entrant->name, std::max(rate, cpu)});
    if (options_.json) {
      std::printf(R"({"workload":"%s","server":"%s","repetitions":%zu,"ceiling_per_second":%.1f,)"
                  R"("per_second":%.1f,"rate_ratio":%.4f,"ceiling_us":%.4f,"us":%.4f,)"
                  R"("cpu_ratio":%.4f,"client_busy":%.3f})"
                  "\n",
                  workload.c_str(), server, visits.size(), median_of(ceiling, rate_of),
                  median_of(visits, rate_of), rate, median_of(ceiling, us_of),
                  median_of(visits, us_of), cpu, median_of(visits, busy_of));
    } else {
      std::printf("%-22s %-11s %9s %9s %7.2f %9.3f %9.3f %7.2f %7.2f %s\n", workload.c_str(),
                  server, count_text(median_of(ceiling, rate_of)).c_str(),
                  count_text(median_of(visits, rate_of)).c_str(), rate, median_of(ceiling, us_of),
                  median_of(visits, us_of), cpu, std::max(rate, cpu), busy_text(visits).c_str());
    }
    std::fflush(stdout);
  }

  const CompareOptions& options_;
  Field field_;
  std::vector<BarGroup> groups_{};
  bool head_printed_ = false;
};

}  // namespace

int run_compare(const CompareOptions& asked) {
  CompareOptions options = asked;
  if (options.servers.empty()) options.servers.push_back(beside_this_program("echo_server"));
  raise_descriptor_limit();
  if (!pin_to_core(client_core)) std::fputs("one core only: figures mean little\n", stderr);
  if (options.realtime && !set_realtime()) std::fputs("no right to --realtime\n", stderr);
  if (!any_rival_is_here())
    std::fputs("no rival is here: `make bench-peers` builds them\n", stderr);
  Comparison(options).run();
  run_rivals(options);
  return 0;
}

}  // namespace tern::bench
