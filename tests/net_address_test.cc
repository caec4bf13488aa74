// Address: parsing, printing, comparison, and conversion from addresses of the kernel.
#include "net/address.h"

#include <arpa/inet.h>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <net/if.h>
#include <string>

namespace {

using tern::net::Address;

TEST(Address, Rfc5952_PrintsAParsedAddress) {
  const struct {
    const char* host;
    std::uint16_t port;
    const char* text;
  } rows[] = {
      {"192.0.2.7", 51234, "192.0.2.7:51234"},
      {"0.0.0.0", 0, "0.0.0.0:0"},
      {"255.255.255.255", 65535, "255.255.255.255:65535"},
      {"2001:db8::7", 51234, "[2001:db8::7]:51234"},
      {"[2001:db8::7]", 1, "[2001:db8::7]:1"},
      {"2001:DB8:0:0:0:0:0:7", 80, "[2001:db8::7]:80"},
      {"::", 80, "[::]:80"},
      {"::1", 80, "[::1]:80"},
      {"2001:db8:1111:2222:3333:4444:5555:6666", 65535,
       "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"},
      {"::ffff:192.0.2.7", 443, "192.0.2.7:443"},  // RFC 4291 §2.5.5.2
      {"fe80::1%4294967295", 65535, "[fe80::1%4294967295]:65535"},
  };
  for (const auto& row : rows) {
    const auto address = Address::parse(row.host, row.port);
    ASSERT_TRUE(address) << row.host;
    EXPECT_EQ(address->to_string(), row.text);
    EXPECT_EQ(address->port(), row.port);
    const auto copied = Address::from(address->data(), address->size());
    ASSERT_TRUE(copied);
    EXPECT_EQ(*copied, *address);
  }
}

TEST(Address, RefusesAHostThatIsNotNumeric) {
  using namespace std::string_view_literals;
  for (const auto host :
       {""sv, "localhost"sv, "192.0.2"sv, "192.0.2.256"sv, "192.0.2.7 "sv, "0x7f.0.0.1"sv,
        "2001:db8"sv, "2001:db8::7::1"sv, "[2001:db8::7"sv, "2001:db8::7]"sv, "[]"sv, "["sv,
        "fe80::1%"sv, "fe80::1%no-such-interface"sv, "192.0.2.7\0"sv, "[192.0.2.7]"sv,
        "2001:db8:1111:2222:3333:4444:5555:6666:7777:8888:9999"sv}) {
    EXPECT_FALSE(Address::parse(host, 80)) << host;
  }
}

TEST(Address, Rfc4007_11_FindsAZoneByItsName) {
  const std::unique_ptr<struct if_nameindex, void (*)(struct if_nameindex*)> interfaces(
      ::if_nameindex(), ::if_freenameindex);
  ASSERT_TRUE(interfaces && interfaces->if_index != 0) << "there is no loopback interface";
  const auto address = Address::parse(std::string("fe80::1%") + interfaces->if_name, 80);
  ASSERT_TRUE(address);
  EXPECT_EQ(address->to_string(), "[fe80::1%" + std::to_string(interfaces->if_index) + "]:80");
}

TEST(Address, RefusesShortAndForeignKernelAddresses) {
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  const auto* const any = reinterpret_cast<const sockaddr*>(&v6);
  EXPECT_TRUE(Address::from(any, sizeof v6));
  EXPECT_FALSE(Address::from(any, sizeof v6 - 1));
  EXPECT_FALSE(Address::from(any, 0));
  v6.sin6_family = AF_UNIX;
  EXPECT_FALSE(Address::from(any, sizeof v6));
  v6.sin6_family = AF_INET;
  EXPECT_TRUE(Address::from(any, sizeof(sockaddr_in)));
  EXPECT_FALSE(Address::from(any, sizeof(sockaddr_in) - 1));
}

TEST(Address, ComparesHostPortAndZone) {
  const auto parse = [](const char* host, std::uint16_t port) {
    return *Address::parse(host, port);
  };
  EXPECT_EQ(parse("192.0.2.7", 80), parse("::ffff:192.0.2.7", 80));
  EXPECT_NE(parse("192.0.2.7", 80), parse("192.0.2.7", 81));
  EXPECT_NE(parse("192.0.2.7", 80), parse("192.0.2.8", 80));
  EXPECT_NE(parse("0.0.0.0", 80), parse("::", 80));
  EXPECT_NE(parse("fe80::1%1", 80), parse("fe80::1%2", 80));
  Address address = parse("::1", 80);
  address.set_port(81);
  EXPECT_EQ(address, parse("::1", 81));
  EXPECT_EQ(Address().to_string(), "0.0.0.0:0");
}

TEST(Address, IsCompact) { EXPECT_LE(sizeof(Address), 28u); }

}  // namespace
