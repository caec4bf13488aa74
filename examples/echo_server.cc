// A WebSocket echo on /echo. On / a page that shows why WebSocket exists: it polls /time over HTTP
// and hears the same from /push, and counts what either costs.

#include "tern/server.h"

#include "cli.h"
#include "echo_page.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

namespace {

using namespace std::chrono_literals;

// A peer that does not read its echoes is not read either, until they are on their way.
struct Echo {
  void on_message(tern::Connection& conn, tern::Message msg) {
    if (conn.send(msg) == tern::SendStatus::congested) conn.pause();
  }
  void on_drain(tern::Connection& conn) { conn.resume(); }
};

// Microseconds since 1970.
std::string time_us() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(since_1970).count());
}

// Tells the time ten times a second. A peer that is slow to take it misses some, as the numbers
// show.
class Push {
 public:
  void on_open(tern::Connection& conn) {
    conn.every(100ms, [this](tern::Connection& self) {
      ++number_;
      const std::string news =
          R"({"number":)" + std::to_string(number_) + R"(,"time_us":)" + time_us() + '}';
      if (self.queued_bytes() < 4096) self.send(news);
    });
  }
  void on_message(tern::Connection&, tern::Message) {}

 private:
  std::uint64_t number_ = 0;
};

struct Arguments {
  tern::ServerOptions options{.host = "127.0.0.1", .port = 9001, .stop_on = {SIGINT, SIGTERM}};
  std::size_t queue_limit = 0;
  std::chrono::nanoseconds idle_timeout = options.timeouts.silence;
  bool any_origin = false;
  bool deflate = false;
  bool deflate_takeover = false;
  int deflate_level = tern::Deflate().level;
  std::optional<std::size_t> deflate_min_bytes{};
  tern::TlsServer tls{};
};

tern::ServerOptions parse(int argc, char** argv) {
  Arguments arguments;
  tern::ServerOptions& options = arguments.options;
  CLI::App app("WebSocket echo on /echo, a page on /.", "echo_server");
  app.option_defaults()->always_capture_default();
  app.add_option("--host", options.host, "numeric address to listen on")->check(cli::not_empty());
  app.add_option("--port", options.port, "0: the system chooses");
  app.add_option("--threads", options.threads, "worker loops")
      ->check(CLI::Range(1, 1024).description(""));
  cli::add_seconds(app, "--spin", options.spin,
                   "seconds to poll before a loop sleeps, on a core of its own");
  app.add_option("--max-message", options.limits.max_message_bytes, "bytes; beyond: close 1009")
      ->check(cli::positive());
  app.add_option("--max-fragments", options.limits.max_fragments,
                 "frames of one message; beyond: close 1008")
      ->check(cli::positive());
  app.add_option("--queue-limit", arguments.queue_limit,
                 "bytes that may wait for a slow peer; it is not read while a quarter does")
      ->check(cli::positive())
      ->default_str("1 MiB, or twice --max-message");
  cli::add_seconds(app, "--handshake-timeout", options.timeouts.handshake,
                   "seconds from accept to upgrade");
  cli::add_seconds(app, "--idle-timeout", arguments.idle_timeout,
                   "seconds of silence before a ping, and again for any answer");
  app.add_flag("--any-origin", arguments.any_origin, "let pages of other sites connect");
  app.add_flag("--deflate", arguments.deflate, "accept compression (permessage-deflate)");
  app.add_flag("--deflate-takeover", arguments.deflate_takeover,
               "the same, with context takeover: smaller messages, 301 KiB a connection");
  const auto* const min_bytes =
      app.add_option("--deflate-min-bytes", arguments.deflate_min_bytes,
                     "the same; messages of fewer bytes are sent as they are")
          ->check(cli::not_negative())
          ->default_str("0 with takeover, else 1024");
  const auto* const level = app.add_option("--deflate-level", arguments.deflate_level,
                                           "the same, from 1 (fastest) to 9 (smallest)")
                                ->check(CLI::Range(1, 9).description(""));
  CLI::Option* certificate =
      app.add_option("--cert", arguments.tls.certificate,
                     "PEM file with a certificate: serve wss:// and https://")
          ->check(cli::not_empty());
  app.add_option("--key", arguments.tls.private_key, "PEM file with its key; default: beside it")
      ->check(cli::not_empty())
      ->needs(certificate);
  cli::parse(app, argc, argv);

  if (arguments.deflate || arguments.deflate_takeover || level->count() + min_bytes->count() > 0) {
    options.deflate = tern::Deflate{.level = arguments.deflate_level,
                                    .takeover = arguments.deflate_takeover,
                                    .peer_takeover = arguments.deflate_takeover,
                                    .min_bytes = arguments.deflate_min_bytes};
  }
  // Room for one more message of any size where reading is about to stop.
  tern::Limits& limits = options.limits;
  limits.max_queued_bytes = arguments.queue_limit != 0
                                ? arguments.queue_limit
                                : std::max(limits.max_queued_bytes, 2 * limits.max_message_bytes);
  limits.high_water_bytes = std::max<std::size_t>(limits.max_queued_bytes / 4, 1);
  limits.low_water_bytes = limits.max_queued_bytes / 16;
  options.timeouts.silence = options.timeouts.pong = arguments.idle_timeout;
  if (arguments.any_origin) options.allowed_origins = {"*"};
  if (!arguments.tls.certificate.empty()) options.tls = arguments.tls;
  return options;
}

// Until run() listens to them, they wait: once we say that we listen, SIGTERM means a proper end.
void block(const std::vector<int>& signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  const tern::ServerOptions options = parse(argc, argv);
  block(options.stop_on);
  tern::Server server(options);
  server.route<Echo>("/echo");
  server.route<Push>("/push");
  server.get("/time", [](const tern::Request&) {
    return tern::Response::text(R"({"time_us":)" + time_us() + '}')
        .header("Cache-Control", "no-store");
  });
  server.get("/metrics", [&server](const tern::Request&) {
    return tern::Response::body(server.counters().prometheus(), "text/plain; version=0.0.4");
  });
  const auto page = std::make_shared<const std::string>(echo_page);
  server.get("/", [page](const tern::Request&) {
    return tern::Response::shared(page, "text/html; charset=utf-8");
  });

  auto ran = server.listen();
  if (ran) {
    const bool ipv6 = options.host.find(':') != std::string::npos;
    const std::string where =
        (ipv6 ? '[' + options.host + ']' : options.host) + ':' + std::to_string(server.port());
    const std::string s = options.tls ? "s" : "";
    std::cout << "listening on ws" << s << "://" << where << "/echo\n"
              << "page at http" << s << "://" << where << '/' << std::endl;
    ran = server.run();
  }
  if (!ran) std::cerr << ran.error().message() << '\n';
  return ran ? 0 : 1;
}
