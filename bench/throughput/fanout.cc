// Two tables and a line. In the first one the servers are visited in turn, as in a comparison. A
// delivery is one message to one subscriber. The figure is the CPU time of the server's process for
// one delivery, beside that of a server that only calls send() for each subscriber. TLS and
// compression have no such server.
//
// In the second one a bystander measures its echo while 8000 subscribers receive a publication
// every 200 ms. The growth is the maximum of the server's memory meanwhile, beyond the memory
// before the first of these publications. The last line is the memory of a million subscriptions.
#include "throughput/fanout.h"

#include "throughput/bystander.h"
#include "throughput/certificate.h"
#include "throughput/contest.h"
#include "throughput/entrants.h"
#include "throughput/fan_load.h"
#include "throughput/fan_process.h"
#include "throughput/progress.h"
#include "throughput/subscriptions.h"
#include "throughput/visits.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tern::bench {
namespace {

using Flags = std::vector<std::string>;

struct Row {
  std::string_view name;
  std::size_t subscribers;
  std::size_t size;
  std::size_t in_flight = 1;
  std::size_t at_once = 1;
};

constexpr Row plain_rows[] = {
    {"1000 100 B", 1'000, 100},
    {"1000 100 B, 4 in flight", 1'000, 100, 4},
    {"1000 100 B, 16 waiting", 1'000, 100, 16, 16},
    {"1000 1 KiB", 1'000, 1'024},
    {"8000 100 B", 8'000, 100},
    {"8000 1 KiB", 8'000, 1'024},
};
constexpr Row tls_row{"wss 1000 100 B", 1'000, 100};
constexpr Row deflate_row{"deflate 1000 1 KiB", 1'000, 1'024};
constexpr int deflate_level = 6;  // uWebSockets has no other one

constexpr std::string_view beside_name = "echo beside 8000";
constexpr std::size_t beside_subscribers = 8'000;
constexpr std::chrono::milliseconds beside_every{200};
constexpr Seconds beside_duration{3};
constexpr std::string_view subscriptions_name = "1 000 000 subscriptions";
constexpr std::size_t subscribing_connections = 1'000;
// A server keeps 64 descriptors for itself, and this program has as many others open.
constexpr std::size_t other_descriptors = 100;

std::string by_hand_name(std::size_t build) {
  return build == 0 ? "by hand" : "by hand #" + std::to_string(build + 1);
}

// Of the rivals, uWebSockets has topics; a loop over the connections was written for Beast, and for
// ws as its documentation has it. A server of tern takes part twice: with topics, and with a loop
// over the connections that calls send() for each one.
std::vector<Entrant> fan_entrants(const CompareOptions& options, const Flags& flags) {
  std::vector<Entrant> all = entrants(options, flags);
  std::erase_if(all, [&](const Entrant& each) {
    return each.may_fail && each.name != "uWS" && each.name != "Beast" && each.name != "ws";
  });
  std::vector<Entrant> by_hand(all.begin(),
                               all.begin() + static_cast<std::ptrdiff_t>(options.servers.size()));
  for (std::size_t i = 0; i < by_hand.size(); ++i) {
    by_hand[i].name = by_hand_name(i);
    by_hand[i].command.emplace_back("--by-hand");
  }
  all.insert(all.begin() + static_cast<std::ptrdiff_t>(by_hand.size()), by_hand.begin(),
             by_hand.end());
  for (Entrant& each : all) each.gaps = {};  // the level of compression is that of uWebSockets
  return all;
}

std::vector<Entrant> beside_send(const CompareOptions& options) {
  std::vector<Entrant> all = fan_entrants(options, {});
  Entrant bare = ceiling("send()");
  bare.command.emplace_back("--fanout");
  if (options.control) {
    all.insert(all.begin(), bare);
    all.front().name = "control";
  }
  all.insert(all.begin(), std::move(bare));
  return all;
}

Visit visit_of(const FanResult& result) {
  return {result.per_second(), result.server_us_each(), result.client_busy, result.frame_bytes};
}

double ms(std::chrono::nanoseconds time) noexcept {
  return std::chrono::duration<double, std::milli>(time).count();
}

class Fanout {
 public:
  Fanout(const CompareOptions& options, std::size_t descriptors)
      : options_(options), descriptors_(descriptors) {}

  void run() {
    Contest plain(beside_send(options_), options_);
    for (const Row& row : plain_rows) run_row(plain, row, PayloadKind::binary);
    const TemporaryCertificate certificate;
    Contest tls(
        fan_entrants(options_, {"--cert", certificate.certificate(), "--key", certificate.key()}),
        options_);
    run_row(tls, tls_row, PayloadKind::binary);
    Contest deflate(fan_entrants(options_, {"--deflate-level", std::to_string(deflate_level)}),
                    options_);
    run_row(deflate, deflate_row, PayloadKind::json);
    run_beside();
    run_subscriptions();
  }

 private:
  bool is_wanted_and_possible(std::string_view row, std::size_t subscribers) const {
    if (!is_wanted(row, options_)) return false;
    if (subscribers + other_descriptors <= descriptors_) return true;
    std::fprintf(stderr, "%s: left out, the hard limit of descriptors is %zu\n",
                 std::string(row).c_str(), descriptors_);
    return false;
  }

  void run_row(Contest& contest, const Row& row, PayloadKind kind) {
    if (!is_wanted_and_possible(row.name, row.subscribers)) return;
    const std::string name(row.name);
    print(name, contest.run_row(name, [&](const Entrant& entrant, const ServerProcess& server) {
      FanLoad load({.url = route_of(server.url(), "/fanout"),
                    .subscribers = row.subscribers,
                    .size = row.size,
                    .in_flight = row.in_flight,
                    .at_once = row.at_once,
                    .kind = kind,
                    .deflate = kind == PayloadKind::json,
                    .warm_up = entrant.warm_up,
                    .duration = options_.duration,
                    .server = server.pid()});
      return visit_of(load.run());
    }));
  }

  void print(const std::string& workload, const std::vector<Standing>& standings) {
    if (!options_.json && !std::exchange(head_printed_, true)) {
      std::puts(
          "us each: CPU time of the server for one delivery. x first: the median of its ratios");
      std::puts("to the first server of the row in the same repetition; below 1 is better.");
      std::printf("%-24s %-11s %12s %9s %8s %7s %6s\n", "subscribers, message", "server",
                  "deliveries/s", "us each", "x first", "bytes", "client");
    }
    for (const Standing& standing : standings) {
      if (standing.left_out.empty()) {
        print_row(workload, standing, standings.front().visits);
      } else {
        print_left_out(workload, standing, options_.json);
      }
    }
    std::fflush(stdout);
  }

  void print_row(const std::string& workload, const Standing& standing, const Visits& first) const {
    const Visits& visits = standing.visits;
    const char* const server = standing.entrant->name.c_str();
    const double ratio = median_ratio(visits, first, us_of);
    const std::size_t bytes = visits.front().reply_bytes;
    if (options_.json) {
      std::printf(R"({"workload":"%s","server":"%s","repetitions":%zu,"per_second":%.1f,)"
                  R"("us":%.4f,"us_ratio":%.4f,"bytes":%zu,"client_busy":%.3f})"
                  "\n",
                  workload.c_str(), server, visits.size(), median_of(visits, rate_of),
                  median_of(visits, us_of), ratio, bytes, median_of(visits, busy_of));
    } else {
      std::printf("%-24s %-11s %12s %9.3f %8.2f %7zu %s\n", workload.c_str(), server,
                  count_text(median_of(visits, rate_of)).c_str(), median_of(visits, us_of), ratio,
                  bytes, busy_text(visits).c_str());
    }
  }

  // With real-time priority the bystander comes before the fan-out on their core.
  void run_beside() {
    if (!is_wanted_and_possible(beside_name, beside_subscribers)) return;
    if (options_.realtime) set_realtime(2);
    if (!options_.json) {
      std::printf(
          "\nA bystander sends 64 B every 2 ms, while %zu subscribers receive 100 B every %lld "
          "ms.\n",
          beside_subscribers, static_cast<long long>(beside_every.count()));
      std::printf("%-24s %-11s %9s %9s %9s %11s\n", "", "server", "p50 ms", "p99 ms", "max ms",
                  "growth KiB");
    }
    Progress progress;
    for (const Entrant& entrant : fan_entrants(options_, {})) {
      progress.show(std::string(beside_name) + ", " + entrant.name);
      try {
        measure_beside(entrant, progress);
      } catch (const std::exception& error) {
        if (!entrant.may_fail) throw;
        progress.wipe();
        print_left_out(std::string(beside_name), {.entrant = &entrant, .left_out = error.what()},
                       options_.json);
      }
    }
  }

  void measure_beside(const Entrant& entrant, Progress& progress) const {
    const ServerProcess server(entrant.command, entrant.core, options_.realtime);
    FanProcess fan({.url = route_of(server.url(), "/fanout"), .subscribers = beside_subscribers},
                   beside_every, client_core, options_.realtime);
    Bystander bystander(Target::parse(server.url()));
    std::this_thread::sleep_for(beside_every);  // so that the server rests
    forget_peak_resident_bytes(server.pid());
    const std::size_t before = resident_bytes(server.pid());
    fan.begin();
    const Wait wait = bystander.watch(beside_duration);
    const std::size_t peak = peak_resident_bytes(server.pid());
    progress.wipe();
    const std::size_t growth = (peak - std::min(peak, before)) / 1024;
    std::printf(options_.json ? R"({"workload":"%s","server":"%s","p50_ms":%.3f,"p99_ms":%.3f,)"
                                R"("max_ms":%.3f,"growth_kib":%zu})"
                                "\n"
                              : "%-24s %-11s %9.2f %9.2f %9.2f %11zu\n",
                std::string(beside_name).c_str(), entrant.name.c_str(), ms(wait.latency.p50),
                ms(wait.latency.p99), ms(wait.latency.max), growth);
    std::fflush(stdout);
  }

  void run_subscriptions() const {
    if (!is_wanted_and_possible(subscriptions_name, subscribing_connections)) return;
    for (const Entrant& entrant : entrants(options_, {})) {
      if (entrant.may_fail) continue;  // a rival
      const ServerProcess server(entrant.command, entrant.core, options_.realtime);
      const std::size_t bytes = subscriptions_bytes({.url = route_of(server.url(), "/many"),
                                                     .connections = subscribing_connections,
                                                     .server = server.pid()});
      std::printf(options_.json ? R"({"workload":"%s","server":"%s","bytes":%zu})"
                                  "\n"
                                : "\n%s on 100 000 topics, %s: %zu bytes of resident memory\n",
                  std::string(subscriptions_name).c_str(), entrant.name.c_str(), bytes);
    }
  }

  const CompareOptions& options_;
  std::size_t descriptors_;
  bool head_printed_ = false;
};

}  // namespace

int run_fanout(const CompareOptions& asked) {
  CompareOptions options = asked;
  if (options.servers.empty()) options.servers.push_back(beside_this_program("tern_fanout"));
  const std::size_t descriptors = prepare(options);
  Fanout(options, descriptors).run();
  return 0;
}

}  // namespace tern::bench
