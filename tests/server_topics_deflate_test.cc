// A publication is compressed once, whatever the number of its subscribers and workers. The test
// counts the calls of zlib that have an input: one for each compression.
#include "tern/server.h"

#include "support/topic_server.h"

#include <atomic>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <vector>
#include <zlib.h>

namespace {

std::atomic<int> compressions{0};
std::atomic<int> compressions_here{0};  // in the thread that publishes
thread_local bool publishes = false;

}  // namespace

extern "C" {

int __real_deflate(z_stream* stream, int flush);   // NOLINT
int __wrap_deflate(z_stream* stream, int flush) {  // NOLINT
  if (stream->avail_in > 0) {                      // the further calls only fetch output
    ++compressions;
    if (publishes) ++compressions_here;
  }
  return __real_deflate(stream, flush);
}

}  // extern "C"

namespace tern::test {
namespace {

constexpr int subscribers = 12;
constexpr int publications = 5;

std::string text_of(int number) {
  std::string text;
  while (text.size() < 4'000) text += "{\"number\":" + std::to_string(number) + "},";
  return text;
}

/// Publishes to subscribers that offer `offered`. Returns the number of compressions.
int compressions_for(const Deflate& offered, unsigned threads) {
  TopicServer house({.threads = threads, .deflate = Deflate{.takeover = true}});
  const std::string url = "ws://127.0.0.1:" + std::to_string(house.start()) + "/";
  std::vector<BlockingClient> clients;
  for (int i = 0; i < subscribers; ++i) {
    clients.push_back(dial(url, {.deflate = offered}).value());
    EXPECT_TRUE(clients.back().deflate());
    EXPECT_TRUE(clients.back().send("now room"));
    std::string answer;
    EXPECT_TRUE(clients.back().receive(answer, std::chrono::seconds(60)));
  }
  compressions = compressions_here = 0;
  publishes = true;
  for (int i = 0; i < publications; ++i) {
    EXPECT_EQ(house.server.publish("room", text_of(i)).value(), PublishStatus::queued);
    for (BlockingClient& client : clients) {
      std::string received;
      EXPECT_TRUE(client.receive(received, std::chrono::seconds(60)));
      EXPECT_EQ(received, text_of(i));
    }
  }
  return compressions;
}

// The publisher compresses it, so that no worker and none of its connections wait meanwhile.
TEST(ServerTopicsDeflate, APublicationIsCompressedOnceForAll) {
  EXPECT_EQ(compressions_for(Deflate{.takeover = false, .peer_takeover = false}, 1), publications);
  EXPECT_EQ(compressions_here, publications);
  EXPECT_EQ(compressions_for(Deflate{.takeover = false, .peer_takeover = false}, 2), publications);
  EXPECT_EQ(compressions_here, publications);
}

TEST(ServerTopicsDeflate, WithoutASubscriberThatTakesItNothingIsCompressed) {
  TopicServer house({.deflate = Deflate{.takeover = true}});
  const std::string url = "ws://127.0.0.1:" + std::to_string(house.start()) + "/";
  TopicClient plain(url, {});
  plain.subscribe("now room");
  {
    TopicClient small(url, {.deflate = Deflate{.peer_window_bits = 9}});
    small.subscribe("now room");
    TopicClient gone(url, {.deflate = Deflate{}});
    gone.subscribe("now room");
    EXPECT_EQ(gone.ask("leave room"), "left");
    compressions = 0;
    EXPECT_TRUE(house.server.publish("room", text_of(1)));
    EXPECT_EQ(small.receive(), text_of(1));
  }
  EXPECT_EQ(plain.receive(), text_of(1));
  EXPECT_EQ(compressions, 0);
}

TEST(ServerTopicsDeflate, AMessageThatMayNotBeCompressedIsNot) {
  TopicServer house({.deflate = Deflate{}});
  const std::string url = "ws://127.0.0.1:" + std::to_string(house.start()) + "/";
  BlockingClient client = dial(url, {.deflate = Deflate{}}).value();
  std::string received;
  ASSERT_TRUE(client.send("now room"));
  ASSERT_TRUE(client.receive(received, std::chrono::seconds(60)));
  compressions = 0;
  EXPECT_TRUE(house.server.publish("room", text_of(1), {.compress = false}));
  ASSERT_TRUE(client.receive(received, std::chrono::seconds(60)));
  EXPECT_EQ(received, text_of(1));
  EXPECT_EQ(compressions, 0);
}

// Its compressor has its own history of the messages before.
TEST(ServerTopicsDeflate, EachConnectionWithTakeoverCompressesForItself) {
  EXPECT_EQ(compressions_for(Deflate{.takeover = true, .peer_takeover = true}, 1),
            subscribers * publications);
  EXPECT_EQ(compressions_here, 0);
}

// Messages that are not compressed must not disturb the context of those that are.
TEST(ServerTopicsDeflate, ATakeoverSubscriberReceivesMixedPublications) {
  TopicServer house({.deflate = Deflate{.takeover = true}});
  const std::string url = "ws://127.0.0.1:" + std::to_string(house.start()) + "/";
  TopicClient takeover(url, {.deflate = Deflate{.takeover = true, .peer_takeover = true}});
  TopicClient shared(url, {.deflate = Deflate{}});
  ASSERT_TRUE(takeover.client().deflate()->peer_takeover);
  takeover.subscribe("now room");
  shared.subscribe("latest room");
  shared.subscribe("now other");
  std::vector<std::string> texts;
  for (int i = 0; i < 200; ++i) {
    texts.push_back(i % 3 == 0 ? std::to_string(i) : text_of(i));
    EXPECT_TRUE(house.server.publish("room", texts.back(), {.compress = i % 4 != 0}));
  }
  for (const std::string& text : texts) ASSERT_EQ(takeover.receive(), text);
  EXPECT_EQ(takeover.ask("say end"), "end");
}

}  // namespace
}  // namespace tern::test
