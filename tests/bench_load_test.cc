// The load of tern-bench detects each reply that is not the echo of its message.

#include "support/running_server.h"
#include "throughput/load.h"
#include "throughput/messages.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

namespace tern::test {
namespace {

using bench::LoadOptions;
using bench::LoadResult;
using bench::PayloadKind;

/// Gets the number of the message, counted over all connections, and its content; returns the
/// reply.
using Answer = std::function<std::string(std::size_t, std::string)>;

/// Loads a server that answers with `answer`.
LoadResult load(LoadOptions options, Answer answer) {
  std::size_t count = 0;
  RunningServer running({.deflate = Deflate()});
  running.server.route("/", Handlers{.on_message = [&](Connection& conn, Message message) {
                         const std::string reply = answer(count++, std::string(message.text()));
                         conn.send(Message(message.type(), reply));
                       }});
  options.url = "ws://127.0.0.1:" + std::to_string(running.start()) + "/";
  options.warm_up = bench::Seconds(0);
  options.duration = bench::Seconds(0.05);
  return run_load(options);
}

LoadResult load_json(Answer answer) {
  return load(
      {.connections = 3, .depth = 5, .size = 2000, .kind = PayloadKind::json, .deflate = true},
      std::move(answer));
}

std::string echo_it(std::size_t, std::string message) { return message; }

TEST(BenchLoad, AConnectionSendsAllJsonVariantsInTurn) {
  for (const std::size_t depth : {1u, 5u, 100u}) {
    std::set<std::string> seen;
    LoadOptions options{.depth = depth, .size = 2000, .kind = PayloadKind::json, .deflate = true};
    const std::uint32_t variants = message_variants(options);
    const LoadResult result = load(options, [&](std::size_t number, std::string message) {
      if (number >= variants) seen.insert(message);  // the first ones teach the load the replies
      return message;
    });
    EXPECT_GT(variants, 1u);
    EXPECT_GE(seen.size(),
              depth == 100 ? variants : 2u);  // a depth of 100 sends each variant
    EXPECT_LE(seen.size(), variants);
    EXPECT_GT(result.reply_bytes, 100u);
    EXPECT_LT(result.reply_bytes, 1000u);
  }
}

TEST(BenchLoad, OtherLoadsRepeatOneMessage) {
  for (const bool deflate : {false, true}) {
    for (const auto kind : {PayloadKind::binary, PayloadKind::ascii, PayloadKind::mixed}) {
      std::set<std::string> seen;
      const LoadOptions options{.connections = 2, .size = 500, .kind = kind, .deflate = deflate};
      load(options, [&](std::size_t, std::string message) {
        seen.insert(message);
        return message;
      });
      EXPECT_EQ(seen.size(), 1u);
    }
  }
}

TEST(BenchLoad, MeasuresTheLatencyOfDifferentMessages) {
  const LoadOptions options{.connections = 3,
                            .depth = 40,
                            .size = 1000,
                            .kind = PayloadKind::json,
                            .deflate = true,
                            .latency = true};
  const LoadResult result = load(options, echo_it);
  ASSERT_TRUE(result.latency);
  EXPECT_GT(result.latency->p50.count(), 0);
  EXPECT_LT(result.latency->max, std::chrono::seconds(30));
}

// The load learns the first 31 replies. It ends only after the replies to all messages in flight,
// of which load_json() has 15. So reply number 40 is always checked.
TEST(BenchLoad, DetectsTheEchoOfAnotherMessage) {
  std::string first;
  EXPECT_THROW(load_json([&](std::size_t number, std::string message) {
                 if (number == 0) first = message;
                 return number < 40 ? message : first;
               }),
               std::runtime_error);
}

TEST(BenchLoad, DetectsAWrongReplyWhileLearning) {
  for (const std::size_t wrong : {0u, 1u, 30u}) {
    std::size_t last = 0;
    EXPECT_THROW(load_json([&](std::size_t number, std::string message) {
                   last = number;
                   if (number == wrong) message[1000] ^= 1;
                   return message;
                 }),
                 std::runtime_error);
    EXPECT_EQ(last, wrong);
  }
}

TEST(BenchLoad, DetectsAWrongByteInTheSample) {
  const auto flip = [](std::size_t number, std::string message) {
    if (number > 40) message.back() ^= 1;
    return message;
  };
  EXPECT_THROW(load({.depth = 100, .size = 2000}, flip), std::runtime_error);
  EXPECT_THROW(load({.depth = 100, .size = 100'000}, flip), std::runtime_error);
  EXPECT_NO_THROW(load({.depth = 100, .size = 2000, .check_content = false}, flip));
}

TEST(BenchLoad, DetectsAWrongLength) {
  const auto cut = [](std::size_t number, std::string message) {
    if (number == 40) message.pop_back();
    return message;
  };
  EXPECT_THROW(load({.depth = 100, .size = 2000, .check_content = false}, cut), std::runtime_error);
  EXPECT_THROW(load_json(cut), std::runtime_error);
}

}  // namespace
}  // namespace tern::test
