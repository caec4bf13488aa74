// Prints two figures for each state. "All" is the growth since the time before the first
// connection, divided by all connections. It includes buffers, tables and pools that exist once.
// "Slope" is the growth since the base, divided by the connections after it: the cost of one more
// connection.
#include "throughput/idle.h"

#include "throughput/frames.h"
#include "throughput/progress.h"
#include "throughput/system.h"
#include "throughput/upgrade.h"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace tern::bench {
namespace {

constexpr int most_sources = 8;
constexpr std::size_t show_every = 256;

struct Growth {
  double all = 0;
  double slope = 0;
};

class Idle {
 public:
  explicit Idle(const IdleOptions& options)
      : options_(options), target_(Target::parse(options.url)) {
    const std::size_t most = options.base + options.connections;
    if (raise_descriptor_limit() < most + 16) {
      throw std::runtime_error("the hard limit of descriptors is below " + std::to_string(most));
    }
    if (source_of(most) > most_sources)
      throw std::runtime_error("too many connections for the source addresses");
  }

  void open(std::size_t connections) {
    while (sockets_.size() < connections) {
      sockets_.push_back(connect_and_upgrade(target_, source_of(sockets_.size())));
      reset_on_close(sockets_.back().socket());
      if (sockets_.size() % show_every == 0) show(sockets_.size(), "connections");
    }
  }

  // One connection at a time waits for its reply, so no message is in flight at the end.
  void echo_on_each() {
    const std::string payload = make_payload(PayloadKind::binary, options_.size);
    const auto request = make_frame(frame::Opcode::binary, payload, frame::Masking::masked);
    const auto reply = make_frame(frame::Opcode::binary, payload, frame::Masking::unmasked);
    std::size_t echoes = 0;
    for (Wire& wire : sockets_) {
      if (wire.send(request) != static_cast<ssize_t>(request.size())) throw_errno("send");
      receive(wire, reply);
      if (++echoes % show_every == 0) show(echoes, "echoes");
    }
    progress_.wipe();
  }

  // The server may still be freeing memory of the last one.
  std::size_t resident() const {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return resident_bytes(options_.server);
  }

 private:
  static void receive(Wire& wire, const std::vector<std::byte>& expected) {
    std::vector<std::byte> got(expected.size());
    for (std::size_t size = 0; size < got.size();) {
      size += receive_waiting(wire, std::span(got).subspan(size));
    }
    if (got != expected) throw std::runtime_error("a reply is not the echo of what was sent");
  }

  void show(std::size_t done, const std::string& of_what) {
    progress_.show(std::to_string(done) + " of " +
                   std::to_string(options_.base + options_.connections) + " " + of_what);
  }

  const IdleOptions& options_;
  Target target_;
  Progress progress_{};
  std::vector<Wire> sockets_{};
};

double per(std::size_t after, std::size_t before, std::size_t connections) noexcept {
  return (static_cast<double>(after) - static_cast<double>(before)) /
         static_cast<double>(connections);
}

}  // namespace

int print_idle(const IdleOptions& options, bool json) {
  Idle idle(options);
  const std::size_t all = options.base + options.connections;
  const std::size_t before = idle.resident();
  idle.open(options.base);
  const std::size_t at_base = idle.resident();
  const auto began = Clock::now();
  idle.open(all);
  const double seconds = Seconds(Clock::now() - began).count();
  const std::size_t opened = idle.resident();
  idle.echo_on_each();
  const std::size_t echoed = idle.resident();

  const Growth open{per(opened, before, all), per(opened, at_base, options.connections)};
  const Growth echo{per(echoed, before, all), per(echoed, at_base, options.connections)};
  if (json) {
    std::printf(R"({"connections":%zu,"base":%zu,"resident_before":%zu,"resident_open":%zu,)"
                R"("resident_echoed":%zu,"bytes_all":%.1f,"bytes_slope":%.1f,)"
                R"("bytes_all_echoed":%.1f,"bytes_slope_echoed":%.1f})"
                "\n",
                all, options.base, before, opened, echoed, open.all, open.slope, echo.all,
                echo.slope);
    return 0;
  }
  std::printf("resident: %zu KiB before, %zu KiB with %zu connections, %zu KiB with %zu\n",
              before / 1024, at_base / 1024, options.base, opened / 1024, all);
  std::printf("a connection: %.0f B of all, %.0f B of those after the first %zu\n", open.all,
              open.slope, options.base);
  std::printf("after an echo of %zu B on each: %.0f B of all, %.0f B after the first %zu\n",
              options.size, echo.all, echo.slope, options.base);
  std::printf("opening one by one: %.1f us each\n",
              seconds * 1e6 / static_cast<double>(options.connections));
  return 0;
}

}  // namespace tern::bench
