// Prints medians of the ratios to the ceiling, which is the first entrant of each row.
#include "throughput/ratio_table.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace tern::bench {

double better_ratio(const Visits& visits, const Visits& ceiling) {
  return std::max(median_ratio(visits, ceiling, rate_of),
                  median_ratio(visits, ceiling, per_cpu_us_of));
}

RatioTable::RatioTable(bool json, std::string notes) : json_(json), notes_(std::move(notes)) {}

void RatioTable::print(const std::string& workload, std::span<const Standing> standings) {
  print_head();
  for (const Standing& standing : standings.subspan(1)) {
    if (standing.left_out.empty()) {
      print_row(workload, standing, standings.front().visits);
    } else {
      print_left_out(workload, standing, json_);
    }
  }
  std::fflush(stdout);
}

void RatioTable::print_head() {
  if (json_ || std::exchange(head_printed_, true)) return;
  std::puts(
      "A ratio compares a server with the ceiling (a raw epoll echo) in the same repetition;");
  std::puts(
      "the figure is the median; above 1 the server is better. rate: messages/s; CPU: messages");
  std::puts("per second of server CPU; *: the client was the limit, but the CPU column is valid.");
  std::fputs(notes_.c_str(), stdout);
  std::printf("%-22s %-11s %9s %9s %7s %9s %9s %7s %7s %6s\n", "workload", "server", "ceiling/s",
              "server/s", "rate", "ceil. us", "us each", "CPU", "better", "client");
}

void RatioTable::print_row(const std::string& workload, const Standing& standing,
                           const Visits& ceiling) const {
  const Visits& visits = standing.visits;
  const char* const server = standing.entrant->name.c_str();
  const double rate = median_ratio(visits, ceiling, rate_of);
  const double cpu = median_ratio(visits, ceiling, per_cpu_us_of);
  if (json_) {
    std::printf(R"({"workload":"%s","server":"%s","repetitions":%zu,"ceiling_per_second":%.1f,)"
                R"("per_second":%.1f,"rate_ratio":%.4f,"ceiling_us":%.4f,"us":%.4f,)"
                R"("cpu_ratio":%.4f,"client_busy":%.3f})"
                "\n",
                workload.c_str(), server, visits.size(), median_of(ceiling, rate_of),
                median_of(visits, rate_of), rate, median_of(ceiling, us_of),
                median_of(visits, us_of), cpu, median_of(visits, busy_of));
  } else {
    std::printf("%-22s %-11s %9s %9s %7.2f %9.3f %9.3f %7.2f %7.2f %s\n", workload.c_str(), server,
                count_text(median_of(ceiling, rate_of)).c_str(),
                count_text(median_of(visits, rate_of)).c_str(), rate, median_of(ceiling, us_of),
                median_of(visits, us_of), cpu, std::max(rate, cpu), busy_text(visits).c_str());
  }
}

}  // namespace tern::bench
