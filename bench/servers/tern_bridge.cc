// A server for `tern-bench bridge`. A connection on /subscribe has the topic, and its messages come
// back. The messages of a connection on /publish go to the topic. A message on /worst is answered
// with the times that publish() took since the last one.
#include "tern/tern.h"

#include "peers/options.h"
#include "throughput/latency.h"

#if TERN_BENCH_NATS
#include "tern/nats.h"
#endif
#if TERN_BENCH_REDIS
#include "tern/redis.h"
#endif

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <time.h>

namespace {

struct Options : peers::Options {
  std::string broker{};
  std::string prefix = "bench.";
};

struct Subscriber {
  void on_open(tern::Connection& conn) { conn.subscribe("all"); }
  void on_message(tern::Connection& conn, tern::Message msg) { conn.send(msg); }
};

// The kernel's counts of this thread.
struct Usage {
  std::uint64_t slept = 0;   // how often it waited for something
  std::uint64_t faults = 0;  // pages that were touched for the first time
};

Usage usage() noexcept {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return {static_cast<std::uint64_t>(usage.ru_nvcsw), static_cast<std::uint64_t>(usage.ru_minflt)};
}

// The times of publish() on the loop. The server has one worker.
struct Times {
  tern::bench::Latencies latencies{};
  tern::bench::Latencies cpu{};    // without the time in which the thread did not run
  tern::bench::Latencies empty{};  // the same of mix()
  Usage during{};
  std::uint64_t mixed = 1;
};

struct Publisher {
  void on_message(tern::Connection& conn, tern::Message msg) { conn.publish("all", msg); }
};

std::chrono::nanoseconds thread_time() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Takes about as long as a publish() that wakes a thread. Only interrupts make it longer.
std::uint64_t mix(std::uint64_t bits) noexcept {
  for (int i = 0; i < 3'000; ++i) {
    bits ^= bits << 13;
    bits ^= bits >> 7;
    bits ^= bits << 17;
  }
  return bits;
}

class TimedPublisher {
 public:
  explicit TimedPublisher(Times& times) : times_(times) {}
  void on_message(tern::Connection& conn, tern::Message msg) {
    const Usage before = usage();
    const auto cpu = thread_time();
    const auto begin = std::chrono::steady_clock::now();
    conn.publish("all", msg);
    times_.latencies.add(std::chrono::steady_clock::now() - begin);
    const auto end = thread_time();
    times_.cpu.add(end - cpu);
    const Usage after = usage();
    times_.during.slept += after.slept - before.slept;
    times_.during.faults += after.faults - before.faults;
    const auto empty = thread_time();
    times_.mixed = mix(times_.mixed);
    times_.empty.add(thread_time() - empty);
  }

 private:
  Times& times_;
};

class Worst {
 public:
  explicit Worst(Times& times) : times_(times) {}
  void on_message(tern::Connection& conn, tern::Message) {
    const auto ns = [](std::chrono::nanoseconds time) { return std::to_string(time.count()); };
    const auto summary = times_.latencies.summary();
    conn.send(std::to_string(times_.latencies.count()) + ' ' + ns(summary.p99_9) + ' ' +
              ns(summary.max) + ' ' + ns(times_.cpu.percentile(500)) + ' ' +
              ns(times_.cpu.percentile(999)) + ' ' + ns(times_.cpu.max()) + ' ' +
              ns(times_.empty.percentile(500)) + ' ' + ns(times_.empty.percentile(999)) + ' ' +
              ns(times_.empty.max()) + ' ' + std::to_string(times_.during.slept) + ' ' +
              std::to_string(times_.during.faults));
    times_ = {};
  }

 private:
  Times& times_;
};

// Returns false if the server cannot have such a bridge.
bool add_bridge([[maybe_unused]] tern::Server& server, const Options& options) {
#if TERN_BENCH_NATS
  if (options.broker.starts_with("nats://")) {
    server.bridge(tern::nats::Bridge({.servers = {options.broker}, .prefix = options.prefix}));
    return true;
  }
#endif
#if TERN_BENCH_REDIS
  if (options.broker.starts_with("redis://")) {
    server.bridge(tern::redis::Bridge({.address = options.broker, .prefix = options.prefix}));
    return true;
  }
#endif
  return options.broker.empty();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Topics that a bridge shares.", "tern_bridge");
  peers::add_options(app, options);
  app.add_option("--broker", options.broker, "nats://host:port or redis://host:port; empty: none");
  app.add_option("--prefix", options.prefix, "of subjects and channels");
  CLI11_PARSE(app, argc, argv);

  tern::ServerOptions made{.host = "127.0.0.1", .port = options.port, .stop_on = {SIGINT, SIGTERM}};
  made.timeouts.silence = made.timeouts.pong = std::chrono::hours(1);
  made.limits.max_queued_bytes = std::size_t{1} << 30;
  tern::Server server(std::move(made));
  if (!add_bridge(server, options)) {
    std::cerr << "tern_bridge: it was built without a bridge for " << options.broker << '\n';
    return 1;
  }
  Times times;
  server.route<Subscriber>("/subscribe");
  server.route<Publisher>("/publish");
  server.route<TimedPublisher>("/timed", std::ref(times));
  server.route<Worst>("/worst", std::ref(times));
  auto ran = server.listen();
  if (ran) {
    std::cout << "listening on ws://127.0.0.1:" << server.port() << "/echo" << std::endl;
    ran = server.run();
  }
  if (!ran) std::cerr << ran.error().message() << '\n';
  return ran ? 0 : 1;
}
