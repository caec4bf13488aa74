// A Redis server that a test plays, for the link of the bridge: answers and notifications come in
// any order.
#pragma once

#include "redis/link.h"
#include "support/raw_socket.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tern::test {

using Words = std::vector<std::string>;

// Events as lines.
class Recorder final : public bridge::LinkEvents {
 public:
  void on_publication(std::string_view topic, Message message, const Origin& origin,
                      std::optional<Position> position) noexcept override {
    std::string line(topic);
    if (position)
      line += '@' + std::to_string(position->epoch) + ':' + std::to_string(position->offset);
    if (origin.connection != 0) line += " from " + std::to_string(origin.connection);
    lines.push_back(line + ' ' + std::string(message.text()));
  }
  void on_history(std::string_view topic, const BridgeHistory& answer) noexcept override {
    std::string line = "history " + std::string(topic);
    if (!answer.known) line += " unknown";
    if (answer.known) line += ' ' + std::to_string(answer.last.offset);
    for (const auto& each : answer.publications) line += ' ' + std::string(each.message.text());
    lines.push_back(line);
  }
  void on_gap(std::string_view, GapCause) noexcept override { lines.push_back("gap"); }
  void on_refused(std::string_view why) noexcept override { refused.emplace_back(why); }
  void on_alive() noexcept override { ++alive; }
  void on_probe() noexcept override { lines.push_back("probe"); }
  void log(LogLevel, std::string_view line) noexcept override { logged.emplace_back(line); }

  Words lines{};
  Words logged{};
  Words refused{};
  int alive = 0;
};

inline std::string bulk(std::string_view text) {
  return '$' + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}
inline std::string array(const Words& words) {
  std::string text = '*' + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) text += bulk(word);
  return text;
}
inline std::string confirm(std::string_view channel) {
  return "*3\r\n$9\r\nsubscribe\r\n" + bulk(channel) + ":1\r\n";
}

// One connection, as the server has it.
class End {
 public:
  explicit End(RawSocket socket) : socket_(std::move(socket)), reader_(redisReaderCreate()) {}
  // The next command; empty if the client is gone.
  Words next() {
    for (;;) {
      void* found = nullptr;
      EXPECT_EQ(redisReaderGetReply(reader_.get(), &found), REDIS_OK);
      if (found != nullptr) {
        const redis::Reply reply(static_cast<redisReply*>(found));
        Words words;
        for (std::size_t i = 0; i < reply->elements; ++i) {
          words.emplace_back(redis::text_of(*reply->element[i]));
        }
        return words;
      }
      const std::string bytes = socket_.receive();
      if (bytes.empty()) return {};
      redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
    }
  }
  void send(std::string_view bytes) const { EXPECT_TRUE(socket_.send(bytes)); }
  // Whether bytes are there.
  bool is_readable() const {
    pollfd more{socket_.fd(), POLLIN, 0};
    return ::poll(&more, 1, 0) == 1;
  }
  // Whether more bytes come. A link that is only slow can make a test pass that should fail.
  bool is_quiet() const {
    pollfd more{socket_.fd(), POLLIN, 0};
    return ::poll(&more, 1, 200) == 0;
  }

 private:
  struct Free {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
  };
  RawSocket socket_;
  std::unique_ptr<redisReader, Free> reader_;
};

class RedisPeer : public testing::Test {
 protected:
  // The answers of the server while the link connects.
  std::function<std::string(const Words&)> answer = normal;
  static std::string normal(const Words& words) {
    if (words[0] == "ROLE") return "*3\r\n" + bulk("master") + ":0\r\n*0\r\n";
    if (words[0] == "INFO") return bulk("# Server\r\nrun_id:0123456789abcdef0123\r\nos:x\r\n");
    if (words[0] == "SCRIPT") return bulk(words[2].find("XADD") != words[2].npos ? "pub" : "read");
    if (words[0] == "SUBSCRIBE") return confirm(words[1]);
    return "+OK\r\n";
  }
  // The answers with one that is different.
  void refuse(const std::string& command, const std::string& with) {
    answer = [=](const Words& words) { return words[0] == command ? with : normal(words); };
  }

  Result<void> connect(redis::Options options = {}) {
    const RawSocket listener = RawSocket::bound();
    listener.listen();
    options.address = "redis://app:secret@127.0.0.1:" + std::to_string(listener.port()) + "/3";
    link.emplace(options, role_interval);
    EXPECT_EQ(link->problem(), "");
    std::thread server([&] { serve(listener, options.history.has_value()); });
    Result<void> result = link->connect(0, events);
    if (!result) link->close();
    server.join();
    return result;
  }

  // The second connection comes when the first one has logged in.
  void serve(const RawSocket& listener, bool durable) {
    commands = std::make_unique<End>(listener.accept());
    const std::string logged_in = answer(received.emplace_back(commands->next()));
    commands->send(logged_in);
    if (logged_in.starts_with('-')) return;
    subscriber = std::make_unique<End>(listener.accept());
    std::thread other([&] { serve_until(*subscriber, "SUBSCRIBE", 1, &channels); });
    serve_until(*commands, durable ? "SCRIPT" : "SELECT", durable ? 2 : 1, &received);
    other.join();
  }
  void serve_until(End& end, std::string_view last, int times, std::vector<Words>* to) {
    while (times > 0) {
      const Words words = end.next();
      if (words.empty()) return;
      to->push_back(words);
      end.send(answer(words));
      if (words[0] == last) --times;
    }
  }

  // Lets the link read until `done`.
  void pump(const std::function<bool()>& done) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!done()) {
      const auto polled = link->poll(-1, std::chrono::milliseconds(100));
      ASSERT_TRUE(polled) << polled.error().message();
      ASSERT_LT(std::chrono::steady_clock::now(), until);
    }
  }
  void expect_events(const Words& wanted) {
    pump([&] { return events.lines.size() >= wanted.size(); });
    EXPECT_EQ(events.lines, wanted);
    events.lines.clear();
  }
  // Lets the link read until it fails, and returns the reason.
  std::string pump_until_it_fails() {
    for (;;) {
      const auto polled = link->poll(-1, std::chrono::milliseconds(1000));
      if (!polled) return polled.error().message();
    }
  }
  void subscribe(std::string_view topic) {
    ASSERT_TRUE(link->subscribe({&topic, 1}));
    ASSERT_TRUE(link->flush());
    const std::string channel = "tern." + std::string(topic);
    EXPECT_EQ(subscriber->next(), (Words{"SUBSCRIBE", channel}));
    subscriber->send(confirm(channel));
  }
  // Answers a question for a history. The link then sends a ping to the connection of the
  // notifications.
  void answer_question(std::string_view bytes) {
    commands->send(bytes);
    pump([&] { return subscriber->is_readable(); });
    EXPECT_EQ(subscriber->next(), (Words{"PING", "history"}));
  }
  void pong(const std::string& text) const { subscriber->send(array({"pong", text})); }
  void answer_question_at_once(std::string_view bytes) {
    answer_question(bytes);
    pong("history");
  }
  void publish(std::string_view topic, std::string_view text, Origin origin = {}) {
    ASSERT_TRUE(link->publish(topic, SharedMessage(text), origin));
    ASSERT_TRUE(link->flush());
  }
  void push(std::string_view channel, std::string_view payload) const {
    subscriber->send(array({"message", std::string(channel), std::string(payload)}));
  }
  void notify(std::uint64_t offset, std::string_view body) const {
    push("tern.a",
         "\xFE\2"
         "7:" +
             std::to_string(offset) + '\n' + std::string(body));
  }

  std::chrono::milliseconds role_interval = std::chrono::hours(1);
  Recorder events{};
  std::vector<Words> received{};  // commands while it connected
  std::vector<Words> channels{};  // the same of the other connection
  std::optional<redis::Link> link{};
  std::unique_ptr<End> commands{};
  std::unique_ptr<End> subscriber{};
};

// An answer to a question for a history.
inline std::string history(std::uint64_t offset, const Words& bodies) {
  std::string text = "*3\r\n" + bulk("7") + bulk(std::to_string(offset)) + '*' +
                     std::to_string(bodies.size()) + "\r\n";
  for (std::size_t i = 0; i < bodies.size(); ++i, --offset) {
    text += "*2\r\n" + bulk(std::to_string(offset) + "-0") +
            array({"m", bodies[bodies.size() - 1 - i]});
  }
  return text;
}

}  // namespace tern::test
