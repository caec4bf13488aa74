// Tests the tools of the fault rows. A scripted fault happens as often as its plan says, and only
// to the calls that the plan names. Aftermath notices each leak, and each row whose fault did not
// happen.
#include "faults/support/aftermath.h"
#include "faults/support/tls_attacked.h"
#include "net/event.h"
#include "support/socket_pair.h"

#include <cerrno>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <set>
#include <string>
#include <sys/socket.h>
#include <thread>

namespace tern::test {
namespace {

using sys::Call;

TEST(Faults, Support_APlanHitsTheCallsItNames) {
  SocketPair pair;
  sys::Fault fault(Call::send, {.error = ENOBUFS, .after = 1, .times = 2, .fd = pair.client.get()});
  const auto send = [&](const net::Fd& fd) {
    return ::send(fd.get(), "x", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
  };
  EXPECT_EQ(send(pair.client), 0);
  EXPECT_EQ(send(pair.client), ENOBUFS);
  EXPECT_EQ(send(pair.server), 0);
  EXPECT_EQ(send(pair.client), ENOBUFS);
  EXPECT_EQ(send(pair.client), 0);
  EXPECT_EQ(fault.seen(), 4u);
  EXPECT_EQ(fault.fired(), 2u);
  const sys::Fault for_all(Call::send, {.error = ENOMEM});
  EXPECT_EQ(send(pair.server), ENOMEM);
  const sys::Bystander bystander;
  EXPECT_EQ(send(pair.server), 0);
}

TEST(Faults, Support_SizesAreCapped) {
  SocketPair pair;
  char bytes[4] = {};
  {
    const sys::Faults one({Call::send, Call::recv}, {.at_most = 1});
    EXPECT_EQ(::send(pair.client.get(), "four", 4, MSG_NOSIGNAL), 1);
    ASSERT_TRUE(wait_ready(pair.server.get(), POLLIN));
    EXPECT_EQ(::recv(pair.server.get(), bytes, 4, 0), 1);
    EXPECT_EQ(one.fired(), 2u);
  }
  EXPECT_EQ(::send(pair.client.get(), "four", 4, MSG_NOSIGNAL), 4);
}

TEST(Faults, Support_ASeedRepeatsTheSameFaults) {
  const auto failures = [] {
    sys::Fault half(Call::eventfd, {.error = EMFILE, .percent = 50, .seed = 7});
    std::string all;
    for (int i = 0; i < 64; ++i) all += net::open_event().error ? 'x' : '.';
    return all;
  };
  const std::string first = failures();
  EXPECT_EQ(first, failures());
  EXPECT_NE(first.find('x'), first.npos);
  EXPECT_NE(first.find('.'), first.npos);
}

TEST(Faults, Support_NamesResolveToTheGivenAddresses) {
  const sys::Names names("somewhere.test", {"127.0.0.2", "::1"});
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  ASSERT_EQ(::getaddrinfo("somewhere.test", nullptr, &hints, &found), 0);
  ASSERT_NE(found->ai_next, nullptr);
  EXPECT_EQ(found->ai_family, AF_INET);
  EXPECT_EQ(found->ai_next->ai_family, AF_INET6);
  EXPECT_EQ(found->ai_next->ai_next, nullptr);
  ::freeaddrinfo(found);
  EXPECT_EQ(names.fired(), 1u);
}

TEST(Faults, Support_EpollReportsFalseReadiness) {
  House house;
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  {
    const sys::SpuriousWakeups lies(50, 1);
    EXPECT_EQ(clean_echoes(house.port(), 100), 101u);
    aftermath.expect_fired(lies.fired());
  }
  aftermath.expect_clean();
}

TEST(Faults, Support_ARowWithoutAFaultFails) {
  House house;
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house, 10);
  EXPECT_NONFATAL_FAILURE(aftermath.expect_fired(0), "the test proves nothing");
  EXPECT_NONFATAL_FAILURE(aftermath.expect_clean(), "no fault fired");
}

TEST(Faults, Support_TheLevelCountsDescriptorsBlocksAndConnections) {
  House house;
  ASSERT_TRUE(house.start()) << house.why();
  clean_echoes(house.port(), 10);
  Aftermath aftermath(house, 10);
  const Level before = Level::of(house.server);
  {
    const net::Opened more = net::open_event();
    EXPECT_EQ(Level::of(house.server).descriptors, before.descriptors + 1);
  }
  {
    const auto block = std::make_unique<int>(1);
    EXPECT_EQ(Level::of(house.server).blocks, before.blocks + 1);
  }
  {
    RawClient client(house.port());
    ASSERT_TRUE(client.upgrade());
    EXPECT_EQ(Level::of(house.server).connections, 1u);
    EXPECT_EQ(Level::of(house.server).descriptors, before.descriptors + 2);
  }
  aftermath.expect_fired(1);
  aftermath.expect_clean();
}

TEST(Faults, Support_TheLevelCountsTheBlocksOfOpenSsl) {
  ASSERT_TRUE(openssl_is_counted);
  const std::int64_t before = live_blocks();
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  EXPECT_GT(live_blocks(), before);
  SSL_CTX_free(context);
  fill_error_queue();
  const std::int64_t full = live_blocks();
  fill_error_queue();
  EXPECT_EQ(live_blocks(), full);
}

TEST(Faults, Support_EachCallHasAName) {
  std::set<std::string_view> all;
  for (std::size_t i = 0; i < sys::calls; ++i) all.insert(sys::name_of(static_cast<Call>(i)));
  EXPECT_EQ(all.size(), sys::calls);
  EXPECT_EQ(sys::name_of(Call::write), "write");
}

}  // namespace
}  // namespace tern::test
