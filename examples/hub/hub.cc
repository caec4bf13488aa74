// A small publish/subscribe server. On /ws, clients subscribe to topics and publish to them in
// JSON; README.md beside this file has the protocol. Programs publish over HTTP as well. The page
// on / comes from a folder. It is a chat with a history, the number of people in a room, and a
// ticker.

#include "tern/server.h"
#include "tern/topics.h"

#include "cli.h"
#include "json.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::chrono_literals;
using hub::BadMessage;
using hub::Json;
using hub::parsed;
using hub::text_of;
using Answer = nlohmann::ordered_json;

constexpr std::string_view presence = "presence:";  // + a topic: the number of its subscribers
constexpr std::string_view ticker = "ticker";       // a price, published by this program

void answer(tern::Connection& conn, const Answer& json) {
  if (conn.send(json.dump()) != tern::SendStatus::full) return;
  conn.close(tern::CloseCode::policy_violation, "the answers are not read");
}

// ---- the number of subscribers

// Publishes the number of subscribers of a topic on the topic with the prefix `presence`, if that
// one has subscribers. It collects changes for a moment, so that a thousand clients that come at
// once cause few publications.
class Presence {
 public:
  explicit Presence(tern::Server& server) : server_(server) {}

  // Somebody has come to a topic, or has left it. Thread: any.
  void changed(std::string_view topic) {
    if (topic.starts_with(presence)) topic.remove_prefix(presence.size());
    if (server_.subscribers(std::string(presence).append(topic)) == 0) return;
    const std::lock_guard lock(mutex_);
    changed_.emplace(topic);
  }

  // Thread: one, so that the last number is the right one.
  void publish() {
    std::set<std::string> topics;
    {
      const std::lock_guard lock(mutex_);
      topics.swap(changed_);
    }
    for (const std::string& topic : topics) {
      const std::string count = std::to_string(server_.subscribers(topic));
      server_.publish(std::string(presence) + topic, count);
    }
  }

 private:
  tern::Server& server_;
  std::mutex mutex_{};
  std::set<std::string> changed_{};
};

// ---- publishing

// Publishes to all, also to the sender if it is subscribed. It learns the offset in this way.
void publish(tern::Server& server, const std::string& topic, const Json& data) {
  if (topic == ticker || topic.starts_with(presence)) {
    throw BadMessage("not published: only the server publishes on this topic");
  }
  const tern::PublishStatus status = server.publish(topic, data.dump());
  if (!status) throw BadMessage("not published: " + std::string(publish_status_name(status)));
}

// Takes the same time wherever the texts differ, because a difference would help to guess a token.
bool is_equal(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  }
  return difference == 0;
}

// Whether the request comes from a page of this server, or from no page. Browsers send Origin with
// each POST. They send Sec-Fetch-Site only over https and to localhost.
bool is_own(const tern::Request& request) {
  const std::string_view origin = request.header("Origin");
  if (origin.empty()) return true;
  const std::size_t slashes = origin.find("//");
  return slashes != origin.npos && origin.substr(slashes + 2) == request.host();
}

// POST /topics/{topic}: the body is the data.
tern::Response publish_body(tern::Server& server, const std::string& token,
                            const tern::Request& request) {
  if (!is_own(request)) return tern::Response::status(403, "not from a page of another site");
  if (!token.empty() && !is_equal(request.header("Authorization"), "Bearer " + token)) {
    return tern::Response::status(401).header("WWW-Authenticate", "Bearer");
  }
  try {
    const Json data = parsed(request.body());
    if (data.is_discarded()) throw BadMessage("the body must be JSON");
    publish(server, request.parameter("topic"), data);
    return tern::Response::status(204);
  } catch (const BadMessage& bad) {
    return tern::Response::status(400, bad.what());
  }
}

// GET /topics/{topic}/last: the data of the last message, and its position.
tern::Response last_of(const tern::Server& server, const tern::Request& request) {
  const auto last = server.retained(request.parameter("topic"));
  if (!last) return tern::Response::status(404, "no message of this topic is kept");
  const Json message = Json::parse(last->message().text());
  return tern::Response::json(message["data"].dump())
      .header("Topic-Epoch", message["epoch"].get<std::string>())
      .header("Topic-Offset", message["offset"].dump())
      .header("Cache-Control", "no-store");
}

// ---- one client

class Client {
 public:
  Client(tern::Server& server, Presence& present) : server_(server), presence_(present) {}

  void on_message(tern::Connection& conn, tern::Message msg) {
    try {
      handle(conn, parsed(msg));
    } catch (const BadMessage& bad) {
      answer(conn, {{"op", "error"}, {"text", bad.what()}});
    }
  }

  // The client has not read for a while.
  void on_gap(tern::Connection& conn, std::string_view topic, std::uint64_t missed) {
    answer(conn, {{"op", "gap"}, {"topic", topic}, {"missed", missed}});
  }

  void on_close(tern::Connection& conn, const tern::CloseInfo&) {
    for (const std::string& topic : topics_) {
      conn.unsubscribe(topic);
      presence_.changed(topic);
    }
  }

 private:
  void handle(tern::Connection& conn, const Json& json) {
    const std::string op = text_of(json, "op");
    const std::string topic = text_of(json, "topic");
    if (op == "subscribe") {
      subscribe(conn, topic, json);
    } else if (op == "publish") {
      const auto data = json.find("data");
      if (data == json.end()) throw BadMessage(R"("data" is missing)");
      publish(server_, topic, *data);
    } else if (op == "unsubscribe") {
      conn.unsubscribe(topic);
      if (topics_.erase(topic) > 0) presence_.changed(topic);
      answer(conn, {{"op", "unsubscribed"}, {"topic", topic}});
    } else {
      throw BadMessage(R"("op" must be "subscribe", "unsubscribe" or "publish")");
    }
  }

  // The answer goes first, because publications follow when this handler has returned.
  void subscribe(tern::Connection& conn, const std::string& topic, const Json& json) {
    const auto begun = conn.subscribe(topic, {hub::delivery_of(json), hub::from_of(json)});
    if (!begun) throw BadMessage("not subscribed: " + begun.error().message());
    topics_.insert(topic);
    presence_.changed(topic);
    answer(conn, {{"op", "subscribed"},
                  {"topic", topic},
                  {"epoch", std::to_string(begun->epoch)},
                  {"offset", begun->offset},
                  {"recovered", begun->recovered},
                  {"missed", begun->missed}});
  }

  tern::Server& server_;
  Presence& presence_;
  std::set<std::string> topics_{};
};

// ---- the program

struct Arguments {
  tern::ServerOptions server{.host = "127.0.0.1",
                             .port = 9002,
                             .stop_on = {SIGINT, SIGTERM},
                             .drain_on_stop = tern::Drain{.spread = 1s, .deadline = 10s}};
  std::size_t history = 100;
  std::string page = HUB_PAGE;
  std::string token{};
  bool any_origin = false;
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
  return arguments;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  const tern::ServerOptions& options = arguments.server;
  cli::block(options.stop_on);
  tern::Server server(options);
  Presence present(server);
  server.topics({.history = arguments.history, .format = hub::frame_of});
  server.topics(std::string(ticker), {.history = 1, .format = hub::frame_of});
  server.topics(std::string(presence) + '*', {.format = hub::frame_of});
  server.route<Client>("/ws", std::ref(server), std::ref(present));
  server.get("/healthz", [](const tern::Request&) { return tern::Response::text("ok\n"); });
  server.get("/metrics", [&server](const tern::Request&) {
    return tern::Response::body(server.counters().prometheus(), "text/plain; version=0.0.4");
  });
  server.post("/topics/{topic}", [&](const tern::Request& request) {
    return publish_body(server, arguments.token, request);
  });
  server.get("/topics/{topic}/last",
             [&](const tern::Request& request) { return last_of(server, request); });
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
