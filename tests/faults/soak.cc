// X24, the soak: echo_server under a mixed load for SOAK_MINUTES: echoes of all sizes, pushes,
// connections that come and go, and faults (at most one for each twenty good exchanges).
// Pass: only the echoes and handshakes that the faults spoil fail. The number of descriptors is the
// same at the end. Over the last two thirds of the time, resident memory grows by at most 1 % (or
// 256 KiB, which is a few pages of the maximum). In runs under 5 minutes the growth is only
// printed, because a process that has just started still fills its pools.
#include "faults/support/attacked.h"
#include "faults/support/crowd.h"
#include "faults/support/memory.h"
#include "faults/support/served_process.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

struct Tally {
  std::atomic<bool> over = false;
  std::atomic<std::uint64_t> echoes = 0;
  std::atomic<std::uint64_t> pushes = 0;
  std::atomic<std::uint64_t> connections = 0;
  std::atomic<std::uint64_t> faults = 0;
  std::atomic<std::uint64_t> errors = 0;

  void failed(const char* what) {
    if (++errors <= 10) ADD_FAILURE() << what;
  }
};

class Load {
 public:
  Load(const EchoServer& server, Tally& tally) : server_(server), tally_(tally) {}

  // Sends many echoes of every size up to the limit on one connection, then opens the next one.
  void echo(unsigned seed) const {
    std::mt19937 random(seed);
    std::string payload;
    while (!tally_.over) {
      auto dialed = dial(server_.url());
      if (!dialed) return tally_.failed("dial");
      ++tally_.connections;
      for (unsigned i = 0; i < 1'000 && !tally_.over; ++i) {
        const std::size_t most = i % 100 == 99 ? 1 << 20 : i % 10 == 9 ? 64 << 10 : 256;
        const std::string sent(random() % (most + 1), static_cast<char>('a' + i % 26));
        if (!dialed->send(sent) || !dialed->receive(payload)) return tally_.failed("echo");
        if (payload != sent) return tally_.failed("another echo");
        ++tally_.echoes;
      }
      if (!dialed->close()) return tally_.failed("close");
    }
  }
  // Connects, echoes and closes, again and again.
  void churn() const {
    std::string payload;
    while (!tally_.over) {
      auto dialed = dial(server_.url());
      if (!dialed) return tally_.failed("dial");
      ++tally_.connections;
      if (!dialed->send("x") || !dialed->receive(payload) || payload != "x") {
        return tally_.failed("echo");
      }
      ++tally_.echoes;
      if (!dialed->close()) return tally_.failed("close");
      ::poll(nullptr, 0, 10);  // so that the ports of one address suffice
    }
  }
  void subscribe() const {
    Crowd crowd;
    for (int i = 0; i < 20; ++i) {
      crowd.push_back(std::make_unique<CrowdClient>(server_.port()));
      crowd.back()->upgrade("/push");
    }
    while (!tally_.over) {
      serve(crowd, 100);
      for (const auto& each : crowd) {
        tally_.pushes += each->frames().size();
        if (each->ended() || !each->fault().empty()) return tally_.failed("push");
      }
    }
  }
  // Makes at most one fault for each twenty exchanges, and at most fifty a second.
  void harm() const {
    std::mt19937 random(24);
    while (!tally_.over) {
      ::poll(nullptr, 0, 20);  // so that the ports of one address suffice
      if (tally_.faults * 20 > tally_.echoes) continue;
      harm_once(random);
      ++tally_.faults;
    }
  }

 private:
  void harm_once(std::mt19937& random) const {
    RawClient client(server_.port(), 4'096);
    if (!client.connected()) return tally_.failed("connect");
    const std::string bytes =
        upgrade_request() + wire(Role::client, {text("Hello"), binary(std::string(300, 'b')),
                                                text("frag", false), ping("p"), more("ment")});
    switch (random() % 5) {
      case 0:  // a reset at any byte
        client.send(std::string_view(bytes).substr(0, random() % bytes.size()));
        return client.reset();
      case 1:  // a FIN at any byte
        client.send(std::string_view(bytes).substr(0, random() % bytes.size()));
        return client.finish();
      case 2:  // a violation of the protocol
        client.send(bytes + '\xFF' + std::string(100, '\xFF'));
        return client.reset();
      case 3: {  // bytes that are not HTTP
        std::string noise(500, '\0');
        for (char& byte : noise) byte = static_cast<char>(random());
        client.send(noise);
        return client.finish();
      }
      default:  // a large echo that is not read
        client.upgrade();
        client.send(wire(Role::client, binary(std::string(1 << 20, 'x'))));
        return client.reset();
    }
  }

  const EchoServer& server_;
  Tally& tally_;
};

struct Sample {
  double seconds;
  double resident;
};

// The growth in bytes per second, by least squares.
double slope_of(const std::vector<Sample>& samples) {
  double n = 0, x = 0, y = 0, xx = 0, xy = 0;
  for (const Sample& sample : samples) {
    n += 1;
    x += sample.seconds;
    y += sample.resident;
    xx += sample.seconds * sample.seconds;
    xy += sample.seconds * sample.resident;
  }
  const double spread = n * xx - x * x;
  return spread > 0 ? (n * xy - x * y) / spread : 0;
}

std::vector<Sample> watch(const AttackedProgram& server, Tally& tally, Seconds duration) {
  std::vector<Sample> samples;
  const auto begun = Clock::now();
  double printed = 0;
  for (double now = 0; now < duration.count() && tally.errors == 0;) {
    ::poll(nullptr, 0, 500);
    now = Seconds(Clock::now() - begun).count();
    samples.push_back({now, static_cast<double>(resident_bytes(server.pid()))});
    if (now - printed < 60) continue;
    printed = now;
    std::printf("%5.0f s: %.0f KiB, %zu descriptors, %llu echoes, %llu connections, %llu faults\n",
                now, samples.back().resident / 1024, descriptors_of(server.pid()),
                static_cast<unsigned long long>(tally.echoes),
                static_cast<unsigned long long>(tally.connections),
                static_cast<unsigned long long>(tally.faults));
    std::fflush(stdout);
  }
  return samples;
}

Seconds duration_from_environment() {
  const char* const minutes = std::getenv("SOAK_MINUTES");
  return Seconds(60 * (minutes == nullptr ? 30.0 : std::strtod(minutes, nullptr)));
}

TEST(Soak, X24_MemoryIsFlatUnderAMixedLoad) {
  const Seconds duration = duration_from_environment();
  ASSERT_GT(duration.count(), 0);
  AttackedProgram server;
  Tally tally;
  const Load load(server, tally);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 2; ++i) threads.emplace_back([&, i] { load.echo(i); });
  for (int i = 0; i < 2; ++i) threads.emplace_back([&] { load.churn(); });
  threads.emplace_back([&] { load.subscribe(); });
  threads.emplace_back([&] { load.harm(); });
  std::vector<Sample> samples = watch(server, tally, duration);
  tally.over = true;
  for (std::thread& thread : threads) thread.join();

  samples.erase(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 3));
  ASSERT_GE(samples.size(), 2u);
  const double growth = slope_of(samples) * (samples.back().seconds - samples.front().seconds);
  const double percent = 100 * growth / samples.front().resident;
  std::printf(
      "soak: %.1f min, %llu echoes, %llu pushes, %llu connections, %llu faults, %llu "
      "errors; resident %.0f KiB, slope over the last two thirds %+.0f KiB (%+.2f %%)\n",
      duration.count() / 60, static_cast<unsigned long long>(tally.echoes),
      static_cast<unsigned long long>(tally.pushes),
      static_cast<unsigned long long>(tally.connections),
      static_cast<unsigned long long>(tally.faults), static_cast<unsigned long long>(tally.errors),
      samples.back().resident / 1024, growth / 1024, percent);
  EXPECT_EQ(tally.errors, 0u);
  EXPECT_GE(tally.echoes, 100u);
  EXPECT_GE(tally.pushes, 1u);
  EXPECT_GE(tally.connections, 10u);
  if (duration >= 5min && !sanitized) {
    EXPECT_LE(growth, std::max(samples.front().resident / 100, 256.0 * 1024));
  }
  server.expect_fired(tally.faults);
  server.expect_clean_end();
}

}  // namespace
}  // namespace tern::test
