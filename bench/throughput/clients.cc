// The client must be the limit. So the server is the cheapest possible one: the raw epoll echo,
// which unmasks nothing. Each client program has a server of its own on core 0, and runs on core 1.
// Each visit starts it anew. It connects, warms up, and prints a line when its measurement begins.
// A second line contains the result and the client's CPU time. This program reads the server's CPU
// time at both lines, to find out whether the server was the limit.
#include "throughput/clients.h"

#include "throughput/child.h"
#include "throughput/contest.h"
#include "throughput/entrants.h"
#include "throughput/system.h"
#include "throughput/visits.h"

#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

namespace tern::bench {
namespace {

struct Row {
  const char* name;
  std::size_t connections;
  std::size_t depth;
  std::size_t size;
};

constexpr Row rows[] = {
    {"1x1 64 B", 1, 1, 64},
    {"1x16 64 B", 1, 16, 64},
    {"1x1 16 KiB", 1, 1, std::size_t{16} << 10},
    {"1x1 1 MiB", 1, 1, std::size_t{1} << 20},
    {"1000x1 64 B", 1000, 1, 64},
    {"1000x1 16 KiB", 1000, 1, std::size_t{16} << 10},
};

struct ServerTime {
  Clock::time_point at;
  std::chrono::nanoseconds cpu;

  static ServerTime of(pid_t server) { return {Clock::now(), cpu_time(server)}; }
};

// Flags stand first, because Go's flag package accepts none behind the URL.
std::vector<std::string> command_of(const std::string& client, const Row& row, Seconds duration,
                                    const std::string& url) {
  return {client,
          "--connections",
          std::to_string(row.connections),
          "--depth",
          std::to_string(row.depth),
          "--size",
          std::to_string(row.size),
          "--seconds",
          std::to_string(duration.count()),
          "--no-content",
          url};
}

Visit visit(const Row& row, const Entrant& entrant, const ServerProcess& server,
            const CompareOptions& options) {
  Child client(command_of(entrant.client, row, options.duration, server.url()), client_core,
               options.realtime);
  const auto first = client.line();
  const ServerTime begin = ServerTime::of(server.pid());
  const auto second = client.line();
  const ServerTime end = ServerTime::of(server.pid());
  unsigned long long messages = 0;
  double seconds = 0;
  double cpu_seconds = 0;
  if (first != "measuring" || !second ||
      std::sscanf(second->c_str(), R"({"messages":%llu,"seconds":%lf,"cpu_seconds":%lf})",
                  &messages, &seconds, &cpu_seconds) != 3) {
    throw std::runtime_error("the client program ended without a result");
  }
  const auto count = static_cast<double>(messages);
  return {.per_second = count / seconds,
          .us_each = cpu_seconds * 1e6 / count,
          .other_busy = Seconds(end.cpu - begin.cpu) / Seconds(end.at - begin.at)};
}

void print_head(const CompareOptions& options) {
  if (options.json) return;
  std::puts(
      "Echo load on the ceiling (a raw epoll echo). A ratio compares tern with the client of the");
  std::puts("row in the same repetition; the figure is the median; above 1 tern is better.");
  std::puts(
      "rate: messages/s; CPU: messages per second of the client's CPU; *: the server was the "
      "limit.");
  std::printf("%-22s %-14s %9s %9s %7s %7s %6s\n", "workload", "client", "client/s", "us each",
              "rate", "CPU", "server");
}

void print_row(const Row& row, const Standing& standing, const Visits& tern, bool json) {
  const Visits& visits = standing.visits;
  const char* const client = standing.entrant->name.c_str();
  const double rate = median_ratio(tern, visits, rate_of);
  const double cpu = median_ratio(tern, visits, per_cpu_us_of);
  if (json) {
    std::printf(R"({"workload":"%s","client":"%s","repetitions":%zu,"per_second":%.1f,"us":%.4f,)"
                R"("tern_rate_ratio":%.4f,"tern_cpu_ratio":%.4f,"server_busy":%.3f})"
                "\n",
                row.name, client, visits.size(), median_of(visits, rate_of),
                median_of(visits, us_of), rate, cpu, median_of(visits, busy_of));
  } else {
    std::printf("%-22s %-14s %9s %9.3f %7.2f %7.2f %s\n", row.name, client,
                count_text(median_of(visits, rate_of)).c_str(), median_of(visits, us_of), rate, cpu,
                busy_text(visits).c_str());
  }
  std::fflush(stdout);
}

}  // namespace

int run_clients(const CompareOptions& options) {
  // This process needs a higher priority than its children, because it must read the clock in time.
  // It hardly ever interrupts them.
  if (options.realtime && !set_realtime(2))
    std::fputs("--realtime has no effect: this user has no right to it\n", stderr);
  std::vector<Entrant> entrants = client_entrants();
  if (entrants.size() == tern_clients)
    std::fputs("no rival is beside this program; `make bench-peers` builds them\n", stderr);
  Contest contest(std::move(entrants), options);
  print_head(options);
  for (const Row& row : rows) {
    if (std::string_view(row.name).find(options.only) == std::string_view::npos) continue;
    const auto standings =
        contest.run_row(row.name, [&](const Entrant& entrant, const ServerProcess& server) {
          return visit(row, entrant, server, options);
        });
    for (const Standing& standing : standings) {
      if (standing.left_out.empty()) {
        print_row(row, standing, standings.front().visits, options.json);
      } else {
        print_left_out(row.name, standing, options.json);
      }
    }
  }
  return 0;
}

}  // namespace tern::bench
