// The formats of the Redis bridge, without a server: addresses, envelopes, commands and answers.
#include "redis/address.h"
#include "redis/command.h"
#include "redis/echoes.h"
#include "redis/envelope.h"
#include "redis/gate.h"
#include "redis/reply.h"
#include "redis/settings.h"

#include <cstdint>
#include <gtest/gtest.h>
#include <initializer_list>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

using tern::Errc;
using tern::Message;
using tern::MessageType;
using tern::Origin;
using tern::Position;
using tern::redis::Address;
using tern::redis::append_command;
using tern::redis::append_envelope;
using tern::redis::Echoes;
using tern::redis::Gate;
using tern::redis::History;
using tern::redis::open_envelope;
using tern::redis::Opened;
using tern::redis::Options;
using tern::redis::parse_addresses;
using tern::redis::parse_notification;
using tern::redis::parse_part;
using tern::redis::parse_push;
using tern::redis::Push;
using tern::redis::Reply;
using tern::redis::Settings;
using namespace std::string_literals;

// ---- addresses

TEST(RedisAddress, HasHostPortUserPasswordAndDatabase) {
  const struct {
    const char* text;
    const char* name;
    const char* user;
    const char* password;
    int database;
  } rows[] = {
      {"127.0.0.1", "redis://127.0.0.1:6379", "", "", 0},
      {"redis-1:7000", "redis://redis-1:7000", "", "", 0},
      {"[::1]:7000", "redis://[::1]:7000", "", "", 0},
      {"redis://a", "redis://a:6379", "", "", 0},
      {"REDIS://a:1/", "redis://a:1", "", "", 0},
      {"redis://a:1/15", "redis://a:1", "", "", 15},
      {"redis://:secret@a", "redis://a:6379", "", "secret", 0},
      {"redis://app:secret@a:1/2", "redis://a:1", "app", "secret", 2},
      {"redis://app@a", "redis://a:6379", "app", "", 0},
      {"redis://a%40b:p%3A%2F%2Cw@c", "redis://c:6379", "a@b", "p:/,w", 0},
      {"redis://app:a@b@c", "redis://c:6379", "app", "a@b", 0},
      {"/run/redis.sock", "unix:///run/redis.sock", "", "", 0},
      {"unix:///run/redis.sock?db=3", "unix:///run/redis.sock", "", "", 3},
      {"unix://app:secret@/run/a%2Cb", "unix:///run/a,b", "app", "secret", 0},
  };
  for (const auto& row : rows) {
    const auto parsed = parse_addresses(row.text);
    ASSERT_TRUE(parsed) << row.text;
    ASSERT_EQ(parsed->size(), 1u) << row.text;
    const Address& address = parsed->front();
    EXPECT_EQ(address.name(), row.name);
    EXPECT_EQ(address.username, row.user) << row.text;
    EXPECT_EQ(address.password, row.password) << row.text;
    EXPECT_EQ(address.database, row.database) << row.text;
  }
}

TEST(RedisAddress, SeveralAreSeparatedByCommas) {
  const auto parsed = parse_addresses("redis://:x@a:1,b:2,/run/c");
  ASSERT_TRUE(parsed);
  ASSERT_EQ(parsed->size(), 3u);
  EXPECT_EQ((*parsed)[0].password, "x");
  EXPECT_EQ((*parsed)[1].name(), "redis://b:2");
  EXPECT_EQ((*parsed)[1].password, "");
  EXPECT_EQ((*parsed)[2].unix_path, "/run/c");
}

TEST(RedisAddress, AWrongOneIsRefusedWithoutItsPassword) {
  const char* const rows[] = {
      "",
      "redis://",
      "redis://secret@",
      "redis://:secret@a:0",
      "a:65536",
      "redis://:secret@a/x",
      "redis://:secret@a/-1",
      "rediss://:secret@a",
      "a,",
      "nats://:secret@a",
      "redis://:sec%ret@a",
      "unix://:secret@",
      "a b",
      "unix:///a?db=secret",
      "unix:///a%00b",
      "unix:///a?secret",
      "a/4294967296",
  };
  for (const char* row : rows) {
    const auto parsed = parse_addresses(row);
    ASSERT_FALSE(parsed) << row;
    EXPECT_EQ(parsed.error().code(), Errc::options_invalid) << row;
    EXPECT_EQ(parsed.error().message().find("secret"), std::string::npos) << row;
    EXPECT_TRUE(parsed.error().message().starts_with("redis: ")) << row;
  }
}

TEST(RedisAddress, AWrongOneOfAListIsNamedByItsNumber) {
  const auto text_of = [](std::string_view text) {
    const auto parsed = parse_addresses(text);
    return parsed ? std::string() : parsed.error().message();
  };
  EXPECT_EQ(text_of("a b"), "redis: address: it has no valid host and port");
  EXPECT_EQ(text_of("redis://:secret@a,b:2,:secret@"),
            "redis: address: number 3: it has no valid host and port");
  EXPECT_EQ(text_of("a,b:0,c d"), "redis: address: number 2: the port is 0");
  EXPECT_EQ(text_of("a,redis://b/x"),
            "redis: address: number 2: its path is not the number of a database");
}

TEST(RedisSettings, OptionsThatCannotWorkAreNamed) {
  using std::chrono::milliseconds;
  const struct {
    Options options;
    const char* word;
  } rows[] = {
      {{.prefix = ""}, "prefix"},
      {{.database = -1}, "database"},
      {{.connect_timeout = milliseconds(0)}, "connect_timeout"},
      {{.connect_timeout = milliseconds(5001)}, "connect_timeout"},
      {{.history = History{.count = 0}}, "count"},
      {{.history = History{.count = ~std::size_t{0}}}, "count"},
      {{.history = History{.position_age = milliseconds::max()}}, "position_age"},
      {{.history = History{.age = milliseconds(0)}}, "age"},
      {{.history = History{.age = milliseconds(2), .position_age = milliseconds(1)}}, "position"},
      {{.address = "?"}, "host"},
  };
  for (const auto& row : rows) {
    const auto settings = Settings::from(row.options);
    ASSERT_FALSE(settings) << row.word;
    EXPECT_NE(settings.error().message().find(row.word), std::string::npos)
        << settings.error().message();
  }
  EXPECT_TRUE(Settings::from({}));
}

TEST(RedisSettings, CredentialsOfTheAddressComeFirst) {
  const auto settings = Settings::from(
      {.address = "redis://u:p@a/1,b", .username = "user", .password = "password", .database = 2});
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->addresses[0].username, "u");
  EXPECT_EQ(settings->addresses[0].password, "p");
  EXPECT_EQ(settings->addresses[0].database, 1);
  EXPECT_EQ(settings->addresses[1].username, "user");
  EXPECT_EQ(settings->addresses[1].password, "password");
  EXPECT_EQ(settings->addresses[1].database, 2);
}

// No topic takes the name of another one's channel or key, whatever it is called.
TEST(RedisSettings, NamesOfTopicsAreNotChanged) {
  const auto settings = Settings::from({.prefix = "t."});
  ASSERT_TRUE(settings);
  for (const char* topic : {"room.7", "a b*?[c]\\", "position:x", "\xFF", "{tag}"}) {
    EXPECT_EQ(settings->channel_of(topic), "t."s + topic);
    EXPECT_EQ(settings->stream_of(topic), "t.history:"s + topic);
    EXPECT_EQ(settings->position_of(topic), "t.position:"s + topic);
  }
}

// ---- envelopes

TEST(RedisEnvelope, OpensWhatItMade) {
  const Origin origins[] = {{}, {1, 2}, {~std::uint64_t{0}, 0x0102030405060708}};
  for (const Origin& origin : origins) {
    for (const MessageType type : {MessageType::text, MessageType::binary}) {
      for (const std::string& payload : {""s, "a"s, "\0\xFE\1\1\0"s, std::string(70'000, 'x')}) {
        std::string bytes;
        append_envelope(bytes, Message(type, payload), origin);
        EXPECT_EQ(bytes.size(), payload.size() + 20);
        const Opened opened = open_envelope(bytes);
        EXPECT_EQ(opened.message.type(), type);
        EXPECT_EQ(opened.message.text(), payload);
        EXPECT_EQ(opened.origin, origin);
      }
    }
  }
}

TEST(RedisEnvelope, OtherBytesAreATextOfAnotherProgram) {
  std::string whole;
  append_envelope(whole, Message("hello"), {7, 8});
  std::vector<std::string> rows = {"", "hello", "\xFE", "{\"a\":1}"};
  for (std::size_t i = 0; i < 20; ++i) rows.push_back(whole.substr(0, i));
  for (const std::size_t at : {0u, 1u, 2u, 3u}) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] + 2);
    rows.push_back(changed);
  }
  for (const std::string& row : rows) {
    const std::string copy(row);  // its own memory, so that a sanitizer sees a read beyond the end
    const Opened opened = open_envelope(copy);
    EXPECT_EQ(opened.message.text(), row);
    EXPECT_TRUE(opened.message.is_text());
    EXPECT_EQ(opened.origin, Origin());
  }
}

TEST(RedisEnvelope, ANotificationHasAPosition) {
  const auto found = parse_notification(
      "\xFE\2"
      "18446744073709551615:12\nbody\n1");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->position, (Position{std::numeric_limits<std::uint64_t>::max(), 12}));
  EXPECT_EQ(found->bytes, "body\n1");
  const std::string head =
      "\xFE\2"
      "1:2\n";
  EXPECT_TRUE(parse_notification(head));
  for (std::size_t i = 0; i < head.size(); ++i)
    EXPECT_FALSE(parse_notification(head.substr(0, i))) << i;
  for (const char* row : {"\xFE\2"
                          "18446744073709551616:1\nx",
                          "\xFE\2"
                          "1:\nx",
                          "\xFE\2:1\nx",
                          "\xFE\2"
                          "0:1\nx",
                          "\xFE\2"
                          "1:0\nx",
                          "\xFE\2"
                          "-1:1\nx",
                          "\xFE\2"
                          "1:1 x",
                          "\xFE\1"
                          "1:1\nx",
                          "1:1\nx", "hello"}) {
    EXPECT_FALSE(parse_notification(row)) << row;
  }
}

// ---- commands and answers

TEST(RedisCommand, WordsMayHaveAnyBytes) {
  std::string command;
  append_command(command, {"PUBLISH", "a\r\nb", std::string_view("\0", 1), ""});
  EXPECT_EQ(command, "*4\r\n$7\r\nPUBLISH\r\n$4\r\na\r\nb\r\n$1\r\n\0\r\n$0\r\n\r\n"s);
}

struct FreeReader {
  void operator()(redisReader* reader) const { redisReaderFree(reader); }
};

// Feeds the bytes in two parts and returns the answers.
std::vector<Reply> parse(std::string_view bytes, std::size_t cut) {
  const std::unique_ptr<redisReader, FreeReader> reader(redisReaderCreate());
  std::vector<Reply> replies;
  for (const std::string_view part : {bytes.substr(0, cut), bytes.substr(cut)}) {
    redisReaderFeed(reader.get(), part.data(), part.size());
    for (void* reply = nullptr;;) {
      EXPECT_EQ(redisReaderGetReply(reader.get(), &reply), REDIS_OK);
      if (reply == nullptr) break;
      replies.emplace_back(static_cast<redisReply*>(reply));
    }
  }
  return replies;
}

Reply parse_one(std::string_view bytes) {
  auto replies = parse(bytes, 0);
  EXPECT_EQ(replies.size(), 1u);
  return std::move(replies.front());
}

TEST(RedisReply, PushesAreKnownHoweverTheyAreCut) {
  const std::string bytes =
      "*3\r\n$9\r\nsubscribe\r\n$3\r\nt.a\r\n:1\r\n"
      "*3\r\n$7\r\nmessage\r\n$3\r\nt.a\r\n$4\r\na\r\nb\r\n"
      "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
      "*3\r\n$11\r\nunsubscribe\r\n$3\r\nt.a\r\n:0\r\n"
      "-NOPERM no\r\n"
      "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$1\r\nb\r\n"
      "+OK\r\n:1\r\n*-1\r\n*0\r\n";
  using Kind = Push::Kind;
  const struct {
    Kind kind;
    const char* channel;
    const char* payload;
  } wanted[] = {{Kind::subscribed, "t.a", ""},  {Kind::message, "t.a", "a\r\nb"},
                {Kind::pong, "", ""},           {Kind::unsubscribed, "t.a", ""},
                {Kind::error, "", "NOPERM no"}, {Kind::other, "", ""},
                {Kind::other, "", ""},          {Kind::other, "", ""},
                {Kind::other, "", ""},          {Kind::other, "", ""}};
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const auto replies = parse(bytes, cut);
    ASSERT_EQ(replies.size(), std::size(wanted)) << cut;
    for (std::size_t i = 0; i < replies.size(); ++i) {
      const Push push = parse_push(*replies[i]);
      EXPECT_EQ(push.kind, wanted[i].kind) << cut << ' ' << i;
      EXPECT_EQ(push.channel, wanted[i].channel) << cut << ' ' << i;
      EXPECT_EQ(push.payload, wanted[i].payload) << cut << ' ' << i;
    }
  }
}

std::string bulk(std::string_view text) {
  return '$' + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

std::string entry(std::string_view id, std::string_view field, std::string_view value) {
  return "*2\r\n" + bulk(id) + "*2\r\n" + bulk(field) + bulk(value);
}

std::string part(std::string_view epoch, std::string_view offset,
                 std::vector<std::string> entries) {
  std::string text =
      "*3\r\n" + bulk(epoch) + bulk(offset) + '*' + std::to_string(entries.size()) + "\r\n";
  for (const std::string& each : entries) text += each;
  return text;
}

TEST(RedisReply, APartOfAStreamIsInOrder) {
  const Reply reply = parse_one(
      part("9", "4", {entry("4-0", "m", "d"), entry("3-0", "m", ""), entry("2-0", "m", "b")}));
  const auto found = parse_part(*reply);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->last, (Position{9, 4}));
  ASSERT_EQ(found->entries.size(), 3u);
  EXPECT_EQ(found->entries[0].offset, 2u);
  EXPECT_EQ(found->entries[0].bytes, "b");
  EXPECT_EQ(found->entries[1].bytes, "");
  EXPECT_EQ(found->entries[2].offset, 4u);
}

TEST(RedisReply, EntriesBeforeAHoleAreLeftOut) {
  const struct {
    std::vector<std::string> entries;
    std::size_t left;
  } rows[] = {
      {{}, 0},
      {{entry("4-0", "m", "d"), entry("2-0", "m", "b")}, 1},
      {{entry("3-0", "m", "c"), entry("2-0", "m", "b")}, 0},
      {{entry("5-0", "m", "e"), entry("4-0", "m", "d")}, 0},
  };
  for (const auto& row : rows) {
    const auto found = parse_part(*parse_one(part("9", "4", row.entries)));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->entries.size(), row.left);
    EXPECT_EQ(found->last, (Position{9, 4}));
  }
}

TEST(RedisReply, OtherAnswersAreNoPartOfAStream) {
  const std::string rows[] = {
      "-NOSCRIPT no\r\n",
      "+OK\r\n",
      "*0\r\n",
      "*2\r\n$1\r\n1\r\n$1\r\n2\r\n",
      "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n",
      part("0", "1", {}),
      part("x", "1", {}),
      part("1", "-1", {}),
      part("1", "1x", {}),
      part("1", "", {}),
      part("1", "1", {entry("1-1", "m", "a")}),
      part("1", "1", {entry("1", "m", "a")}),
      part("1", "1", {entry("1-0", "x", "a")}),
      part("1", "1", {"+OK\r\n"}),
      part("1", "1", {"*2\r\n$3\r\n1-0\r\n*0\r\n"}),
      part("1", "1", {"*1\r\n$3\r\n1-0\r\n"}),
  };
  for (const std::string& row : rows) EXPECT_FALSE(parse_part(*parse_one(row))) << row;
}

// ---- echoes

TEST(RedisEchoes, OnlyTheFirstThatHasNotComeBackIsOne) {
  Echoes echoes;
  const tern::SharedMessage one(Message("one")), two(Message("two"));
  EXPECT_FALSE(echoes.add("a", one, {1, 1}));  // no subscriber
  echoes.want("a");
  echoes.want("b");
  EXPECT_FALSE(echoes.add("a", one, {0, 1}));
  EXPECT_TRUE(echoes.add("a", one, {1, 1}));
  EXPECT_TRUE(echoes.add("a", two, {1, 2}));
  EXPECT_TRUE(echoes.add("b", two, {1, 3}));
  EXPECT_EQ(echoes.take("a", "two"), Origin());  // of another program
  EXPECT_EQ(echoes.take("c", "one"), Origin());
  EXPECT_EQ(echoes.take("a", "one"), (Origin{1, 1}));
  EXPECT_EQ(echoes.take("a", "two"), (Origin{1, 2}));
  EXPECT_EQ(echoes.take("a", "two"), Origin());
  EXPECT_EQ(echoes.take("b", "two"), (Origin{1, 3}));
}

TEST(RedisEchoes, ForgetsWhatDoesNotComeBack) {
  Echoes echoes;
  const tern::SharedMessage one(Message("one")), two(Message("two"));
  echoes.want("a");
  const auto number = echoes.add("a", one, {1, 1});
  EXPECT_TRUE(echoes.add("a", two, {1, 2}));
  echoes.remove({});
  echoes.remove(number);
  echoes.remove(number);
  EXPECT_EQ(echoes.take("a", "two"), (Origin{1, 2}));
  EXPECT_TRUE(echoes.add("a", one, {1, 1}));
  echoes.unwant("a");
  echoes.unwant("a");
  echoes.want("a");
  EXPECT_EQ(echoes.take("a", "one"), Origin());
  EXPECT_TRUE(echoes.add("a", one, {1, 1}));
  echoes.clear();
  echoes.want("a");
  EXPECT_EQ(echoes.take("a", "one"), Origin());
}

TEST(RedisEchoes, CountsTheirBytes) {
  Echoes echoes;
  const tern::SharedMessage three(Message("one")), five(Message("seven"));
  echoes.want("a");
  echoes.want("b");
  const auto number = echoes.add("a", three, {1, 1});
  echoes.add("a", five, {1, 1});
  echoes.add("b", five, {1, 1});
  EXPECT_EQ(echoes.bytes(), 13u);
  echoes.remove(number);
  EXPECT_EQ(echoes.bytes(), 10u);
  echoes.take("a", "of another program");
  EXPECT_EQ(echoes.bytes(), 10u);
  echoes.take("a", "seven");
  EXPECT_EQ(echoes.bytes(), 5u);
  echoes.unwant("b");
  EXPECT_EQ(echoes.bytes(), 0u);
  echoes.add("a", three, {1, 1});
  echoes.clear();
  EXPECT_EQ(echoes.bytes(), 0u);
}

TEST(RedisEchoes, TheirNumberIsBounded) {
  Echoes echoes;
  const tern::SharedMessage one(Message("one"));
  echoes.want("a");
  for (int i = 0; i < 65'536; ++i) ASSERT_TRUE(echoes.add("a", one, {1, 1}));
  EXPECT_FALSE(echoes.add("a", one, {1, 1}));
  EXPECT_EQ(echoes.take("a", "one"), (Origin{1, 1}));
  EXPECT_TRUE(echoes.add("a", one, {1, 1}));
}

// A server may refuse all publications, and a bridge may have a hundred thousand topics.
TEST(RedisEchoes, ARefusalOfOneTopicLeavesTheOthers) {
  Echoes echoes;
  const tern::SharedMessage one(Message("one")), two(Message("two")), three(Message("three"));
  for (int i = 0; i < 100; ++i) echoes.want("t" + std::to_string(i));
  echoes.add("t7", one, {1, 1});
  const auto refused = echoes.add("t7", two, {1, 2});
  echoes.add("t7", three, {1, 3});
  const auto gone = echoes.add("t8", two, {1, 4});
  echoes.unwant("t8");
  echoes.want("t8");
  echoes.add("t8", one, {1, 5});
  echoes.remove(gone);
  echoes.remove(refused);
  EXPECT_EQ(echoes.take("t7", "one"), (Origin{1, 1}));
  EXPECT_EQ(echoes.take("t7", "three"), (Origin{1, 3}));
  EXPECT_EQ(echoes.take("t8", "one"), (Origin{1, 5}));
  EXPECT_EQ(echoes.bytes(), 0u);
}

// ---- the gate

TEST(RedisGate, CommandsStayBehindTheSubscriptionsBeforeThem) {
  Gate gate;
  std::string output;
  gate.pass("a", output);
  EXPECT_EQ(output, "a");
  gate.add_subscriptions(2);
  gate.pass("b", output);
  gate.add_subscriptions(1);
  gate.pass("cc", output);
  EXPECT_EQ(output, "a");
  EXPECT_EQ(gate.bytes(), 3u);
  gate.confirm(output);
  EXPECT_EQ(output, "a");
  gate.confirm(output);
  EXPECT_EQ(output, "ab");
  gate.pass("d", output);
  EXPECT_EQ(output, "ab");
  gate.confirm(output);
  EXPECT_EQ(output, "abccd");
  EXPECT_EQ(gate.bytes(), 0u);
  gate.add_subscriptions(1);
  gate.pass("e", output);
  gate.clear();
  gate.pass("f", output);
  EXPECT_EQ(output, "abccdf");
}

}  // namespace
