// X5: the kernel takes fewer bytes than it was given.
//
// Pass: 1 000 messages of 0 to 1 MiB come back with the same checksum. With writes of one byte
// there are at most 10 % more write calls than bytes. A blocked server does not spin.
//
// Both ends have the smallest send and receive buffers that the kernel allows. The wrappers also
// limit writes to one byte. CI has 1 000 messages of 0 to 64 KiB and a few up to 1 MiB. FaultsLong
// has 1 000 up to 1 MiB. The test counts wakeups, because CPU time depends on the machine.
#include "tern/dial.h"

#include "faults/support/aftermath.h"

#include <algorithm>
#include <cstddef>
#include <gtest/gtest.h>
#include <iostream>
#include <random>
#include <string>

namespace tern::test {
namespace {

using sys::Call;

constexpr std::uint64_t seed = 20260105;

constexpr std::size_t mebibyte = std::size_t{1} << 20;

/// Payloads of all orders of magnitude up to `most` bytes, the same for the same seed.
class Payloads {
 public:
  explicit Payloads(std::size_t most) : most_(most) { std::cout << "seed " << seed << '\n'; }

  std::string next() {
    std::size_t bits = 0;
    while ((std::size_t{1} << bits) < most_) ++bits;
    const std::size_t top = std::size_t{1} << dice_() % (bits + 1);
    const std::size_t size = std::min(most_, dice_() % (top + 1));
    std::string payload(size, '\0');
    for (char& byte : payload) byte = static_cast<char>(state_ = state_ * 1664525 + 1013904223);
    return payload;
  }

 private:
  std::size_t most_;
  std::mt19937_64 dice_{seed};
  std::uint32_t state_ = 1;
};

std::size_t wrong_echoes(RawClient& client, Payloads& payloads, std::size_t count) {
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Frame sent = binary(payloads.next());
    if (!client.send(sent)) return count - i + wrong;
    const auto got = client.frame();
    wrong += !got || got->payload != sent.payload || got->opcode != sent.opcode;
  }
  return wrong;
}

// A server and a client with the smallest socket buffers.
void expect_exact_with_small_buffers(std::size_t many, std::size_t most, std::size_t large) {
  House house;
  const sys::SmallBuffers small(1, 1);
  ASSERT_TRUE(house.start()) << house.why();
  const sys::Bystander bystander;
  const auto echo = [&](std::size_t count, std::size_t largest) {
    RawClient client(house.port(), 1);
    ASSERT_TRUE(client.upgrade());
    Payloads payloads(largest);
    EXPECT_EQ(wrong_echoes(client, payloads, count), 0u);
  };
  echo(large, mebibyte);  // large messages leave large chunks behind
  Aftermath aftermath(house);
  echo(many, most);
  echo(large, mebibyte);
  aftermath.expect_fired(small.fired(), "small buffers");
  aftermath.expect_clean();
}

TEST(Faults, X05_SmallBuffersAreByteExact) {
  expect_exact_with_small_buffers(1'000, std::size_t{64} << 10, 20);
}
TEST(FaultsLong, X05_SmallBuffersAreByteExactUpToAMebibyte) {
  expect_exact_with_small_buffers(0, 1, 1'000);
}

TEST(Faults, X05_OneByteWritesOfAServerAreByteExact) {
  const sys::Bystander bystander;
  House house;
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  const std::uint64_t bytes = house.server.counters().bytes_sent;
  std::uint64_t calls = 0;
  {
    const sys::Faults one({Call::send, Call::sendmsg}, {.at_most = 1});
    RawClient client(house.port());
    ASSERT_TRUE(client.upgrade());
    Payloads payloads(1024);
    EXPECT_EQ(wrong_echoes(client, payloads, 1'000), 0u);
    client.send(closing(1000));
    EXPECT_EQ(client.next(), "close 1000");
    EXPECT_TRUE(client.ends());
    calls = one.fired();
  }
  const std::uint64_t sent = house.server.counters().bytes_sent - bytes;
  EXPECT_GE(sent, 50'000u);
  aftermath.expect_fired(calls, "one byte", sent);
  EXPECT_LE(calls, sent + sent / 10);
  aftermath.expect_clean();
}

TEST(Faults, X05_OneByteWritesOfAClientAreByteExact) {
  House house({}, Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  {
    const sys::Faults one({Call::send, Call::sendmsg}, {.at_most = 1});
    auto dialed = dial(house.url());
    ASSERT_TRUE(dialed) << dialed.error().message();
    Payloads payloads(1024);
    std::string got;
    for (int i = 0; i < 1'000; ++i) {
      const std::string sent = payloads.next();
      ASSERT_TRUE(dialed->send(Message(MessageType::binary, std::as_bytes(std::span(sent)))));
      ASSERT_TRUE(dialed->receive(got));
      ASSERT_EQ(got, sent);
    }
    EXPECT_TRUE(dialed->close());
    aftermath.expect_fired(one.fired(), "one byte", 50'000);
  }
  aftermath.expect_clean();
}

TEST(Faults, X05_AClientWithSmallBuffersIsByteExact) {
  House house({}, Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  const auto echo = [&](int count) {
    auto dialed = dial(house.url());
    ASSERT_TRUE(dialed) << dialed.error().message();
    Payloads payloads(std::size_t{64} << 10);
    std::string got;
    for (int i = 0; i < count; ++i) {
      const std::string sent = payloads.next();
      ASSERT_TRUE(dialed->send(Message(MessageType::binary, std::as_bytes(std::span(sent)))));
      ASSERT_TRUE(dialed->receive(got));
      ASSERT_EQ(got, sent);
    }
    EXPECT_TRUE(dialed->close());
  };
  echo(300);  // large messages leave large chunks behind
  Aftermath aftermath(house);
  {
    const sys::SmallBuffers small(1, 1);
    echo(300);
    aftermath.expect_fired(small.fired(), "small buffers");
  }
  aftermath.expect_clean();
}

// The peer does not read. The server tries one write, fails, and sleeps until there is room.
TEST(Faults, X05_ABlockedServerSleeps) {
  House house;
  const sys::SmallBuffers small(1, 0);
  ASSERT_TRUE(house.start()) << house.why();
  const sys::Bystander bystander;
  const std::string payload(std::size_t{512} << 10, 'x');
  {
    RawClient warm(house.port());
    ASSERT_TRUE(warm.upgrade());
    warm.send(binary(payload));
    warm.frame();
  }
  Aftermath aftermath(house);
  {
    RawClient client(house.port(), 1);
    ASSERT_TRUE(client.upgrade());
    const std::uint64_t messages = house.server.counters().messages_sent;
    const std::uint64_t bytes = house.server.counters().bytes_sent;
    ASSERT_TRUE(client.send(binary(payload)));
    ASSERT_TRUE(eventually([&] { return house.server.counters().messages_sent > messages; }));
    std::uint64_t before = 0;  // until the kernel's buffers are full
    ASSERT_TRUE(eventually([&] {
      ::poll(nullptr, 0, 50);
      return before == std::exchange(before, house.server.counters().bytes_sent);
    }));
    const auto calls = [] {
      return sys::count_of(Call::send) + sys::count_of(Call::sendmsg) +
             sys::count_of(Call::epoll_wait);
    };
    const std::uint64_t count = calls();
    ::poll(nullptr, 0, 500);
    EXPECT_LE(calls() - count, 5u) << "busy while blocked";
    EXPECT_EQ(house.server.counters().bytes_sent, before);
    EXPECT_LT(before - bytes, payload.size()) << "nothing was blocked";
    aftermath.expect_fired(small.fired(), "small buffers");
    const auto echoed = client.frame();
    EXPECT_TRUE(echoed && echoed->payload == payload);
  }
  aftermath.expect_clean();
}

}  // namespace
}  // namespace tern::test
