// Network: blocks of addresses with a prefix (RFC 4632).
#include "net/network.h"

#include <gtest/gtest.h>
#include <string>
#include <string_view>

namespace {

using tern::net::Address;
using tern::net::Network;

bool contains(std::string_view block, std::string_view host) {
  const auto network = Network::parse(block);
  const auto address = Address::parse(host, 9001);
  EXPECT_TRUE(network) << block;
  EXPECT_TRUE(address) << host;
  return network && address && network->contains(*address);
}

TEST(Network, Rfc4632_3_1_ContainsTheAddressesOfItsPrefix) {
  const struct {
    const char* block;
    const char* inside;
    const char* outside;
  } rows[] = {
      {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
      {"10.1.2.3/8", "10.9.9.9", "9.1.2.3"},  // bits behind the prefix are ignored
      {"192.0.2.0/25", "192.0.2.127", "192.0.2.128"},
      {"192.0.2.6/31", "192.0.2.7", "192.0.2.8"},
      {"192.0.2.7/32", "192.0.2.7", "192.0.2.6"},
      {"192.0.2.7", "192.0.2.7", "192.0.2.6"},
      {"0.0.0.0/0", "255.255.255.255", "::1"},
      {"fd00::/8", "fdff::1", "fc00::1"},
      {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"},
      {"[2001:db8::7]", "2001:db8::7", "2001:db8::8"},
      {"::/0", "2001:db8::7", "192.0.2.7"},
      {"::ffff:10.0.0.0/104", "10.1.1.1", "11.1.1.1"},
      {"10.0.0.0/8", "::ffff:10.1.1.1", "::ffff:11.1.1.1"},
  };
  for (const auto& row : rows) {
    EXPECT_TRUE(contains(row.block, row.inside)) << row.block << ' ' << row.inside;
    EXPECT_FALSE(contains(row.block, row.outside)) << row.block << ' ' << row.outside;
  }
}

TEST(Network, EveryPrefixEndsAtItsBit) {
  for (unsigned bits = 1; bits <= 128; ++bits) {
    const std::string block = "::/" + std::to_string(bits);
    // Only bit number `bits` of the address, counted from 1, is set.
    std::string host;
    for (unsigned group = 0; group < 8; ++group) {
      const bool here = (bits - 1) / 16 == group;
      char text[5];
      std::snprintf(text, sizeof text, "%x", here ? 1U << (15 - (bits - 1) % 16) : 0U);
      host += (group == 0 ? "" : ":") + std::string(text);
    }
    EXPECT_FALSE(contains(block, host)) << block << ' ' << host;
    EXPECT_TRUE(contains("::/" + std::to_string(bits - 1), host)) << bits << ' ' << host;
  }
}

TEST(Network, RefusesABlockThatIsNotNumeric) {
  for (const std::string_view text :
       {"", "/", "/8", "example.org", "example.org/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
        "10.0.0.0/+8", "10.0.0.0/8 ", "10.0.0.0/8/8", "10.0.0/8", "::/129", "::ffff:10.0.0.0/95",
        "10.0.0.0/99999999999999999999", "*"}) {
    EXPECT_FALSE(Network::parse(text)) << text;
  }
}

}  // namespace
