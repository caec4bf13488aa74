// X31: names that do not resolve, and addresses that are unreachable, refuse or never answer.
//
// Pass: dial() tries the next address. The deadline holds (30 s by default; short here). The error
// names the address and the errno.
//
// getaddrinfo is scripted, so no packet leaves this machine. A listener with a full queue is an
// address that drops packets. The wrappers make only IPv6 unreachable.
#include "tern/dial.h"

#include "faults/support/aftermath.h"
#include "faults/support/full_listener.h"
#include "support/socket_peer.h"

#include <cerrno>
#include <gtest/gtest.h>
#include <memory>
#include <netdb.h>
#include <string>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

using sys::Call;
using Clock = std::chrono::steady_clock;

std::string url_of(const std::string& host, std::uint16_t port) {
  return "ws://" + host + ':' + std::to_string(port) + "/echo";
}

std::string outcome_of(const std::string& url, std::chrono::nanoseconds timeout = enough_time) {
  auto dialed = dial(url, {.timeout = timeout});
  return dialed ? "connected to " + dialed->remote_address() : dialed.error().message();
}

TEST(Faults, X31_ErrorNamesTheHostThatDoesNotResolve) {
  const std::vector<std::pair<int, Errc>> table = {{EAI_NONAME, Errc::name_not_resolved},
                                                   {EAI_AGAIN, Errc::name_not_resolved},
                                                   {EAI_FAIL, Errc::name_not_resolved},
                                                   {EAI_MEMORY, Errc::no_memory}};
  for (const auto& [error, errc] : table) {
    const sys::Names names("nowhere.test", {}, error);
    const auto dialed = dial("ws://nowhere.test/");
    ASSERT_FALSE(dialed);
    EXPECT_EQ(dialed.error().code(), errc);
    const std::string text = dialed.error().message();
    EXPECT_NE(text.find("resolve nowhere.test"), text.npos) << text;
    if (errc == Errc::name_not_resolved) {
      EXPECT_NE(text.find(::gai_strerror(error)), text.npos) << text;
    }
    EXPECT_EQ(names.fired(), 1u);
  }
}

TEST(Faults, X31_UnreachableAddressesAreSkipped) {
  // The first look-up of a process makes the queue of look-ups, which stays.
  static_cast<void>(outcome_of("ws://no-such-host.invalid/"));
  House house({}, Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  const std::string port = std::to_string(house.port());
  {
    const sys::Names names("both.test", {"2001:db8::1", "127.0.0.1"});
    const sys::Fault unreachable(Call::connect, {.error = ENETUNREACH, .family = AF_INET6});
    EXPECT_EQ(outcome_of(url_of("both.test", house.port())), "connected to 127.0.0.1:" + port);
    aftermath.expect_fired(unreachable.fired(), "ENETUNREACH");
  }
  {
    const sys::Names names("six.test", {"2001:db8::1", "2001:db8::2"});
    const sys::Fault unreachable(Call::connect, {.error = ENETUNREACH, .family = AF_INET6});
    EXPECT_EQ(outcome_of(url_of("six.test", house.port())),
              "connect [2001:db8::1]:" + port + " (Network is unreachable), [2001:db8::2]:" + port +
                  ": Network is unreachable");
    aftermath.expect_fired(unreachable.fired(), "ENETUNREACH", 2);
  }
  aftermath.expect_clean();
}

TEST(Faults, X31_ARefusedAddressIsSkipped) {
  const RefusedPort refused;
  const std::string port = std::to_string(refused.port());
  EXPECT_EQ(outcome_of(refused.url()), "connect 127.0.0.1:" + port + ": Connection refused");
  House house({.host = "127.0.0.2", .port = refused.port()}, Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  const sys::Names names("two.test", {"127.0.0.1", "127.0.0.2"});
  EXPECT_EQ(outcome_of(url_of("two.test", refused.port())), "connected to 127.0.0.2:" + port);
  EXPECT_EQ(names.fired(), 1u);
}

TEST(Faults, X31_AnAddressThatDropsDoesNotHoldUpTheNext) {
  const std::size_t descriptors = open_descriptors();
  {
    const FullListener full;
    ASSERT_LT(full.tried(), 16u) << "the queue does not fill: the test proves nothing";
    const std::string port = std::to_string(full.port());
    House house({.host = "127.0.0.2", .port = full.port()}, Side::bystander);
    ASSERT_TRUE(house.start()) << house.why();
    const sys::Names names("two.test", {"127.0.0.1", "127.0.0.2"});
    EXPECT_EQ(outcome_of(url_of("two.test", full.port())), "connected to 127.0.0.2:" + port);
    EXPECT_EQ(names.fired(), 1u);
  }
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST(Faults, X31_TheDeadlineHoldsIfEachAddressDrops) {
  const std::size_t descriptors = open_descriptors();
  {
    const FullListener full;
    ASSERT_LT(full.tried(), 16u) << "the queue does not fill: the test proves nothing";
    const auto began = Clock::now();
    auto dialed = dial(full.url(), {.timeout = std::chrono::milliseconds(300)});
    ASSERT_FALSE(dialed);
    EXPECT_EQ(dialed.error().code(), Errc::handshake_timeout);
    const std::string text = dialed.error().message();
    EXPECT_TRUE(text.starts_with("connect " + full.authority() + ": ")) << text;
    EXPECT_GE(Clock::now() - began, std::chrono::milliseconds(300));
    EXPECT_LT(Clock::now() - began, std::chrono::seconds(30));
  }
  EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
}  // namespace tern::test
