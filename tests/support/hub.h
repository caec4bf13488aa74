// The program hub, and clients that speak the protocol of examples/hub/README.md.
#pragma once

#include "tern/dial.h"

#include "support/process.h"
#include "support/raw_socket.h"

#include <algorithm>
#include <cstdint>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace tern::test {

using Json = nlohmann::json;

/// build/bin/hub on a port of the system's choosing.
class Hub : public Process {
 public:
  explicit Hub(const std::vector<std::string>& flags = {}) : Process(words(flags)) {
    const std::string listening = line();
    constexpr std::string_view start = "listening on ";
    if (!listening.starts_with(start)) ADD_FAILURE() << "not where it listens: " << listening;
    url_ = listening.substr(std::min(start.size(), listening.size()));
    EXPECT_TRUE(line().starts_with("page at http"));
  }

  const std::string& url() const { return url_; }
  std::uint16_t port() const {
    const std::string where = url_.substr(0, url_.rfind('/'));
    return static_cast<std::uint16_t>(std::stoi(where.substr(where.rfind(':') + 1)));
  }

 private:
  static std::vector<std::string> words(const std::vector<std::string>& flags) {
    std::vector<std::string> all{program("hub"), "--port", "0"};
    all.insert(all.end(), flags.begin(), flags.end());
    return all;
  }

  std::string url_{};
};

class HubClient {
 public:
  explicit HubClient(const Hub& hub) : client_(dial(hub.url()).value()) {}

  void say(const std::string& text) { EXPECT_TRUE(client_.send(text)); }
  void say(const Json& json) { say(json.dump()); }
  /// The next message, as it is.
  std::string hear_text() {
    std::string text;
    auto received = client_.receive(text, patience);
    EXPECT_TRUE(received) << received.error().message();
    return text;
  }
  Json hear() { return Json::parse(hear_text()); }
  /// Says it, and returns the next message.
  Json ask(const Json& json) {
    say(json);
    return hear();
  }
  Json subscribe(const std::string& topic, const Json& from = nullptr) {
    Json json{{"op", "subscribe"}, {"topic", topic}};
    if (!from.is_null()) json["from"] = from;
    return ask(json);
  }
  void publish(const std::string& topic, const Json& data) {
    say(Json{{"op", "publish"}, {"topic", topic}, {"data", data}});
  }
  /// All messages that were published before have been handled when this returns.
  void settle() {
    EXPECT_EQ(ask({{"op", "unsubscribe"}, {"topic", "nothing"}})["op"], "unsubscribed");
  }

 private:
  BlockingClient client_;
};

/// The whole answer to a GET request.
inline std::string get(std::uint16_t port, const std::string& path) {
  const RawSocket socket = RawSocket::connect(port);
  EXPECT_TRUE(
      socket.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
  return socket.receive_all();
}

/// Publishes, and returns the status of the answer.
inline std::string post(const Hub& hub, const std::string& topic, const std::string& body,
                        const std::string& more = "") {
  const RawSocket socket = RawSocket::connect(hub.port());
  EXPECT_TRUE(socket.send("POST /topics/" + topic + " HTTP/1.1\r\nHost: localhost\r\n" + more +
                          "Content-Length: " + std::to_string(body.size()) +
                          "\r\nConnection: close\r\n\r\n" + body));
  return socket.receive_all().substr(9, 3);
}

}  // namespace tern::test
