// The session of one client: it speaks the protocol of README.md.
#pragma once

#include "tern/connection.h"
#include "tern/server.h"

#include "json.h"
#include "presence.h"
#include "publishing.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace hub {

using Answer = nlohmann::ordered_json;

inline void answer(tern::Connection& conn, const Answer& json) {
  if (conn.send(json.dump()) != tern::SendStatus::full) return;
  conn.close(tern::CloseCode::policy_violation, "the answers are not read");
}

class Client {
 public:
  // `name`: that of this hub; empty if it has none.
  Client(tern::Server& server, Presence& present, std::string name)
      : server_(server), presence_(present), name_(std::move(name)) {}

  void on_message(tern::Connection& conn, tern::Message msg) {
    try {
      handle(conn, parsed(msg));
    } catch (const BadMessage& bad) {
      answer(conn, {{"op", "error"}, {"text", bad.what()}});
    }
  }

  // The broker has told the true beginning of a subscription that was pending.
  void on_subscribed(tern::Connection& conn, std::string_view topic,
                     const tern::Subscribed& begun) {
    answer(conn, subscribed(topic, begun));
  }

  // The client has not read for a while; or this hub was without its broker, and `missed` is 0.
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
    const auto begun = conn.subscribe(topic, {delivery_of(json), from_of(json)});
    if (!begun) throw BadMessage("not subscribed: " + begun.error().message());
    topics_.insert(topic);
    presence_.changed(topic);
    answer(conn, subscribed(topic, *begun));
  }

  Answer subscribed(std::string_view topic, const tern::Subscribed& begun) const {
    Answer subscribed{{"op", "subscribed"},
                      {"topic", topic},
                      {"epoch", std::to_string(begun.epoch)},
                      {"offset", begun.offset},
                      {"recovered", begun.recovered},
                      {"missed", begun.missed}};
    if (begun.pending) subscribed["pending"] = true;
    if (!name_.empty()) subscribed["hub"] = name_;
    return subscribed;
  }

  tern::Server& server_;
  Presence& presence_;
  std::string name_;
  std::set<std::string> topics_{};
};

}  // namespace hub
