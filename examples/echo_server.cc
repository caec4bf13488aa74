// A WebSocket echo server on /echo. The page on / shows the purpose of WebSocket: it polls /time
// over HTTP, receives the same time from /push, and counts the cost of each. /body echoes the
// bodies of HTTP requests.

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

// While a peer does not read its echoes, the server does not read from it.
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

// The client of a request as the server knows it, behind proxies, too.
std::string client_of(const tern::Request& request) {
  return "client " + std::string(request.remote_address()) + "\nhost " +
         std::string(request.host()) + "\nscheme " + (request.is_secure() ? "https" : "http") +
         "\npeer " + std::string(request.peer_address()) + '\n';
}

// Sends the time ten times a second. A slow peer misses some of the messages; their numbers show
// that.
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

// The answer to a request with a body is that body.
tern::Response echo_body(const tern::Request& request) {
  return tern::Response::body(std::string(request.body()), "application/octet-stream");
}

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

// Puts together the options that follow from several arguments.
tern::ServerOptions options_of(const Arguments& arguments) {
  tern::ServerOptions options = arguments.options;
  if (arguments.deflate) {
    options.deflate = tern::Deflate{.level = arguments.deflate_level,
                                    .takeover = arguments.deflate_takeover,
                                    .peer_takeover = arguments.deflate_takeover,
                                    .min_bytes = arguments.deflate_min_bytes};
  }
  // By default the queue has room for one more message when reading stops.
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

tern::ServerOptions parse(int argc, char** argv) {
  Arguments arguments;
  tern::ServerOptions& options = arguments.options;
  CLI::App app("Serves a WebSocket echo on /echo and a page on /.", "echo_server");
  app.option_defaults()->always_capture_default();
  cli::add_listening(app, options.host, options.port);
  cli::add_proxies(app, options);
  app.add_option("--threads", options.threads, "number of worker loops")
      ->check(CLI::Range(1, 1024).description(""));
  cli::add_seconds(app, "--spin", options.spin,
                   "seconds that a loop polls before it sleeps; give it a core of its own");
  app.add_option("--max-message", options.limits.max_message_bytes,
                 "bytes of a message; a longer one ends the connection with 1009")
      ->check(cli::positive());
  app.add_option("--max-fragments", options.limits.max_fragments,
                 "frames of a message; more end the connection with 1008")
      ->check(cli::positive());
  app.add_option(
         "--queue-limit", arguments.queue_limit,
         "bytes that may wait for a slow peer; while a quarter of them wait, the server does "
         "not read from it")
      ->check(cli::positive())
      ->default_str("1 MiB, or twice --max-message");
  cli::add_drain(app, options.drain_on_stop);
  cli::add_seconds(app, "--handshake-timeout", options.timeouts.handshake,
                   "seconds from accept to upgrade");
  cli::add_seconds(app, "--idle-timeout", arguments.idle_timeout,
                   "seconds of silence before a ping, and as many again for an answer");
  app.add_flag("--any-origin", arguments.any_origin, "allow pages of other sites to connect");
  app.add_flag("--deflate", arguments.deflate, "accept compression (permessage-deflate)");
  app.add_flag("--deflate-takeover", arguments.deflate_takeover,
               "accept it with context takeover: smaller messages, 301 KiB per connection");
  const auto* const min_bytes = app.add_option("--deflate-min-bytes", arguments.deflate_min_bytes,
                                               "accept it; shorter messages are sent as they are")
                                    ->check(cli::not_negative())
                                    ->default_str("0 with takeover, else 1024");
  const auto* const level = app.add_option("--deflate-level", arguments.deflate_level,
                                           "accept it at a level from 1 (fastest) to 9 (smallest)")
                                ->check(CLI::Range(1, 9).description(""));
  CLI::Option* certificate =
      app.add_option("--cert", arguments.tls.certificate,
                     "PEM file with a certificate; serves wss:// and https://")
          ->check(cli::not_empty());
  app.add_option("--key", arguments.tls.private_key,
                 "PEM file with the key; default: the file of --cert")
      ->check(cli::not_empty())
      ->needs(certificate);
  cli::parse(app, argc, argv);

  arguments.deflate |= arguments.deflate_takeover || level->count() + min_bytes->count() > 0;
  return options_of(arguments);
}

}  // namespace

int main(int argc, char** argv) {
  tern::ServerOptions options = parse(argc, argv);
  options.listeners = tern::inherited_listeners();  // of systemd; then --host has no effect
  cli::block(options.stop_on);
  tern::Server server(options);
  server.route<Echo>("/echo");
  server.route<Push>("/push");
  server.get("/time", [](const tern::Request&) {
    return tern::Response::text(R"({"time_us":)" + time_us() + '}')
        .header("Cache-Control", "no-store");
  });
  server.get("/client", [](const tern::Request& request) {
    return tern::Response::text(client_of(request)).header("Cache-Control", "no-store");
  });
  server.get("/metrics", [&server](const tern::Request&) {
    return tern::Response::body(server.counters().prometheus(), "text/plain; version=0.0.4");
  });
  server.post("/body", echo_body).put("/body", echo_body).patch("/body", echo_body);
  server.del("/body", [](tern::Exchange exchange) {  // it could answer later, from any thread
    exchange.respond(echo_body(exchange.request()));
  });
  const auto page = std::make_shared<const std::string>(echo_page);
  server.get("/", [page](const tern::Request&) {
    return tern::Response::shared(page, "text/html; charset=utf-8");
  });

  return cli::serve(server, options.tls ? "s" : "", "/echo");
}
