// A server whose clients subscribe and publish by commands, for tests of topics.
#pragma once

#include "tern/dial.h"
#include "tern/server.h"

#include "support/running_server.h"

#include <chrono>
#include <cstdint>
#include <future>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <utility>

namespace tern::test {

/// Carries out one command for each message: a word and its arguments.
///
///   now|latest|retained|last N|at E O   and a topic: subscribes, and answers
///                                       "from E O recovered missed"
///   leave T          unsubscribes, and answers "left" or "no"
///   publish T text   Connection::publish, and answers nothing
///   tell T text      the same, and answers "published" and the offset
///   shout T text     Server::publish, and answers nothing
///   both T text      Server::publish, and then sends "after " and the text
///   say text         sends the text
///   end              closes
class TopicSession {
 public:
  explicit TopicSession(Server& server, Inbox<std::string>& gaps) : server_(server), gaps_(gaps) {}

  void on_message(Connection& conn, Message message) {
    std::istringstream in{std::string(message.text())};
    std::string word;
    in >> word;
    SubscribeOptions options;
    if (word == "latest") options.delivery = Delivery::latest;
    if (word == "retained") options.from = From::retained;
    if (word == "last") options.from = From::last(number(in));
    if (word == "at") {
      const std::uint64_t epoch = number(in);
      options.from = Position{epoch, number(in)};
    }
    std::string topic;
    in >> topic;
    std::string rest;
    std::getline(in >> std::ws, rest);
    if (word == "leave") {
      conn.send(conn.unsubscribe(topic) ? "left" : "no");
    } else if (word == "publish") {
      conn.publish(topic, rest);
    } else if (word == "tell") {
      const PublishStatus status = conn.publish(topic, rest);
      conn.send("published " + std::to_string(status.position().offset));
    } else if (word == "shout") {
      server_.publish(topic, rest);
    } else if (word == "both") {
      server_.publish(topic, rest);
      conn.send("after " + rest);
    } else if (word == "say") {
      conn.send(topic);
    } else if (word == "end") {
      conn.close();
    } else {
      subscribe(conn, topic, options);
    }
  }
  void on_gap(Connection&, std::string_view topic, std::uint64_t missed) {
    gaps_.put(std::string(topic) + " " + std::to_string(missed));
  }

 private:
  static std::uint64_t number(std::istream& in) {
    std::uint64_t value = 0;
    in >> value;
    return value;
  }
  static void subscribe(Connection& conn, const std::string& topic, SubscribeOptions options) {
    const Result<Subscribed> done = conn.subscribe(topic, options);
    if (!done) {
      conn.send(done.error().message());
      return;
    }
    conn.send("from " + std::to_string(done->epoch) + " " + std::to_string(done->offset) +
              (done->recovered ? " yes " : " no ") + std::to_string(done->missed));
  }

  Server& server_;
  Inbox<std::string>& gaps_;
};

/// A client of it that waits for each message.
class TopicClient {
 public:
  explicit TopicClient(std::uint16_t port, const std::string& path = "/")
      : client_(dial("ws://127.0.0.1:" + std::to_string(port) + path).value()) {}
  TopicClient(const std::string& url, const DialOptions& options)
      : client_(dial(url, options).value()) {}

  void send(const std::string& command) { EXPECT_TRUE(client_.send(command)); }
  /// The next message; the error if there is none.
  std::string receive() {
    std::string payload;
    const auto type = client_.receive(payload, std::chrono::seconds(60));
    return type ? payload : type.error().message();
  }
  std::string ask(const std::string& command) {
    send(command);
    return receive();
  }
  /// Subscribes by a command, and returns epoch and offset.
  Position subscribe(const std::string& command) {
    std::istringstream in(ask(command));
    std::string from;
    Position position;
    in >> from >> position.epoch >> position.offset;
    EXPECT_EQ(from, "from") << command;
    return position;
  }
  BlockingClient& client() { return client_; }

 private:
  BlockingClient client_;
};

/// Holds all loops of a server, so that they deliver nothing until open().
class Gate {
 public:
  Gate(Server& server, unsigned workers) {
    EXPECT_TRUE(server.post_all([this, opened = opened_.get_future().share()] {
      held_.put(1);
      opened.wait();
    }));
    for (; workers > 0; --workers) held_.take();
  }
  ~Gate() { open(); }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  void open() {
    if (!std::exchange(is_open_, true)) opened_.set_value();
  }

 private:
  Inbox<int> held_{};
  std::promise<void> opened_{};
  bool is_open_ = false;
};

class TopicServer : public RunningServer {
 public:
  explicit TopicServer(ServerOptions options = {}) : RunningServer(std::move(options)) {
    server.route<TopicSession>("/", std::ref(server), std::ref(gaps));
  }

  Inbox<std::string> gaps{};  // "topic missed", from on_gap
};

}  // namespace tern::test
