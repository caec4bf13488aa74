// X23: connections come and go, 64 at a time, and very many are open at the same time. Server and
// clients are separate processes.
// Pass: the number of descriptors is the same afterwards. Resident memory grows by at most 5 %
// after the first part. Each open connection echoes and takes at most 4 KiB of the server's memory,
// over TLS 20 KiB.
// For CI 2 000 connections come and go and 1 000 are open; the full size is 10 000 each, as far as
// the hard limit of descriptors allows. They use eight addresses of loopback, because one pair of
// addresses has too few ports. Over TLS 500 come and go, with whole handshakes and with resumed
// sessions, and 200 are open.
#include "faults/support/attacked.h"
#include "faults/support/crowd.h"
#include "faults/support/memory.h"
#include "faults/support/served_process.h"
#include "faults/support/tls_attacked.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using Clock = std::chrono::steady_clock;

// Connects, echoes and closes `count` times with tern's clients, 64 at a time. Returns how many of
// them succeeded.
int churn(const std::string& url, int count, const DialOptions& options) {
  std::atomic<int> begun = 0;
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&] {
      std::string payload;
      for (int number = begun++; number < count; number = begun++) {
        auto dialed = dial(url, options);
        if (!dialed) continue;
        const std::string sent = "echo " + std::to_string(number);
        const bool echoed =
            dialed->send(sent) && dialed->receive(payload) && payload == sent && dialed->close();
        good += echoed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return good;
}

// The number of connections at the same time is random, and so is the memory of warm pools after
// the first part. So the test repeats the second part until memory grows no more. A leak grows each
// time.
void churn_is_flat(AttackedProgram& server, int warm_up, int count,
                   const DialOptions& options = {}) {
  EXPECT_EQ(churn(server.url(), warm_up, options), warm_up);
  const std::size_t ours = open_descriptors();
  std::size_t resident = 0;
  std::size_t most = 0;
  for (int round = 0; round < 5 && (round == 0 || server.grown() > most); ++round) {
    server.take_level();
    resident = resident_bytes(server.pid());
    most = resident / 20 + (64 << 10);
    const auto begun = Clock::now();
    EXPECT_EQ(churn(server.url(), count, options), count);
    testing::Test::RecordProperty(
        "milliseconds", static_cast<int>((Clock::now() - begun) / std::chrono::milliseconds(1)));
  }
  EXPECT_EQ(open_descriptors(), ours);
  if (!sanitized) {
    EXPECT_LE(server.grown(), most) << "after the first: " << resident;
  }
  server.expect_fired(static_cast<std::uint64_t>(count));
  server.expect_clean_end();
}

void tls_churn_is_flat(int warm_up, int count, bool resumed) {
  AttackedTlsProgram server;
  DialOptions options = trusting();
  if (resumed) options.tls.memory = std::make_shared<TlsMemory>();
  churn_is_flat(server, warm_up, count, options);
}

TEST(Faults, X23_ChurnKeepsMemoryFlat) {
  AttackedProgram server;
  churn_is_flat(server, 500, 2'000);
}
TEST(Faults, X23_TlsChurnKeepsMemoryFlat) { tls_churn_is_flat(300, 500, false); }
TEST(Faults, X23_ResumedTlsSessionsKeepMemoryFlat) { tls_churn_is_flat(300, 500, true); }
TEST(FaultsLong, X23_TenThousandConnectionsKeepMemoryFlat) {
  AttackedProgram server;
  churn_is_flat(server, 1'000, 10'000);
}
TEST(FaultsLong, X23_TenThousandTlsConnectionsKeepMemoryFlat) {
  tls_churn_is_flat(1'000, 10'000, false);
}
TEST(FaultsLong, X23_TenThousandResumedTlsSessionsKeepMemoryFlat) {
  tls_churn_is_flat(1'000, 10'000, true);
}

// Raises the limit of descriptors to the hard limit. Child processes inherit it.
std::size_t raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::size_t>(limit.rlim_cur);
}

bool all_of(const Crowd& crowd, bool (*holds)(CrowdClient&)) {
  return eventually(
      [&] {
        serve(crowd, 50);
        return std::all_of(crowd.begin(), crowd.end(),
                           [&](const auto& each) { return holds(*each); });
      },
      2 * enough_time);
}

Crowd hold(std::uint16_t port, std::size_t count) {
  Crowd crowd;
  crowd.reserve(count);
  while (crowd.size() < count) {
    // It connects 100 at a time, so that the backlog and the limit of unfinished handshakes
    // suffice.
    Crowd some;
    for (std::size_t i = crowd.size(); i < std::min(count, crowd.size() + 100); ++i) {
      const auto address = static_cast<in_addr_t>(INADDR_LOOPBACK + i % 8);
      some.push_back(std::make_unique<CrowdClient>(port, 0, address));
      some.back()->upgrade();
    }
    EXPECT_TRUE(all_of(some, [](CrowdClient& each) { return each.open(); }));
    std::move(some.begin(), some.end(), std::back_inserter(crowd));
  }
  return crowd;
}

void hold_and_echo(std::size_t wanted) {
  const std::size_t count = std::min(wanted, raise_descriptor_limit() - 256);
  AttackedProgram server({"--host", "0.0.0.0", "--idle-timeout", "600"});
  {
    const Crowd crowd = hold(server.port(), count);
    for (const auto& each : crowd) each->send(text("are you there"));
    std::size_t echoed = 0;
    EXPECT_TRUE(eventually([&] {
      serve(crowd, 50);
      for (const auto& each : crowd) {
        for (const Frame& frame : each->frames())
          echoed += to_string(frame) == "text are you there";
      }
      return echoed == count;
    })) << echoed;
    testing::Test::RecordProperty("held", static_cast<int>(count));
    testing::Test::RecordProperty("bytes_each", static_cast<int>(server.grown() / count));
    EXPECT_GE(descriptors_of(server.pid()), count);
    if (!sanitized) {
      EXPECT_LE(server.grown(), count * 4'096 + (512 << 10));
    }
    for (const auto& each : crowd) each->reset();
  }
  server.expect_fired(count);
  server.expect_clean_end();
}

// The clients of OpenSSL connect one after the other. They share a context, because it takes most
// of their memory.
void hold_and_echo_over_tls(std::size_t wanted) {
  const std::size_t count = std::min(wanted, raise_descriptor_limit() - 256);
  AttackedTlsProgram server({"--idle-timeout", "600", "--handshake-timeout", "600"});
  {
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(
        SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
    std::deque<TlsClient> clients;
    std::size_t echoed = 0;
    while (clients.size() < count) {
      clients.emplace_back(server.port(), TLS1_3_VERSION, context.get());
      EXPECT_TRUE(clients.back().upgrade());
    }
    for (TlsClient& each : clients) EXPECT_TRUE(each.send(text("are you there")));
    for (TlsClient& each : clients) echoed += each.next() == "text are you there";
    EXPECT_EQ(echoed, count);
    testing::Test::RecordProperty("held", static_cast<int>(count));
    testing::Test::RecordProperty("bytes_each", static_cast<int>(server.grown() / count));
    EXPECT_GE(descriptors_of(server.pid()), count);
    if (!sanitized) {
      EXPECT_LE(server.grown(), count * 20'480 + (512 << 10));
    }
    for (TlsClient& each : clients) each.reset();
  }
  server.expect_fired(count);
  server.expect_clean_end();
}

TEST(Faults, X23_EachOf200OpenTlsConnectionsTakesAtMost20KiB) { hold_and_echo_over_tls(200); }
TEST(FaultsLong, X23_EachOf10000OpenTlsConnectionsTakesAtMost20KiB) {
  hold_and_echo_over_tls(10'000);
}
TEST(Faults, X23_EachOf1000OpenConnectionsTakesAtMost4KiB) { hold_and_echo(1'000); }
TEST(FaultsLong, X23_EachOf10000OpenConnectionsTakesAtMost4KiB) { hold_and_echo(10'000); }

}  // namespace
}  // namespace tern::test
