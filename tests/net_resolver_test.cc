// The tests send only "localhost" to the system's resolver, because the answers for other names
// depend on the network.
#include "net/resolver.h"

#include <atomic>
#include <chrono>
#include <future>
#include <gtest/gtest.h>
#include <netdb.h>
#include <string>
#include <string_view>
#include <thread>

namespace {

// Abandoned threads may still read this variable when the process ends, so it has no destructor.
std::atomic<bool> slow_lookups_may_end = false;

}  // namespace

extern "C" {
int __real_getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**);  // NOLINT

int __wrap_getaddrinfo(const char* host, const char* service, const addrinfo* hints,  // NOLINT
                       addrinfo** result) {
  const std::string_view name = host;
  if (name == "slow.invalid") slow_lookups_may_end.wait(false);
  return name.ends_with(".invalid") ? EAI_NONAME : __real_getaddrinfo(host, service, hints, result);
}
}

namespace {

using namespace std::chrono_literals;
using tern::net::Address;
using tern::net::Addresses;
using Clock = std::chrono::steady_clock;

const auto never = Clock::time_point::max();

TEST(Resolver, NumericHostsNeedNoLookup) {
  for (const char* host : {"192.0.2.7", "2001:db8::7", "[2001:db8::7]"}) {
    // The deadline is in the past, so only a host without a lookup can succeed.
    const auto resolved = tern::net::resolve(host, 80, Clock::time_point::min());
    ASSERT_TRUE(resolved) << resolved.error().message();
    ASSERT_EQ(resolved->size(), 1u);
    EXPECT_EQ(resolved->front(), *Address::parse(host, 80));
  }
}

TEST(Resolver, FindsLocalhost) {
  for (const auto deadline : {never, Clock::now() + 30s}) {
    const auto resolved = tern::net::resolve("localhost", 8080, deadline);
    ASSERT_TRUE(resolved) << resolved.error().message();
    ASSERT_FALSE(resolved->empty());
    for (const Address& address : *resolved) {
      EXPECT_EQ(address.port(), 8080);
      EXPECT_TRUE(address == *Address::parse("127.0.0.1", 8080) ||
                  address == *Address::parse("::1", 8080))
          << address.to_string();
    }
  }
}

// RFC 6761 §6.4: .invalid has no names.
TEST(Resolver, Rfc6761_6_4_ReportsTheReasonForAnUnknownName) {
  using namespace std::string_view_literals;
  for (const auto host : {""sv, "localhost\0x"sv, "no.such.host.invalid"sv}) {
    const auto resolved = tern::net::resolve(host, 80, never);
    ASSERT_FALSE(resolved);
    EXPECT_EQ(resolved.error().code(), tern::Errc::name_not_resolved);
    EXPECT_NE(resolved.error().message().find("resolve "), std::string::npos);
    EXPECT_NE(resolved.error().message().find('('), std::string::npos) << "gai_strerror's text";
  }
}

TEST(Resolver, KeepsItsDeadline) {
  for (const auto deadline : {Clock::now() - 1s, Clock::now() + 50ms}) {
    const auto resolved = tern::net::resolve("slow.invalid", 80, deadline);
    ASSERT_FALSE(resolved);
    EXPECT_EQ(resolved.error().code(), tern::Errc::timed_out);
    EXPECT_GE(Clock::now(), deadline);
  }
  slow_lookups_may_end = true;  // ends the two abandoned threads
  slow_lookups_may_end.notify_all();
}

TEST(Resolver, ResolveAsyncAnswersOnAnotherThread) {
  std::promise<std::thread::id> answered;
  tern::net::resolve_async("localhost", 80, [&](tern::Result<Addresses> result) {
    EXPECT_TRUE(result);
    answered.set_value(std::this_thread::get_id());
  });
  auto future = answered.get_future();
  ASSERT_EQ(future.wait_for(30s), std::future_status::ready);
  EXPECT_NE(future.get(), std::this_thread::get_id());
}

TEST(Resolver, Rfc8305_4_FamiliesAlternate) {
  const struct {
    std::string before, after;
  } rows[] = {{"", ""},         {"4", "4"},         {"666", "666"},     {"6644", "6464"},
              {"4466", "4646"}, {"66664", "64666"}, {"46666", "46666"}, {"464646", "464646"}};
  for (const auto& row : rows) {
    Addresses addresses;
    std::uint16_t port = 0;
    for (char family : row.before) {
      addresses.push_back(*Address::parse(family == '6' ? "::1" : "127.0.0.1", ++port));
    }
    tern::net::interleave_families(addresses);
    std::string after;
    std::uint16_t last_v4 = 0, last_v6 = 0;
    for (const Address& address : addresses) {
      after += address.family() == AF_INET6 ? '6' : '4';
      std::uint16_t& last = address.family() == AF_INET6 ? last_v6 : last_v4;
      EXPECT_LT(last, address.port());
      last = address.port();
    }
    EXPECT_EQ(after, row.after);
  }
}

}  // namespace
