// The way to other hubs: the flags of the brokers, the bridges, and the health that follows.
#pragma once

#include "tern/http.h"
#include "tern/server.h"

#include "cli.h"
#include "presence.h"

#include <cstddef>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#ifdef HUB_NATS
#include "tern/nats.h"
#endif
#ifdef HUB_REDIS
#include "tern/redis.h"
#endif

namespace hub {

// The flags.
struct Brokers {
  std::vector<std::string> nats{};  // URLs of the servers of one cluster
  std::string redis{};
  bool durable = false;
  std::string topics = "*";
  std::string prefix = "tern.";

  explicit operator bool() const { return !nats.empty() || !redis.empty(); }
};

// Refuses the value of a flag whose client library was missing when this program was built.
inline CLI::Validator needs_library([[maybe_unused]] const char* missing) {
  return CLI::Validator([=](const std::string&) { return std::string(missing); }, "");
}

inline void add_brokers(CLI::App& app, Brokers& brokers) {
  auto* const nats = app.add_option("--nats", brokers.nats,
                                    "URL of a NATS server that hubs share; several: a cluster")
                         ->envname("HUB_NATS")
                         ->check(cli::not_empty());
  auto* const redis =
      app.add_option("--redis", brokers.redis, "URL of a Redis server that hubs share")
          ->envname("HUB_REDIS")
          ->check(cli::not_empty())
          ->excludes(nats);
  app.add_flag("--durable", brokers.durable, "keep the histories in Redis, for all hubs")
      ->needs(redis);
  auto* const topics = app.add_option("--bridge", brokers.topics,
                                      "shared topics: a name, or the beginning of names and *")
                           ->check(cli::not_empty());
  auto* const prefix =
      app.add_option("--prefix", brokers.prefix, "text before the name of a topic at the broker");
  app.parse_complete_callback([=] {
    if (nats->count() + redis->count() > 0 || topics->count() + prefix->count() == 0) return;
    throw CLI::RequiredError("--bridge and --prefix: one of --nats and --redis");
  });
#ifndef HUB_NATS
  nats->check(needs_library("this hub was built without libnats (package libnats-dev)"));
#endif
#ifndef HUB_REDIS
  redis->check(needs_library("this hub was built without hiredis (package libhiredis-dev)"));
#endif
}

// Connects the topics of this hub with those of the others. The topics on which each hub publishes
// for itself stay apart.
inline void connect(tern::Server& server, const Brokers& brokers,
                    [[maybe_unused]] std::size_t history) {
  if (!brokers) return;
  const tern::BridgeOptions options{.topics = brokers.topics};
  server.bridge(nullptr, {.topics = std::string(ticker)});
  server.bridge(nullptr, {.topics = std::string(presence) + '*'});
#ifdef HUB_NATS
  if (!brokers.nats.empty()) {
    server.bridge(tern::nats::Bridge({.servers = brokers.nats, .prefix = brokers.prefix}), options);
  }
#endif
#ifdef HUB_REDIS
  if (!brokers.redis.empty()) {
    tern::redis::Options redis{.address = brokers.redis, .prefix = brokers.prefix};
    if (brokers.durable) redis.history = tern::redis::History{.count = history};
    server.bridge(tern::redis::Bridge(std::move(redis)), options);
  }
#endif
}

// A line on stderr for each change of a bridge, and for what concerns the whole hub.
inline void print(const tern::LogRecord& record) {
  if (!record.remote_address.empty()) return;
  std::cerr << "hub: " + std::string(record.message) + '\n';
}

// GET /healthz, for a load balancer: whether other hubs would serve a new client better. Anybody
// may read it, so it has no BridgeStatus::why, which names the broker. The log has it.
inline tern::Response health(const tern::Server& server) {
  if (server.is_ending()) return tern::Response::status(503, "the hub ends");
  std::string text = "ok\n";
  for (const tern::BridgeStatus& bridge : server.bridges()) {
    if (bridge.state != tern::BridgeState::up) {
      return tern::Response::status(503, "the bridge of " + bridge.topics + " to its broker is " +
                                             std::string(bridge_state_name(bridge.state)));
    }
    if (bridge.refusal.empty()) continue;
    text += "the broker of " + bridge.topics + " refuses publications (" +
            std::to_string(bridge.refused) + " so far): " + bridge.refusal + '\n';
  }
  return tern::Response::text(text);
}

}  // namespace hub
