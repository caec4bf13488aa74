// The speed of a machine changes within minutes, more than servers differ. So nothing is compared
// across time: each repetition visits every server in turn, each pair of neighbours gives a ratio,
// and the median of the ratios is the figure. A server is judged by the better of two: the rate,
// and the messages it can do in a second of its own CPU time, which holds even when the client
// limits.
#include "throughput/compare.h"

#include "throughput/load.h"
#include "throughput/server_process.h"
#include "throughput/upgrades.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <unistd.h>
#include <vector>

namespace tern::bench {
namespace {

constexpr int server_core = 0;
constexpr int client_core = 1;

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

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// What one visit of one server brought.
struct Visit {
  double per_second = 0;
  double us_each = 0;
  double client_busy = 0;
};

struct Contestant {
  std::string name;
  std::unique_ptr<ServerProcess> process;
  bool echoes_content;
};

using Visits = std::vector<Visit>;  // one a repetition

template <class F>
double median_of(const Visits& visits, F&& field) {
  std::vector<double> values;
  for (const Visit& visit : visits) values.push_back(field(visit));
  return median(std::move(values));
}

/// Above 1: better than the ceiling in the same repetition.
template <class F>
double median_ratio(const Visits& visits, const Visits& ceiling, F&& goodness) {
  std::vector<double> values;
  for (std::size_t i = 0; i < visits.size(); ++i) {
    values.push_back(goodness(visits[i]) / goodness(ceiling[i]));
  }
  return median(std::move(values));
}

double rate_of(const Visit& visit) { return visit.per_second; }
double per_cpu_us_of(const Visit& visit) { return 1 / visit.us_each; }

std::string count_text(double count) {
  char text[32];
  if (count >= 1e6) {
    std::snprintf(text, sizeof text, "%.2fM", count / 1e6);
  } else if (count >= 1e5) {
    std::snprintf(text, sizeof text, "%.0fk", count / 1e3);
  } else if (count >= 1e4) {
    std::snprintf(text, sizeof text, "%.1fk", count / 1e3);
  } else {
    std::snprintf(text, sizeof text, "%.0f", count);
  }
  return text;
}

class Comparison {
 public:
  explicit Comparison(const CompareOptions& options) : options_(options) {
    raise_descriptor_limit();
    start("ceiling", {beside_this_program("tern-bench"), "ceiling"}, false);
    if (options.control) start("control", {beside_this_program("tern-bench"), "ceiling"}, false);
    std::vector<std::string> servers = options.servers;
    if (servers.empty()) servers.push_back(beside_this_program("echo_server"));
    for (std::size_t i = 0; i < servers.size(); ++i) {
      // Limits and timeouts out of the way; all checks stay.
      start(i == 0 ? "tern" : "tern #" + std::to_string(i + 1),
            {servers[i], "--port", "0", "--max-message", "16777216", "--queue-limit", "1073741824",
             "--idle-timeout", "3600"},
            true);
    }
    if (!pin_to_core(client_core)) std::fputs("one core only: figures mean little\n", stderr);
    if (options.realtime && !set_realtime()) std::fputs("no right to --realtime\n", stderr);
  }

  void run() {
    print_head();
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
        return Visit{result.per_second(), result.server_us_each(), result.client_busy};
      });
    }
    run_row("upgrades", [&](const Contestant& contestant) {
      const UpgradesResult result = run_upgrades({.url = contestant.process->url(),
                                                  .duration = options_.duration,
                                                  .server = contestant.process->pid()});
      const double count = static_cast<double>(result.upgrades);
      return Visit{count / result.seconds, result.server_busy * result.seconds * 1e6 / count, 1};
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
    std::vector<Visits> visits(contestants_.size());
    for (std::size_t i = 0; i < options_.repetitions; ++i) {
      progress(name, i);
      for (std::size_t turn = 0; turn < contestants_.size(); ++turn) {
        const std::size_t at = (turn + i) % contestants_.size();  // nobody is always the first
        visits[at].push_back(visit(contestants_[at]));
      }
    }
    progress("", 0);
    for (std::size_t i = 1; i < contestants_.size(); ++i) {
      print_row(name, contestants_[i].name, visits[i], visits[0]);
    }
  }

  void progress(const std::string& name, std::size_t repetition) const {
    if (::isatty(STDERR_FILENO) == 0) return;
    if (name.empty()) {
      std::fputs("\r\033[K", stderr);
    } else {
      std::fprintf(stderr, "\r\033[K%s: %zu of %zu", name.c_str(), repetition + 1,
                   options_.repetitions);
    }
  }

  void print_head() const {
    if (options_.json) return;
    std::puts("Ratios are to the ceiling (a raw epoll echo) in the same repetition, medians;");
    std::puts("above 1 is better. rate: messages/s; CPU: messages per second of server CPU.");
    std::printf("%-22s %-8s %9s %9s %7s %9s %9s %7s %7s %6s\n", "workload", "server", "ceiling/s",
                "server/s", "rate", "ceil. us", "us each", "CPU", "better", "client");
  }

  void print_row(const std::string& workload, const std::string& server, const Visits& visits,
                 const Visits& ceiling) const {
    const double rate = median_ratio(visits, ceiling, rate_of);
    const double cpu = median_ratio(visits, ceiling, per_cpu_us_of);
    const auto us_each = [](const Visit& visit) { return visit.us_each; };
    const auto busy = [](const Visit& visit) { return visit.client_busy; };
    if (options_.json) {
      std::printf(R"({"workload":"%s","server":"%s","repetitions":%zu,"ceiling_per_second":%.1f,)"
                  R"("per_second":%.1f,"rate_ratio":%.4f,"ceiling_us":%.4f,"us":%.4f,)"
                  R"("cpu_ratio":%.4f,"client_busy":%.3f})"
                  "\n",
                  workload.c_str(), server.c_str(), visits.size(), median_of(ceiling, rate_of),
                  median_of(visits, rate_of), rate, median_of(ceiling, us_each),
                  median_of(visits, us_each), cpu, median_of(visits, busy));
    } else {
      std::printf("%-22s %-8s %9s %9s %7.2f %9.3f %9.3f %7.2f %7.2f %5.0f%%\n", workload.c_str(),
                  server.c_str(), count_text(median_of(ceiling, rate_of)).c_str(),
                  count_text(median_of(visits, rate_of)).c_str(), rate, median_of(ceiling, us_each),
                  median_of(visits, us_each), cpu, std::max(rate, cpu),
                  median_of(visits, busy) * 100);
    }
    std::fflush(stdout);
  }

  const CompareOptions& options_;
  std::vector<Contestant> contestants_{};
};

}  // namespace

int run_compare(const CompareOptions& options) {
  Comparison(options).run();
  return 0;
}

}  // namespace tern::bench
