// The common part of the client programs of tern and of other libraries: the command line and the
// two lines that they print. `tern-bench clients` reads these lines.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <time.h>

namespace tern::bench {

struct ClientOptions {
  std::string url{};
  std::size_t connections = 1;
  std::size_t depth = 1;  ///< messages in flight on each
  std::size_t size = 64;  ///< bytes of a message
  double seconds = 1;     ///< of the measurement, after the warm-up
  bool content = true;    ///< compare the content of a sample of replies
};

/// The parts of "ws://host:port/target".
struct Address {
  std::string host{};
  std::string port{};
  std::string target{};

  /// Throws std::runtime_error.
  static Address of(std::string_view url) {
    constexpr std::string_view scheme = "ws://";
    const std::size_t slash = url.find('/', scheme.size());
    const std::size_t colon = url.find(':', scheme.size());
    if (!url.starts_with(scheme) || slash == url.npos || colon > slash) {
      throw std::runtime_error("not ws://host:port/path: " + std::string(url));
    }
    return {.host = std::string(url.substr(scheme.size(), colon - scheme.size())),
            .port = std::string(url.substr(colon + 1, slash - colon - 1)),
            .target = std::string(url.substr(slash))};
  }
};

/// The message that is sent, and the check of its reply.
class Payload {
 public:
  explicit Payload(const ClientOptions& options) : content_(options.content) {
    for (std::size_t i = 0; i < options.size; ++i) bytes_ += static_cast<char>(i * 37 + i / 256);
  }

  std::string_view bytes() const noexcept { return bytes_; }
  /// Checks the length of each reply and the content of every 64th. `number` counts the replies
  /// before it. Throws std::runtime_error.
  void check(std::string_view reply, bool is_binary, std::uint64_t number) const {
    const bool sampled = content_ && number % 64 == 0;
    if (!is_binary || reply.size() != bytes_.size() || (sampled && reply != bytes_)) {
      throw std::runtime_error("a reply is not what was sent");
    }
  }

 private:
  std::string bytes_{};
  bool content_;
};

/// The measurement of a client. It prints a line when it begins, so that the parent can read the
/// server's CPU time at its beginning and its end. The second line contains the result.
class Measurement {
 public:
  explicit Measurement(const ClientOptions& options)
      : in_flight_(options.connections * options.depth), duration_(options.seconds) {}

  /// Call it again and again once all connections are open, with the number of replies so far.
  /// Returns true at the end of the measurement. The warm-up lasts until the number of
  /// replies reaches the number of messages in flight, at most 2 s. The measurement lasts until at
  /// least one reply came, because on a machine with other work a short time may have none. Throws
  /// std::runtime_error when none comes for five seconds.
  bool is_over(std::uint64_t replies) {
    const double at = now(CLOCK_MONOTONIC);
    if (began_ == 0) began_ = at;
    if (!measures_) {
      const double warm = at - began_;
      if (warm >= 2 || (warm >= 0.2 && replies >= in_flight_)) begin(replies);
      return false;
    }
    if (at < at_ + duration_) return false;
    if (replies > replies_) return end(replies), true;
    if (at > at_ + duration_ + 5) throw std::runtime_error("no reply for five seconds");
    return false;
  }

  static constexpr std::chrono::milliseconds interval{5};  ///< between two calls

 private:
  void begin(std::uint64_t replies) {
    std::puts("measuring");
    std::fflush(stdout);
    measures_ = true;
    replies_ = replies;
    cpu_ = now(CLOCK_PROCESS_CPUTIME_ID);
    at_ = now(CLOCK_MONOTONIC);
  }

  void end(std::uint64_t replies) const {
    const double seconds = now(CLOCK_MONOTONIC) - at_;
    const double cpu_seconds = now(CLOCK_PROCESS_CPUTIME_ID) - cpu_;
    std::printf(R"({"messages":%llu,"seconds":%.6f,"cpu_seconds":%.6f})"
                "\n",
                static_cast<unsigned long long>(replies - replies_), seconds, cpu_seconds);
    std::fflush(stdout);
  }

  static double now(clockid_t clock) noexcept {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  }

  std::uint64_t in_flight_;
  double duration_;
  double began_ = 0;  // of the warm-up
  bool measures_ = false;
  std::uint64_t replies_ = 0;
  double cpu_ = 0;
  double at_ = 0;
};

/// The main() of a client. `run` takes the options, and throws on an error.
template <class F>
int client_main(int argc, char** argv, const std::string& name, F&& run) {
  ClientOptions options;
  CLI::App app("Puts echo load on a WebSocket server.", name);
  app.option_defaults()->always_capture_default();
  app.add_option("url", options.url, "ws://host:port/path")->required();
  app.add_option("--connections", options.connections)->check(CLI::PositiveNumber);
  app.add_option("--depth", options.depth, "messages in flight on each")
      ->check(CLI::PositiveNumber);
  app.add_option("--size", options.size, "bytes of a message")->check(CLI::PositiveNumber);
  app.add_option("--seconds", options.seconds, "to measure, after a warm-up of 0.2 s")
      ->check(CLI::PositiveNumber);
  app.add_flag("!--no-content", options.content,
               "do not compare contents: the ceiling does not echo them");
  CLI11_PARSE(app, argc, argv);
  try {
    run(options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
    return 1;
  }
}

}  // namespace tern::bench
