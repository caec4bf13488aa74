// Lists of subprotocols, RFC 6455 §4.1, and which one a server chooses, §4.2.2.
#include "handshake/protocols.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::handshake {
namespace {

std::vector<HeaderField> lines(const std::vector<std::string>& values) {
  std::vector<HeaderField> fields{{"Host", "a"}};
  for (const std::string& value : values) fields.push_back({"sec-websocket-PROTOCOL", value});
  return fields;
}

std::string numbered(std::size_t count) {
  std::string list;
  for (std::size_t i = 0; i < count; ++i) list += "p" + std::to_string(i) + ",";
  return list;
}

TEST(HandshakeProtocols, Rfc6455_4_1_AListHasDistinctTokens) {
  const std::vector<std::vector<std::string>> valid{
      {},         {"chat"},  {"chat, superchat"}, {" a\t,,b , "},
      {"a", "b"}, {"a", ""}, {"a", "A"},          {numbered(64)},
  };
  for (const auto& values : valid) {
    EXPECT_TRUE(valid_protocol_list(lines(values))) << testing::PrintToString(values);
  }
  const std::vector<std::vector<std::string>> invalid{
      {""},      {","},     {"a b"},  {"a,a"},   {"a", "b", "a"},
      {"\"a\""}, {"a/b"},   {"a;b"},  {"a,\"b"}, {"caf\xC3\xA9"},
      {"a=b"},   {"a,b c"}, {"a(b)"}, {"{}"},    {numbered(65)},
  };
  for (const auto& values : invalid) {
    EXPECT_FALSE(valid_protocol_list(lines(values))) << testing::PrintToString(values);
  }
}

TEST(HandshakeProtocols, Rfc6455_4_2_2_ChoosesTheClientsFirstKnownOne) {
  const std::vector<std::string> known{"b", "a", ""};
  const auto choose = [&](const std::vector<std::string>& values) {
    const auto fields = lines(values);
    return choose_protocol(Request({.fields = fields}), known);
  };
  EXPECT_EQ(choose({}), "");
  EXPECT_EQ(choose({"c"}), "");
  EXPECT_EQ(choose({"A"}), "") << "case matters";
  EXPECT_EQ(choose({"c, a, b"}), "a");
  EXPECT_EQ(choose({"c", "b", "a"}), "b");
  EXPECT_EQ(choose({"c, a"}).data(), known[1].data()) << "the view is one of `known`";
}

}  // namespace
}  // namespace tern::handshake
