// Three tables for each broker. In the first one publications go through as fast as the slowest
// part takes them: from the broker to a subscriber, from a publisher to the broker, and from a
// publisher of one process to a subscriber of another. The CPU time of a bridge is that of all
// threads of its process but the first, which is the only loop.
//
// The second one has the time of one publication until the last subscriber has it, in one process
// without a bridge, and through the broker.
//
// The third one has the longest time that publish() took on the loop while the broker works, is
// stopped, is killed, and was never there. The CPU time of a call has that of the interrupts that
// came meanwhile, so it is to be compared with that of a loop that calls nothing. The number of
// times that the thread slept must be 0.
#include "throughput/bridge.h"

#include "throughput/bridge_load.h"
#include "throughput/broker.h"
#include "throughput/contest.h"
#include "throughput/fan_load.h"
#include "throughput/frames.h"
#include "throughput/progress.h"
#include "throughput/reply.h"
#include "throughput/server_process.h"
#include "throughput/upgrade.h"
#include "throughput/visits.h"

#include <array>
#include <cstdio>
#include <fcntl.h>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tern::bench {
namespace {

constexpr std::string_view topic = "all";
constexpr std::string_view prefix = "bench.";
constexpr std::size_t size = 100;
constexpr std::size_t in_flight = 8'192;
constexpr std::size_t at_once = 64;
constexpr std::size_t many = 1'000;  // subscribers of a process
constexpr std::size_t processes = 3;
constexpr std::chrono::milliseconds pause_time{3'000};

std::string channel() { return std::string(prefix) + std::string(topic); }

// No program listens on port 1.
std::string nowhere(BrokerKind kind) {
  return kind == BrokerKind::nats ? "nats://127.0.0.1:1" : "redis://127.0.0.1:1";
}

std::string payload() { return make_payload(PayloadKind::ascii, size); }

Source publisher_at(const std::string& url, const std::string& route = "/publish") {
  const Wire wire = connect_and_upgrade(Target::parse(route_of(url, route)));
  reset_on_close(wire.socket());
  return {.socket = net::Fd(::fcntl(wire.socket(), F_DUPFD_CLOEXEC, 0)),
          .request = make_frame(frame::Opcode::text, payload(), frame::Masking::masked)};
}

void add_subscribers(std::vector<net::Fd>& all, const std::string& url, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    Wire wire =
        connect_and_upgrade(Target::parse(route_of(url, "/subscribe")), source_of(all.size()));
    reset_on_close(wire.socket());
    // The answer says that the subscription exists; the broker confirms it a moment later.
    send_waiting(wire, make_frame(frame::Opcode::text, "?", frame::Masking::masked));
    read_reply(wire, "?", true);
    all.emplace_back(::fcntl(wire.socket(), F_DUPFD_CLOEXEC, 0));
  }
}

// CPU times at the beginning and at the end of a measurement.
class Clocks {
 public:
  explicit Clocks(std::vector<pid_t> servers, pid_t broker)
      : servers_(std::move(servers)), broker_(broker) {}

  void operator()() {
    begin_ = std::exchange(end_, Times{});
    if (broker_ != 0) end_.broker = cpu_time(broker_);
    for (const pid_t each : servers_) {
      end_.all.push_back(cpu_time(each));
      end_.loop.push_back(thread_cpu_time(each, each));
    }
  }
  double broker_us() const { return us(end_.broker - begin_.broker); }
  double loop_us(std::size_t server) const { return us(end_.loop[server] - begin_.loop[server]); }
  double bridge_us(std::size_t server) const {
    return us(end_.all[server] - begin_.all[server]) - loop_us(server);
  }

 private:
  struct Times {
    std::chrono::nanoseconds broker{};
    std::vector<std::chrono::nanoseconds> all{};
    std::vector<std::chrono::nanoseconds> loop{};
  };

  static double us(std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::micro>(time).count();
  }

  std::vector<pid_t> servers_;
  pid_t broker_;
  Times begin_{};
  Times end_{};
};

class BridgeBench {
 public:
  explicit BridgeBench(const CompareOptions& options) : options_(options) {}

  void run(BrokerKind kind) {
    kind_ = kind;
    print_head();
    run_from_broker();
    run_to_broker();
    run_between();
    run_fan_out();
    run_worst();
  }

 private:
  std::vector<std::string> command(const std::string& url) const {
    std::vector<std::string> words{options_.servers.front(), "--port", "0"};
    if (!url.empty()) words.insert(words.end(), {"--broker", url, "--prefix", std::string(prefix)});
    return words;
  }
  std::unique_ptr<ServerProcess> server(const std::string& url, int core = any_core) const {
    return std::make_unique<ServerProcess>(command(url), core, options_.realtime);
  }
  bool wanted(std::string_view row) const {
    return is_wanted(std::string(to_string(kind_)) + ", " + std::string(row), options_);
  }
  BridgeLoadOptions flood() const {
    return {.in_flight = in_flight, .at_once = at_once, .duration = options_.duration};
  }

  void print_head() const {
    if (options_.json) return;
    std::printf("\n%s. Publications of %zu B; us of CPU for one of them.\n",
                std::string(to_string(kind_)).c_str(), size);
    std::printf("%-34s %12s %8s %8s %8s %6s\n", "", "publ./s", "bridge", "loop", "broker", "lost");
  }

  // `shown`: the process whose CPU the row has.
  void print(std::string_view row, const BridgeLoadResult& result, const Clocks& clocks,
             std::size_t shown) const {
    const auto each = static_cast<double>(result.publications);
    std::printf(options_.json ? R"({"broker":"%s","row":"%s","per_second":%.0f,"bridge_us":%.3f,)"
                                R"("loop_us":%.3f,"broker_us":%.3f,"lost":%llu})"
                                "\n"
                              : "%.0s%-34s %12.0f %8.2f %8.2f %8.2f %6llu\n",
                std::string(to_string(kind_)).c_str(), std::string(row).c_str(),
                result.per_second(), clocks.bridge_us(shown) / each, clocks.loop_us(shown) / each,
                clocks.broker_us() / each, static_cast<unsigned long long>(result.lost));
    std::fflush(stdout);
  }

  void run_from_broker() const {
    constexpr std::string_view row = "from the broker to a subscriber";
    if (!wanted(row)) return;
    const Broker broker(kind_, any_core, options_.realtime);
    const auto one = server(broker.url());
    std::vector<net::Fd> sinks;
    add_subscribers(sinks, one->url(), 1);
    BridgeLoad load({connect_to(broker), publication(kind_, channel(), payload())},
                    std::move(sinks));
    Clocks clocks({one->pid()}, broker.pid());
    print(row, load.run(flood(), std::ref(clocks)), clocks, 0);
  }

  void run_to_broker() const {
    constexpr std::string_view row = "from a publisher to the broker";
    if (!wanted(row)) return;
    const Broker broker(kind_, any_core, options_.realtime);
    const auto one = server(broker.url());
    std::vector<net::Fd> sinks;
    sinks.push_back(subscribe_to(broker, channel()));
    BridgeLoad load(publisher_at(one->url()), std::move(sinks));
    Clocks clocks({one->pid()}, broker.pid());
    print(row, load.run(flood(), std::ref(clocks)), clocks, 0);
  }

  void run_between() const {
    constexpr std::string_view row = "from a process to another";
    if (!wanted(row)) return;
    const Broker broker(kind_, any_core, options_.realtime);
    const auto from = server(broker.url());
    const auto to = server(broker.url());
    std::vector<net::Fd> sinks;
    add_subscribers(sinks, to->url(), 1);
    BridgeLoad load(publisher_at(from->url()), std::move(sinks));
    Clocks clocks({from->pid(), to->pid()}, broker.pid());
    const BridgeLoadResult result = load.run(flood(), std::ref(clocks));
    print("between processes, the publisher's", result, clocks, 0);
    print("between processes, the subscriber's", result, clocks, 1);
  }

  void run_fan_out() const {
    if (!wanted("until the last subscriber")) return;
    if (!options_.json) {
      std::printf("\n%-34s %9s %9s %12s\n", "one at a time, until the last", "p50 ms", "p99 ms",
                  "us a delivery");
    }
    fan_out("one process, 1 subscriber", 0, 1);
    fan_out("the same, through the broker", 1, 1);
    fan_out("one process, 1000 subscribers", 0, many);
    fan_out("the same, through the broker", 1, many);
    fan_out("3 processes, 1000 subscribers each", processes, many);
  }

  // `bridged`: the number of processes; 0: one without a bridge.
  void fan_out(const char* row, std::size_t bridged, std::size_t subscribers) const {
    std::optional<Broker> broker;
    if (bridged != 0) broker.emplace(kind_, any_core, options_.realtime);
    std::vector<std::unique_ptr<ServerProcess>> all;
    std::vector<net::Fd> sinks;
    std::vector<pid_t> pids;
    for (std::size_t i = 0; i < std::max<std::size_t>(bridged, 1); ++i) {
      all.push_back(server(broker ? broker->url() : std::string()));
      pids.push_back(all.back()->pid());
      add_subscribers(sinks, all.back()->url(), subscribers);
    }
    const auto total = static_cast<double>(sinks.size());
    BridgeLoad load(publisher_at(all.front()->url()), std::move(sinks));
    Clocks clocks(pids, broker ? broker->pid() : 0);
    const BridgeLoadResult result = load.run({.duration = options_.duration}, std::ref(clocks));
    double cpu = 0;
    for (std::size_t i = 0; i < pids.size(); ++i) cpu += clocks.loop_us(i) + clocks.bridge_us(i);
    const auto ms = [](std::chrono::nanoseconds time) {
      return std::chrono::duration<double, std::milli>(time).count();
    };
    std::printf(options_.json ? R"({"broker":"%s","row":"%s","p50_ms":%.4f,"p99_ms":%.4f,)"
                                R"("us_each":%.3f})"
                                "\n"
                              : "%.0s%-34s %9.3f %9.3f %12.2f\n",
                std::string(to_string(kind_)).c_str(), row, ms(result.latency.p50),
                ms(result.latency.p99), cpu / (static_cast<double>(result.publications) * total));
    std::fflush(stdout);
  }

  void run_worst() const {
    if (!wanted("publish() on the loop")) return;
    if (!options_.json) {
      std::printf("\n%-34s %6s %15s %23s %23s %6s %7s\n", "publish() on the loop, us", "calls",
                  "wall p99.9, max", "CPU p50, p99.9, max", "of an empty loop", "slept", "faults");
    }
    const auto alone = server({});
    std::vector<net::Fd> listeners;
    add_subscribers(listeners, alone->url(), 1);
    BridgeLoad local(publisher_at(alone->url(), "/timed"), std::move(listeners));
    worst("without a bridge", local, *alone);
    std::optional<Broker> broker(std::in_place, kind_, any_core, options_.realtime);
    const auto one = server(broker->url());
    std::vector<net::Fd> sinks;
    add_subscribers(sinks, one->url(), 1);
    BridgeLoad load(publisher_at(one->url(), "/timed"), std::move(sinks));
    worst("the broker works", load, *one);
    worst("the same, at full speed", *one, [&] { load.run(flood(), [] {}); });
    broker->pause();
    worst("it is stopped", load, *one);
    broker->resume();
    worst("it goes on", load, *one);
    broker->kill();
    worst("it is killed", load, *one);
    const auto lonely = server(nowhere(kind_));
    BridgeLoad other(publisher_at(lonely->url(), "/timed"), {});
    worst("it was never there", other, *lonely);
  }

  // More than the queue of a bridge takes.
  static void publish_a_thousand_a_second(BridgeLoad& load) {
    const auto end = Clock::now() + pause_time;
    while (Clock::now() < end) {
      load.publish();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  void worst(const char* row, BridgeLoad& load, const ServerProcess& server) const {
    worst(row, server, [&] { publish_a_thousand_a_second(load); });
  }
  template <class F>
  void worst(const char* row, const ServerProcess& server, F&& publish) const {
    Wire asking = connect_and_upgrade(Target::parse(route_of(server.url(), "/worst")));
    ask(asking);  // forgets what was before
    publish();
    std::istringstream answer(ask(asking));
    unsigned long long calls = 0;
    unsigned long long slept = 0;
    unsigned long long faults = 0;
    std::array<double, 8> us{};  // in the order of the columns
    answer >> calls;
    for (double& each : us) {
      answer >> each;
      each /= 1'000;
    }
    answer >> slept >> faults;
    std::printf(options_.json ? R"({"broker":"%s","row":"%s","calls":%llu,"p99_9_us":%.1f,)"
                                R"("max_us":%.1f,"cpu_p50_us":%.1f,"cpu_p99_9_us":%.1f,)"
                                R"("max_cpu_us":%.1f,"empty_p50_us":%.1f,"empty_p99_9_us":%.1f,)"
                                R"("empty_max_us":%.1f,"slept":%llu,"faults":%llu})"
                                "\n"
                              : "%.0s%-34s %6llu %7.1f %7.1f %7.1f %7.1f %7.1f %7.1f %7.1f %7.1f "
                                "%6llu %7llu\n",
                std::string(to_string(kind_)).c_str(), row, calls, us[0], us[1], us[2], us[3],
                us[4], us[5], us[6], us[7], slept, faults);
    std::fflush(stdout);
  }

  // A text of at most 125 bytes comes back in one frame with a header of two bytes.
  static std::string ask(Wire& wire) {
    send_waiting(wire, make_frame(frame::Opcode::text, "?", frame::Masking::masked));
    std::array<std::byte, 127> buffer;
    std::size_t got = 0;
    while (got < 2 || got < 2 + static_cast<std::size_t>(buffer[1])) {
      got += receive_waiting(wire, std::span(buffer).subspan(got));
    }
    return {reinterpret_cast<const char*>(buffer.data()) + 2, got - 2};
  }

  const CompareOptions& options_;
  BrokerKind kind_ = BrokerKind::nats;
};

}  // namespace

int run_bridge(const CompareOptions& asked) {
  CompareOptions options = asked;
  if (options.servers.empty()) options.servers.push_back(beside_this_program("tern_bridge"));
  for (const BrokerKind kind : {BrokerKind::nats, BrokerKind::redis}) {
    if (!program_of(kind)) {
      std::fprintf(stderr, "%s is not installed\n", std::string(to_string(kind)).c_str());
      continue;
    }
    BridgeBench(options).run(kind);
  }
  return 0;
}

}  // namespace tern::bench
