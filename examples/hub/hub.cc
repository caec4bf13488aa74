// A small publish/subscribe server. On /ws, clients subscribe to topics and publish to them in
// JSON; README.md beside this file has the protocol. Programs publish over HTTP as well. Several
// hubs share topics through a broker. The page on / comes from a folder. It is a chat with a
// history, the number of people in a room, and a ticker.

#include "tern/server.h"
#include "tern/topics.h"

#include "brokers.h"
#include "cli.h"
#include "client.h"
#include "json.h"
#include "presence.h"
#include "publishing.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <mutex>
#include <random>
#include <string>

namespace {

using namespace std::chrono_literals;
using hub::presence;
using hub::ticker;

struct Arguments {
  tern::ServerOptions server{.host = "127.0.0.1",
                             .port = 9002,
                             .stop_on = {SIGINT, SIGTERM},
                             .drain_on_stop = tern::Drain{.spread = 1s, .deadline = 10s}};
  std::size_t history = 100;
  std::string page = HUB_PAGE;
  std::string token{};
  std::string name{};
  bool any_origin = false;
  hub::Brokers brokers{};
  tern::TlsServer tls{};
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  tern::ServerOptions& server = arguments.server;
  tern::TlsServer& tls = arguments.tls;
  CLI::App app("Serves topics to WebSockets on /ws and to programs on /topics, and a chat on /.",
               "hub");
  app.option_defaults()->always_capture_default();
  cli::add_listening(app, server.host, server.port);
  cli::add_drain(app, server.drain_on_stop);
  cli::add_proxies(app, server);
  app.add_option("--threads", server.threads, "number of worker loops")
      ->check(CLI::Range(1, 1024).description(""));
  app.add_option("--history", arguments.history, "messages that each topic keeps")
      ->check(cli::not_negative());
  app.add_option("--page", arguments.page, "folder of the page")->check(cli::not_empty());
  app.add_option("--token", arguments.token, "token that POST /topics/{topic} must have")
      ->check(cli::not_empty());
  app.add_option("--name", arguments.name, "name of this hub, which clients are told")
      ->check(cli::not_empty());
  hub::add_brokers(app, arguments.brokers);
  app.add_flag("--any-origin", arguments.any_origin, "allow pages of other sites to connect");
  auto* const cert = app.add_option("--cert", tls.certificate, "PEM file; serves wss and https")
                         ->check(cli::not_empty());
  app.add_option("--key", tls.private_key, "PEM file with the key; default: the file of --cert")
      ->check(cli::not_empty())
      ->needs(cert);
  cli::parse(app, argc, argv);
  server.listeners = tern::inherited_listeners();  // of systemd; then --host has no effect
  server.limits.max_message_bytes = 64 << 10;
  server.limits.overflow = tern::Overflow::reject;  // a slow client gets a gap, and stays
  if (arguments.any_origin) server.allowed_origins = {"*"};
  if (!tls.certificate.empty()) server.tls = tls;
  if (arguments.brokers) server.log = hub::print;
  return arguments;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  const tern::ServerOptions& options = arguments.server;
  cli::block(options.stop_on);
  tern::Server server(options);
  hub::Presence present(server);
  // A broker has payloads of other programs, too.
  server.topics({.history = arguments.history,
                 .format = arguments.brokers ? hub::frame_of_any : hub::frame_of});
  server.topics(std::string(ticker), {.history = 1, .format = hub::frame_of});
  server.topics(std::string(presence) + '*', {.format = hub::frame_of});
  hub::connect(server, arguments.brokers, arguments.history);
  server.route<hub::Client>("/ws", std::ref(server), std::ref(present), arguments.name);
  server.get("/healthz", [&server](const tern::Request&) { return hub::health(server); });
  server.get("/livez", [](const tern::Request&) { return tern::Response::text("ok\n"); });
  server.get("/client", [](const tern::Request& request) {
    return tern::Response::text(std::string(request.remote_address()))
        .header("Cache-Control", "no-store");
  });
  server.get("/metrics", [&server](const tern::Request&) {
    return tern::Response::body(server.counters().prometheus(), "text/plain; version=0.0.4");
  });
  server.post("/topics/{topic}", [&](const tern::Request& request) {
    return hub::publish_body(server, arguments.token, request);
  });
  server.get("/topics/{topic}/last",
             [&](const tern::Request& request) { return hub::last_of(server, request); });
  server.files("/", arguments.page);

  // One worker publishes the price, which changes at random, and the numbers of subscribers.
  std::once_flag once;
  const auto tick = [&, random = std::minstd_rand(), cents = 10'000]() mutable {
    cents = std::max(cents + static_cast<int>(random() % 51) - 25, 5'000);
    server.publish(ticker, R"({"cents":)" + std::to_string(cents) + '}');
    present.publish();
  };
  server.on_worker_start(
      [&](tern::Loop& loop) { std::call_once(once, [&] { loop.every(100ms, tick); }); });

  return cli::serve(server, options.tls ? "s" : "", "/ws");
}
