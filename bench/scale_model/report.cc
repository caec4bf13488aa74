// Makes the tables from the model. A test compares them with the page.
#include "scale_model/report.h"

#include "tern/client.h"
#include "tern/server.h"

#include "scale_model/placement.h"
#include "scale_model/text.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace tern::bench {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

// net.core.somaxconn of Linux; each worker has a queue of this length. A machine has a worker for
// each core.
constexpr double backlog = 4'096;

std::string row(std::initializer_list<std::string> cells) {
  std::string line = "|";
  for (const std::string& cell : cells) line += ' ' + cell + " |";
  return line + '\n';
}

std::string head(std::initializer_list<std::string> cells) {
  std::string line = row(cells) + '|';
  for (std::size_t i = 0; i < cells.size(); ++i) line += "---|";
  return line + '\n';
}

std::string gib(double bytes) { return fixed(bytes / (1 << 30), 1) + " GiB"; }
std::string count(double value) { return three_digits(value); }
std::string wire(bool tls) { return tls ? "wss" : "ws"; }
std::string time(nanoseconds value) {
  const double s = std::chrono::duration<double>(value).count();
  return s < 1 ? count(s * 1e3) + " ms" : fixed(s, 1) + " s";
}

std::string machines_table(const std::vector<Planned>& all) {
  std::string text = head({"load", "", "machines", "by", "connections", "cores busy", "memory",
                           "of it the kernel's", "deliveries/s", "MB/s"});
  for (const auto& [load, each] : all) {
    text += row({std::string(load.name), wire(load.tls), std::to_string(each.machines),
                 std::string(name_of(each.decider)), spaced(each.connections), count(each.cores),
                 gib(each.memory_bytes()), gib(each.kernel_bytes), count(each.deliveries),
                 count(each.wire_bytes / 1e6)});
  }
  return text;
}

std::string broker_table(const std::vector<Planned>& all) {
  std::string text = head({"load", "machines", "publications/s", "machines that receive one",
                           "deliveries/s of the broker", "its cores", "a bridge, cores"});
  for (const auto& [load, each] : all) {
    if (!load.tls) continue;
    text += row({std::string(load.name), std::to_string(each.machines), count(each.broker_in),
                 count(each.broker_out / each.broker_in), count(each.broker_out),
                 count(each.broker_cores), count(each.bridge_cores)});
  }
  return text;
}

std::string interest_table(double connections) {
  std::string text =
      head({"subscribers of a topic", "machines", "receive one, by the formula", "simulated"});
  for (const std::size_t members : {2u, 10u, 50u, 1'000u}) {
    for (const std::uint32_t machines : {8u, 32u}) {
      const auto topics = static_cast<std::size_t>(connections) / members;
      const Placement placed = place_at_random(topics, members, machines);
      text += row({spaced(static_cast<double>(members)), std::to_string(machines),
                   count(interested(static_cast<double>(members), machines)),
                   count(placed.interested)});
    }
  }
  return text;
}

std::string storm_table(const Planned& planned, const Figures& figures, const Machine& machine) {
  std::string text = head({"event", "clients", "attempts/s, most", "half back", "99 %", "all",
                           "longest queue", "lost SYNs", "failed attempts"});
  for (const auto& [name, storm] : events_of(planned, figures, machine)) {
    const StormResult result = ride_out(storm);
    text += row({std::string(name), spaced(static_cast<double>(storm.clients)),
                 count(static_cast<double>(result.most_in_100_ms) * 10), time(result.half),
                 time(result.nearly_all), time(result.all), time(result.longest_queue),
                 spaced(static_cast<double>(result.lost_syns)),
                 spaced(static_cast<double>(result.failed))});
  }
  return text;
}

std::string rolling_table(double connections) {
  std::string text = head({"machines", "balancer", "time", "moves of a client", "by the formula",
                           "fullest machine", "by the formula"});
  for (const std::uint32_t machines : {4u, 8u, 32u}) {
    for (const Balancer balancer : {Balancer::random, Balancer::least_connections}) {
      const RollingDeploy deploy{.balancer = balancer,
                                 .machines = machines,
                                 .clients = static_cast<std::size_t>(connections)};
      const RollingResult simulated = roll(deploy);
      const RollingResult sums = rolling_formula(deploy);
      text += row({std::to_string(machines), std::string(name_of(balancer)),
                   fixed(simulated.seconds / 60, 1) + " min", fixed(simulated.moves, 2),
                   fixed(sums.moves, 2), fixed(simulated.largest, 2), fixed(sums.largest, 2)});
    }
  }
  return text;
}

}  // namespace

std::vector<Workload> loads_of(double connections) {
  std::vector<Workload> loads;
  const double minute = 60;
  for (const bool tls : {true, false}) {
    loads.push_back({.name = "notes for each user",
                     .tls = tls,
                     .connections = connections,
                     .topics = connections,
                     .feed = connections / minute});
    loads.push_back({.name = "rooms of 50",
                     .tls = tls,
                     .connections = connections,
                     .topics = connections / 50,
                     .sends = 1 / (2 * minute)});
    loads.push_back({.name = "busy rooms of 50",
                     .tls = tls,
                     .connections = connections,
                     .topics = connections / 50,
                     .sends = 0.1});
    loads.push_back(
        {.name = "one event for all", .tls = tls, .connections = connections, .feed = 2});
  }
  return loads;
}

std::vector<Planned> plan_all(const std::vector<Workload>& loads, const Figures& figures,
                              const Machine& machine) {
  std::vector<Planned> all;
  for (const Workload& load : loads) all.push_back({load, plan(load, figures, machine)});
  return all;
}

std::vector<Event> events_of(const Planned& planned, const Figures& figures,
                             const Machine& machine) {
  const Workload& load = planned.load;
  const Plan& each = planned.plan;
  const Retry retry;
  const client::BackoffOptions usual{.first = retry.first,
                                     .first_after_end = retry.first_after_end,
                                     .most = retry.most,
                                     .stable = retry.stable};
  const auto all = static_cast<std::size_t>(load.connections);
  const std::size_t one = all / each.machines;
  const auto machines = static_cast<std::uint32_t>(each.machines);
  const auto cost = [&](double busy, const Machine& on) {
    return nanoseconds(std::llround(1e9 * coming_back_each(load, figures, on, on.cores - busy)));
  };
  // The others carry the load of the lost machine, too. After the end of all there is no load.
  const auto left = cost(share_of(load, figures, each.machines - 1).cores, machine);
  const auto waiting = static_cast<std::size_t>(backlog * machine.cores);
  const Storm lost{
      .clients = one, .machines = machines - 1, .each = left, .waiting = waiting, .retry = usual};
  Storm unplugged = lost;
  unplugged.first_end = seconds(20);  // Timeouts::silence, then up to Timeouts::pong
  unplugged.last_end = seconds(40);
  Storm drained = lost;
  drained.last_end = seconds(30);  // Drain::spread
  Storm whole{.clients = all,
              .machines = machines,
              .each = cost(0, machine),
              .waiting = waiting,
              .retry = usual};
  Storm closed = whole;
  closed.last_end = seconds(5);  // gap_spread
  Storm slower = whole;
  slower.retry.first_after_end = seconds(30);
  Machine usual_server = machine;
  usual_server.unfinished = static_cast<double>(ServerOptions{}.max_unfinished_handshakes);
  Storm fewer = whole;
  fewer.each = cost(0, usual_server);
  Storm at_once = whole;
  at_once.jitter = false;
  return {{"a machine drains", drained},
          {"a process is killed", lost},
          {"a machine loses its power", unplugged},
          {"all processes are killed", whole},
          {"the same, first_after_end 30 s", slower},
          {"the same, 1024 unfinished handshakes", fewer},
          {"the same, clients without jitter", at_once},
          {"a bridge closes all after a gap", closed}};
}

std::string report(const Figures& figures, const Machine& machine, double connections) {
  const std::vector<Planned> all = plan_all(loads_of(connections), figures, machine);
  const Planned& rooms = all[1];
  return "Machines\n\n" + machines_table(all) + "\nThe broker\n\n" + broker_table(all) +
         "\nInterest\n\n" + interest_table(connections) + "\nStorms\n\n" +
         storm_table(rooms, figures, machine) + "\nRolling deploy\n\n" + rolling_table(connections);
}

std::string figures_table(const Figures& figures) {
  std::string text = head({"figure", "value", "source"});
  for (const FigureRow& each : rows_of(figures)) {
    text += row({std::string(each.name), each.value, std::string(each.source)});
  }
  return text;
}

}  // namespace tern::bench
