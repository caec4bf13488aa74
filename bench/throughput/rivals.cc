// With TLS and with compression most of the time is spent in libcrypto and in zlib, which are
// nearly the same for all servers. A server that does nothing cannot show the limit there. So these
// rows compare tern with the servers of other libraries. All have the same certificate, cipher (the
// client offers only one), level, memory and window, without context takeover. The size of a reply
// on the wire is a part of the result, because a server that compresses less is faster. Upgrades
// make a full TLS handshake.
#include "throughput/rivals.h"

#include "throughput/certificate.h"
#include "throughput/contest.h"
#include "throughput/entrants.h"
#include "throughput/load.h"
#include "throughput/upgrades.h"
#include "throughput/visits.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace tern::bench {
namespace {

constexpr int deflate_level =
    1;  // memory level 8 and windows of 2^15 are the default of all of them

struct Row {
  std::string_view name;
  std::size_t size;
  PayloadKind kind = PayloadKind::binary;
};

constexpr Row tls_rows[] = {
    {"wss 100x1 64 B", 64},
    {"wss 100x1 16 KiB", std::size_t{16} << 10},
};
constexpr std::string_view tls_upgrades = "wss upgrades";
constexpr Row deflate_rows[] = {
    {"deflate 100x1 1 KiB", std::size_t{1} << 10, PayloadKind::json},
    {"deflate 100x1 64 KiB", std::size_t{64} << 10, PayloadKind::json},
};

class Rivals {
 public:
  /// All entrants get `flags`.
  Rivals(const CompareOptions& options, const std::vector<std::string>& flags)
      : options_(options), contest_(entrants(options, flags), options) {}

  void run(const Row& row, bool deflate) {
    const std::string name(row.name);
    if (!is_wanted(name, options_)) return;
    print(name, contest_.run_row(name, [&](const Entrant& entrant, const ServerProcess& server) {
      return Visit::of(run_load({.url = server.url(),
                                 .connections = 100,
                                 .size = row.size,
                                 .kind = row.kind,
                                 .deflate = deflate,
                                 .warm_up = entrant.warm_up,
                                 .duration = options_.duration,
                                 .server = server.pid()}));
    }));
  }

  void run_upgrades() {
    const std::string name(tls_upgrades);
    if (!is_wanted(name, options_)) return;
    print(name, contest_.run_row(name, [&](const Entrant& entrant, const ServerProcess& server) {
      return Visit::of(bench::run_upgrades({.url = server.url(),
                                            .in_flight = 16,
                                            .warm_up = entrant.warm_up,
                                            .duration = options_.duration,
                                            .server = server.pid()}));
    }));
  }

  void print_head() const {
    if (options_.json) return;
    std::puts(
        "\nA ratio compares tern with the server of the row in the same repetition; the figure is");
    std::puts(
        "the median; above 1 tern is better. rate: messages/s; CPU: messages per second of server");
    std::puts("CPU.");
    std::printf("%-22s %-11s %9s %9s %11s %7s %7s %6s\n", "workload", "server", "server/s",
                "us each", "reply bytes", "rate", "CPU", "client");
  }

 private:
  void print(const std::string& workload, const std::vector<Standing>& standings) const {
    for (const Standing& standing : standings) {
      if (standing.left_out.empty()) {
        print_row(workload, standing, standings.front().visits);
      } else {
        print_left_out(workload, standing, options_.json);
      }
    }
  }

  void print_row(const std::string& workload, const Standing& standing, const Visits& tern) const {
    const Visits& visits = standing.visits;
    const char* const server = standing.entrant->name.c_str();
    const double rate = median_ratio(tern, visits, rate_of);
    const double cpu = median_ratio(tern, visits, per_cpu_us_of);
    const std::size_t bytes = visits.front().reply_bytes;
    if (options_.json) {
      std::printf(R"({"workload":"%s","server":"%s","repetitions":%zu,"per_second":%.1f,"us":%.4f,)"
                  R"("reply_bytes":%zu,"tern_rate_ratio":%.4f,"tern_cpu_ratio":%.4f,)"
                  R"("client_busy":%.3f})"
                  "\n",
                  workload.c_str(), server, visits.size(), median_of(visits, rate_of),
                  median_of(visits, us_of), bytes, rate, cpu, median_of(visits, busy_of));
    } else {
      std::printf("%-22s %-11s %9s %9.2f %11s %7.2f %7.2f %s\n", workload.c_str(), server,
                  count_text(median_of(visits, rate_of)).c_str(), median_of(visits, us_of),
                  bytes == 0 ? "-" : std::to_string(bytes).c_str(), rate, cpu,
                  busy_text(visits).c_str());
    }
    std::fflush(stdout);
  }

  const CompareOptions& options_;
  Contest contest_;
};

bool any_wanted(const CompareOptions& options) {
  const auto wanted = [&](const Row& row) { return is_wanted(row.name, options); };
  return is_wanted(tls_upgrades, options) || std::ranges::any_of(tls_rows, wanted) ||
         std::ranges::any_of(deflate_rows, wanted);
}

}  // namespace

void run_rivals(const CompareOptions& options) {
  if (!any_wanted(options)) return;
  const TemporaryCertificate certificate;
  Rivals tls(options, {"--cert", certificate.certificate(), "--key", certificate.key()});
  Rivals deflate(options, {"--deflate-level", std::to_string(deflate_level)});
  tls.print_head();
  for (const Row& row : tls_rows) tls.run(row, false);
  tls.run_upgrades();
  for (const Row& row : deflate_rows) deflate.run(row, true);
}

}  // namespace tern::bench
