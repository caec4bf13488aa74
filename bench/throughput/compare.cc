// The speed of a machine changes within minutes, more than servers differ. So nothing is compared
// across time: each repetition visits every server in turn, each pair of neighbours gives a ratio,
// and the median of the ratios is the figure. A server is judged by the better of two: the rate,
// and the messages it can do in a second of its own CPU time, which holds even when the client
// limits.
#include "throughput/compare.h"

#include "throughput/load.h"
#include "throughput/rivals.h"
#include "throughput/upgrades.h"
#include "throughput/visits.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
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

class Comparison {
 public:
  explicit Comparison(const CompareOptions& options) : options_(options) {
    raise_descriptor_limit();
    start("ceiling", {beside_this_program("tern-bench"), "ceiling"}, false);
    if (options.control) start("control", {beside_this_program("tern-bench"), "ceiling"}, false);
    for (std::size_t i = 0; i < options.servers.size(); ++i) {
      // Limits and timeouts out of the way; all checks stay.
      start(i == 0 ? "tern" : "tern #" + std::to_string(i + 1),
            {options.servers[i], "--port", "0", "--max-message", "16777216", "--queue-limit",
             "1073741824", "--idle-timeout", "3600"},
            true);
    }
    if (!pin_to_core(client_core)) std::fputs("one core only: figures mean little\n", stderr);
    if (options.realtime && !set_realtime()) std::fputs("no right to --realtime\n", stderr);
  }

  void run() {
    for (const Workload& workload : workloads) {
      run_row(name_of(workload), [&](const Contestant& contestant) {
        const LoadResult result = run_load({.url = contestant.process->url(),
                                            .connections = workload.connections,
                                            .depth = workload.depth,
                                            .size = workload.size,
                                            .kind = workload.kind,
                                            .duration = options_.duration,
                                            .check_content = contestant.echoes_content,
                                            .server = contestant.process->pid()});
        return Visit::of(result);
      });
    }
    run_row("upgrades", [&](const Contestant& contestant) {
      const UpgradesResult result = run_upgrades({.url = contestant.process->url(),
                                                  .duration = options_.duration,
                                                  .server = contestant.process->pid()});
      const double count = static_cast<double>(result.upgrades);
      return Visit{count / result.seconds, result.server_busy * result.seconds * 1e6 / count, 1, 0};
    });
  }

 private:
  void start(std::string name, const std::vector<std::string>& command, bool echoes_content) {
    contestants_.push_back(
        {std::move(name), std::make_unique<ServerProcess>(command, server_core, options_.realtime),
         echoes_content});
  }

  void run_row(const std::string& name, const std::function<Visit(const Contestant&)>& visit) {
    if (name.find(options_.only) == std::string::npos) return;
    print_head();
    const std::vector<Visits> visits =
        visit_in_turn(name, contestants_, options_.repetitions, visit);
    for (std::size_t i = 1; i < contestants_.size(); ++i) {
      print_row(name, contestants_[i].name, visits[i], visits[0]);
    }
  }

  void print_head() {
    if (options_.json || std::exchange(head_printed_, true)) return;
    std::puts("Ratios are to the ceiling (a raw epoll echo) in the same repetition, medians;");
    std::puts("above 1 is better. rate: messages/s; CPU: messages per second of server CPU.");
    std::printf("%-22s %-8s %9s %9s %7s %9s %9s %7s %7s %6s\n", "workload", "server", "ceiling/s",
                "server/s", "rate", "ceil. us", "us each", "CPU", "better", "client");
  }

  void print_row(const std::string& workload, const std::string& server, const Visits& visits,
                 const Visits& ceiling) const {
    const double rate = median_ratio(visits, ceiling, rate_of);
    const double cpu = median_ratio(visits, ceiling, per_cpu_us_of);
    if (options_.json) {
      std::printf(R"({"workload":"%s","server":"%s","repetitions":%zu,"ceiling_per_second":%.1f,)"
                  R"("per_second":%.1f,"rate_ratio":%.4f,"ceiling_us":%.4f,"us":%.4f,)"
                  R"("cpu_ratio":%.4f,"client_busy":%.3f})"
                  "\n",
                  workload.c_str(), server.c_str(), visits.size(), median_of(ceiling, rate_of),
                  median_of(visits, rate_of), rate, median_of(ceiling, us_of),
                  median_of(visits, us_of), cpu, median_of(visits, busy_of));
    } else {
      std::printf("%-22s %-8s %9s %9s %7.2f %9.3f %9.3f %7.2f %7.2f %5.0f%%\n", workload.c_str(),
                  server.c_str(), count_text(median_of(ceiling, rate_of)).c_str(),
                  count_text(median_of(visits, rate_of)).c_str(), rate, median_of(ceiling, us_of),
                  median_of(visits, us_of), cpu, std::max(rate, cpu),
                  median_of(visits, busy_of) * 100);
    }
    std::fflush(stdout);
  }

  const CompareOptions& options_;
  std::vector<Contestant> contestants_{};
  bool head_printed_ = false;
};

}  // namespace

int run_compare(const CompareOptions& asked) {
  CompareOptions options = asked;
  if (options.servers.empty()) options.servers.push_back(beside_this_program("echo_server"));
  Comparison(options).run();
  run_rivals(options);
  return 0;
}

}  // namespace tern::bench
