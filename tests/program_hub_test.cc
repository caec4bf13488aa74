// The program hub: it speaks the protocol of examples/hub/README.md.

#include "tern/dial.h"

#include "support/hub.h"
#include "support/process.h"

#include <csignal>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace tern::test {
namespace {

TEST(ProgramHub, AnswersSubscribeBeforeTheMessages) {
  Hub hub;
  HubClient ann(hub);
  ann.publish("room", "one");
  ann.publish("room", "two");
  const Json subscribed = ann.subscribe("room", {{"last", 10}});
  EXPECT_EQ(subscribed["op"], "subscribed");
  EXPECT_EQ(subscribed["topic"], "room");
  EXPECT_TRUE(subscribed["epoch"].is_string());
  EXPECT_EQ(subscribed["offset"], 2);
  EXPECT_EQ(subscribed["recovered"], true);
  EXPECT_EQ(subscribed["missed"], 0);
  const Json one = ann.hear();
  EXPECT_EQ(one, Json({{"op", "message"},
                       {"topic", "room"},
                       {"epoch", subscribed["epoch"]},
                       {"offset", 1},
                       {"data", "one"}}));
  EXPECT_EQ(ann.hear()["data"], "two");
}

TEST(ProgramHub, SendsTheSameFrameToAllSubscribersAndToTheSender) {
  for (const char* threads : {"1", "2"}) {
    Hub hub({"--threads", threads});
    std::vector<std::unique_ptr<HubClient>> all;
    for (int i = 0; i < 6; ++i) {
      all.push_back(std::make_unique<HubClient>(hub));
      EXPECT_EQ(all.back()->subscribe("a \"topic\" ü")["offset"], 0);
    }
    const Json data = {{"text", "Grüße"}, {"list", {1, 2.5, nullptr, true}}};
    all.front()->publish("a \"topic\" ü", data);
    const std::string frame = all.front()->hear_text();
    EXPECT_EQ(Json::parse(frame)["data"], data);
    EXPECT_EQ(Json::parse(frame)["offset"], 1);
    for (std::size_t i = 1; i < all.size(); ++i) EXPECT_EQ(all[i]->hear_text(), frame);
  }
}

TEST(ProgramHub, UnsubscribedMeansThatNothingFollows) {
  Hub hub;
  HubClient ann(hub);
  HubClient bob(hub);
  ann.subscribe("room");
  bob.subscribe("room");
  EXPECT_EQ(ann.ask({{"op", "unsubscribe"}, {"topic", "room"}}),
            Json({{"op", "unsubscribed"}, {"topic", "room"}}));
  bob.publish("room", 1);
  EXPECT_EQ(bob.hear()["data"], 1);
  ann.settle();  // hears no message before the answer
}

TEST(ProgramHub, RecoversByPositionWithoutAGap) {
  Hub hub({"--history", "5"});
  HubClient bob(hub);
  bob.subscribe("room");
  Json last;
  for (int i = 1; i <= 3; ++i) {
    bob.publish("room", i);
    last = bob.hear();
  }
  HubClient ann(hub);  // ann was there for the first message
  const Json begun = ann.subscribe("room", {{"epoch", last["epoch"]}, {"offset", 1}});
  EXPECT_EQ(begun["recovered"], true);
  EXPECT_EQ(begun["missed"], 0);
  EXPECT_EQ(ann.hear()["offset"], 2);
  EXPECT_EQ(ann.hear()["offset"], 3);

  for (int i = 4; i <= 10; ++i) bob.publish("room", i);
  for (int i = 4; i <= 10; ++i) EXPECT_EQ(bob.hear()["data"], i);
  HubClient eve(hub);  // the history has only 6 … 10
  const Json lost = eve.subscribe("room", {{"epoch", last["epoch"]}, {"offset", 1}});
  EXPECT_EQ(lost["recovered"], false);
  EXPECT_EQ(lost["missed"], 9);  // none of 2 … 10 is sent
  EXPECT_EQ(lost["offset"], 10);
  bob.publish("room", 11);
  EXPECT_EQ(eve.hear()["offset"], 11);
}

TEST(ProgramHub, AnEpochOfAnotherServerIsNotRecovered) {
  Hub hub;
  HubClient ann(hub);
  ann.publish("room", "kept");
  for (const char* epoch : {"1", "", "abc", "99999999999999999999999999"}) {
    const Json begun = ann.subscribe("room", {{"epoch", epoch}, {"offset", 0}});
    EXPECT_EQ(begun["op"], "subscribed") << epoch;
    EXPECT_EQ(begun["recovered"], false) << epoch;
  }
  ann.settle();  // no old message was sent
}

TEST(ProgramHub, RetainedIsTheLastMessage) {
  Hub hub({"--history", "1"});
  HubClient ann(hub);
  for (int i = 0; i < 3; ++i) ann.publish("value", i);
  ann.say(
      Json{{"op", "subscribe"}, {"topic", "value"}, {"delivery", "latest"}, {"from", "retained"}});
  EXPECT_EQ(ann.hear()["op"], "subscribed");
  EXPECT_EQ(ann.hear()["data"], 2);
}

TEST(ProgramHub, ABadMessageIsAnsweredAndTheConnectionLives) {
  Hub hub;
  HubClient ann(hub);
  std::string deep = R"({"op":"publish","topic":"t","data":)";
  for (int i = 0; i < 20'000; ++i) deep += '[';
  const std::string wrong[] = {
      "",
      "no JSON",
      "[]",
      "1",
      "{}",
      R"({"op":1,"topic":"t"})",
      R"({"op":"dance","topic":"t"})",
      R"({"op":"subscribe"})",
      R"({"op":"subscribe","topic":7})",
      R"({"op":"subscribe","topic":""})",
      R"({"op":"subscribe","topic":"a\nb"})",
      R"({"op":"subscribe","topic":")" + std::string(256, 'x') + R"("})",
      R"({"op":"subscribe","topic":"t","delivery":"never"})",
      R"({"op":"subscribe","topic":"t","delivery":1})",
      R"({"op":"subscribe","topic":"t","from":"yesterday"})",
      R"({"op":"subscribe","topic":"t","from":7})",
      R"({"op":"subscribe","topic":"t","from":{}})",
      R"({"op":"subscribe","topic":"t","from":{"last":-1}})",
      R"({"op":"subscribe","topic":"t","from":{"last":"2"}})",
      R"({"op":"subscribe","topic":"t","from":{"epoch":1,"offset":1}})",
      R"({"op":"subscribe","topic":"t","from":{"epoch":"1","offset":-1}})",
      R"({"op":"publish","topic":"t"})",
      R"({"op":"publish","topic":"","data":1})",
      R"({"op":"publish","topic":"ticker","data":1})",
      R"({"op":"publish","topic":"presence:t","data":1})",
      deep,
      deep + std::string(20'000, ']') + '}',
  };
  for (const std::string& message : wrong) {
    ann.say(message);
    const Json answer = ann.hear();
    EXPECT_EQ(answer["op"], "error") << message.substr(0, 80);
    EXPECT_FALSE(answer["text"].get<std::string>().empty()) << message.substr(0, 80);
  }
  EXPECT_EQ(ann.subscribe("t")["op"], "subscribed");
}

TEST(ProgramHub, ABinaryMessageIsAnsweredWithAnError) {
  Hub hub;
  BlockingClient client = dial(hub.url()).value();
  EXPECT_TRUE(client.send(Message(MessageType::binary, std::string_view("{}"))));
  std::string text;
  ASSERT_TRUE(client.receive(text, patience));
  EXPECT_EQ(Json::parse(text)["op"], "error");
}

TEST(ProgramHub, PublishesTheNumberOfSubscribers) {
  Hub hub({"--threads", "2"});
  HubClient ann(hub);
  ann.subscribe("room");
  ann.subscribe("presence:room");
  const auto becomes = [&](int count) {
    for (;;) {
      const Json message = ann.hear();
      ASSERT_EQ(message["topic"], "presence:room");
      if (message["data"] == count) return;
    }
  };
  becomes(1);
  {
    HubClient bob(hub);
    bob.subscribe("room");
    becomes(2);
    HubClient eve(hub);
    eve.subscribe("room");
    becomes(3);
    eve.ask({{"op", "unsubscribe"}, {"topic", "room"}});
    becomes(2);
  }
  becomes(1);  // bob's connection has ended
}

TEST(ProgramHub, TheTickerHasOffsetsWithoutAGap) {
  Hub hub;
  HubClient ann(hub);
  ann.say(Json{{"op", "subscribe"}, {"topic", "ticker"}, {"from", "retained"}});
  EXPECT_EQ(ann.hear()["op"], "subscribed");
  const std::uint64_t first = ann.hear()["offset"];
  for (std::uint64_t next = first + 1; next < first + 4; ++next) {
    const Json price = ann.hear();
    EXPECT_EQ(price["offset"], next);
    EXPECT_TRUE(price["data"]["cents"].is_number());
  }
}

TEST(ProgramHub, ServesHealthMetricsAndThePage) {
  Hub hub;
  EXPECT_TRUE(get(hub.port(), "/healthz").ends_with("ok\n"));
  EXPECT_NE(get(hub.port(), "/metrics").find("tern_upgrades"), std::string::npos);
  const std::string page = get(hub.port(), "/");
  EXPECT_NE(page.find("text/html"), std::string::npos);
  EXPECT_NE(page.find("<title>tern: rooms</title>"), std::string::npos);
}

TEST(ProgramHub, ADrainingHubLivesAndIsNotHealthy) {
  Hub hub({"--drain", "60"});
  EXPECT_TRUE(get(hub.port(), "/livez").ends_with("ok\n"));
  std::vector<std::unique_ptr<HubClient>> open;  // closed one after the other
  for (int i = 0; i < 10; ++i) open.push_back(std::make_unique<HubClient>(hub));
  hub.signal(SIGTERM);
  const auto is_healthy = [&] { return get(hub.port(), "/healthz").starts_with("HTTP/1.1 200 "); };
  while (is_healthy()) {  // until the signal has arrived
  }
  EXPECT_TRUE(get(hub.port(), "/healthz").starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(get(hub.port(), "/livez").starts_with("HTTP/1.1 200 "));
}

TEST(ProgramHub, SubscribersLearnItsName) {
  Hub named({"--name", "hub-1"});
  EXPECT_EQ(HubClient(named).subscribe("room")["hub"], "hub-1");
  Hub nameless;
  EXPECT_FALSE(HubClient(nameless).subscribe("room").contains("hub"));
}

TEST(ProgramHub, PublishesTheBodyOfAPost) {
  Hub hub;
  HubClient ann(hub);
  ann.subscribe("a room");
  EXPECT_EQ(post(hub, "a%20room", R"( {"text": "hi"} )"), "204");
  const Json heard = ann.hear();
  EXPECT_EQ(heard["data"], Json({{"text", "hi"}}));
  const std::string last = get(hub.port(), "/topics/a%20room/last");
  EXPECT_TRUE(last.ends_with("\r\n\r\n{\"text\":\"hi\"}")) << last;
  const std::string epoch = heard["epoch"];
  EXPECT_NE(last.find("\r\nTopic-Epoch: " + epoch + "\r\nTopic-Offset: 1\r\n"), last.npos);
  EXPECT_TRUE(get(hub.port(), "/topics/other/last").starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(get(hub.port(), "/topics/a%20room").starts_with("HTTP/1.1 405 "));
  const std::tuple<std::string, std::string, std::string, std::string> refused[] = {
      {"a", "no JSON", "", "400"},
      {"a", "", "", "400"},
      {"a", std::string(1000, '['), "", "400"},
      {"a%00b", "1", "", "400"},
      {"caf%E9", "1", "", "400"},  // not UTF-8, so no frame of JSON could name it
      {"ticker", "1", "", "400"},
      {"presence:a", "1", "", "400"},
      {"a", "1", "Origin: http://evil.example\r\n", "403"},
      {"a", '"' + std::string(70'000, 'x') + '"', "", "413"},
  };
  for (const auto& [topic, body, more, status] : refused) {
    EXPECT_EQ(post(hub, topic, body, more), status) << topic << body.substr(0, 20);
  }
}

TEST(ProgramHub, APostNeedsTheToken) {
  Hub hub({"--token", "secret"});
  EXPECT_EQ(post(hub, "a", "1"), "401");
  for (const char* wrong :
       {"Bearer secre", "Bearer secret2", "Bearer Secret", "secret", "Bearer "}) {
    EXPECT_EQ(post(hub, "a", "1", "Authorization: " + std::string(wrong) + "\r\n"), "401") << wrong;
  }
  EXPECT_EQ(post(hub, "a", "1", "Authorization: Bearer secret\r\n"), "204");
}

TEST(ProgramHub, StopsProperlyAtSigterm) {
  Hub hub({"--threads", "2"});
  BlockingClient client = dial(hub.url()).value();
  hub.signal(SIGTERM);
  std::string ignored;
  while (client.receive(ignored, patience)) {
  }
  EXPECT_EQ(static_cast<int>(client.close_info().code), 1012);
  EXPECT_EQ(hub.exit_code(), 0);
  EXPECT_EQ(hub.err(), "");
}

}  // namespace
}  // namespace tern::test
