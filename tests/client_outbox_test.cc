// The bounds of the outbox: bytes, messages and age, with an injected time.
#include "client/outbox.h"

#include <chrono>
#include <gtest/gtest.h>
#include <string>
#include <string_view>

namespace {

using namespace std::chrono_literals;
using tern::Message;
using tern::Outbox;
using tern::SharedMessage;
using tern::client::OutboxQueue;

constexpr OutboxQueue::TimePoint start{1h};

bool push(OutboxQueue& queue, std::string_view text, OutboxQueue::TimePoint now = start) {
  return queue.push(SharedMessage(Message(text)), {}, now);
}

// Empties the queue at this time. Returns the texts in their order.
std::string drain(OutboxQueue& queue, OutboxQueue::TimePoint now = start) {
  std::string all;
  while (const OutboxQueue::Entry* entry = queue.front(now)) {
    all.append(entry->message.message().text()).append(" ");
    queue.pop();
  }
  return all;
}

TEST(ClientOutbox, KeepsTheOrder) {
  const Outbox bounds;
  OutboxQueue queue(bounds);
  EXPECT_TRUE(queue.empty());
  for (const char* text : {"a", "b", "c"}) EXPECT_TRUE(push(queue, text));
  EXPECT_EQ(drain(queue), "a b c ");
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.dropped(), 0u);
}

TEST(ClientOutbox, RefusesAMessageThatDoesNotFit) {
  const Outbox bounds{.max_bytes = 10, .max_messages = 3};
  OutboxQueue queue(bounds);
  EXPECT_TRUE(push(queue, "12345678"));
  EXPECT_FALSE(push(queue, "123")) << "11 bytes";
  EXPECT_TRUE(push(queue, "12")) << "exactly 10 bytes";
  EXPECT_TRUE(push(queue, "")) << "an empty message has no bytes";
  EXPECT_FALSE(push(queue, "")) << "the fourth message";
  EXPECT_FALSE(push(queue, "12345678901")) << "never fits";
  EXPECT_EQ(queue.dropped(), 0u) << "a message that was refused was not dropped";
}

TEST(ClientOutbox, DropsTheOldestIfAskedTo) {
  const Outbox bounds{.max_bytes = 4, .max_messages = 3, .drop_oldest = true};
  OutboxQueue queue(bounds);
  for (const char* text : {"a", "b", "c", "d"}) EXPECT_TRUE(push(queue, text));
  EXPECT_EQ(queue.dropped(), 1u);
  EXPECT_TRUE(push(queue, "efgh"));
  EXPECT_FALSE(push(queue, "12345")) << "a message that never fits drops nothing";
  EXPECT_EQ(queue.dropped(), 4u);
  EXPECT_EQ(drain(queue), "efgh ");
}

TEST(ClientOutbox, DropsMessagesThatAreTooOld) {
  const Outbox bounds{.max_age = 10s};
  OutboxQueue queue(bounds);
  EXPECT_TRUE(push(queue, "a", start));
  EXPECT_TRUE(push(queue, "b", start + 5s));
  EXPECT_EQ(queue.front(start + 10s)->message.message().text(), "a");
  EXPECT_EQ(drain(queue, start + 11s), "b ");
  EXPECT_EQ(queue.dropped(), 1u);
}

TEST(ClientOutbox, OldMessagesMakeRoom) {
  const Outbox bounds{.max_messages = 1, .max_age = 10s};
  OutboxQueue queue(bounds);
  EXPECT_TRUE(push(queue, "a", start));
  EXPECT_FALSE(push(queue, "b", start + 10s));
  EXPECT_TRUE(push(queue, "b", start + 11s));
  EXPECT_EQ(drain(queue, start + 11s), "b ");
}

TEST(ClientOutbox, ClearCountsAsDropped) {
  const Outbox bounds;
  OutboxQueue queue(bounds);
  for (const char* text : {"a", "b"}) EXPECT_TRUE(push(queue, text));
  queue.clear();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.dropped(), 2u);
}

}  // namespace
