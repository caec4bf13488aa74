// X25: the system's clock is set.
//
// Pass: nothing changes. Timers are within 5 ms (99th percentile) of an undisturbed run. The
// library reads no clock except the steady one; only the Date field of an answer needs the time of
// day.
//
// This program defines clock_gettime, gettimeofday and time itself, and the dynamic linker uses
// them for libstdc++ as well. The real-time clock jumps by a day, forth and back, each time that it
// is read. The steady clock is the system's. In CI no timer may be early or lost, or late by
// seconds; FaultsLong checks the 5 ms. nm lists the symbols that the library's archive refers to.
#include "tern/dial.h"
#include "tern/loop.h"

#include "faults/support/aftermath.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <string>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr std::time_t day = 86'400;
std::atomic<bool> jumping{false};
std::atomic<std::uint64_t> jumps{0};

std::time_t jump() noexcept { return jumping ? (jumps.fetch_add(1) % 2 == 0 ? day : -day) : 0; }

}  // namespace

extern "C" {
int clock_gettime(clockid_t clock, timespec* now) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, now));
  if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += jump();
  return result;
}
int gettimeofday(timeval* now, void*) noexcept {
  timespec exact{};
  clock_gettime(CLOCK_REALTIME, &exact);
  *now = {exact.tv_sec, exact.tv_nsec / 1'000};
  return 0;
}
std::time_t time(std::time_t* now) noexcept {
  timespec exact{};
  clock_gettime(CLOCK_REALTIME, &exact);
  if (now != nullptr) *now = exact.tv_sec;
  return exact.tv_sec;
}
}

namespace tern::test {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

/// As long as it lives, the clock jumps.
class Jumping {
 public:
  Jumping() {
    jumps = 0;
    jumping = true;
  }
  ~Jumping() { jumping = false; }
  Jumping(const Jumping&) = delete;
  Jumping& operator=(const Jumping&) = delete;

  /// The number of jumps; 0 if libstdc++ does not see them, because then the test shows nothing.
  std::uint64_t fired() const {
    const auto first = std::chrono::system_clock::now();
    const auto second = std::chrono::system_clock::now();
    return (first > second ? first - second : second - first) > 24h ? jumps.load() : 0;
  }
};

// The delays of timers of 1 to 50 ms, sorted.
std::vector<Clock::duration> lateness(std::size_t count) {
  Loop loop;
  std::vector<Clock::duration> late;
  for (std::size_t i = 0; i < count; ++i) {
    const auto delay = std::chrono::milliseconds(1 + i % 50);
    const auto due = Clock::now() + delay;
    loop.after(delay, [&, due] {
      late.push_back(Clock::now() - due);
      if (late.size() == count) loop.stop();
    });
  }
  EXPECT_TRUE(loop.run());
  std::sort(late.begin(), late.end());
  return late;
}

TEST(Faults, X25_TimersDoNotSeeTheClockJump) {
  const Jumping clock;
  const auto late = lateness(500);
  ASSERT_EQ(late.size(), 500u);
  EXPECT_GE(late.front(), 0ns) << "early";
  EXPECT_LE(late.back(), 30s);
  EXPECT_GT(clock.fired(), 0u) << "the test proves nothing";
}

// Returns the best of ten runs, because other work of the machine must not count.
Clock::duration best_p99() {
  auto best = lateness(1'000)[989];
  for (int i = 1; i < 10; ++i) best = std::min(best, lateness(1'000)[989]);
  return best;
}

TEST(FaultsLong, X25_TimersAreWithinFiveMilliseconds) {
  const auto undisturbed = best_p99();
  const Jumping clock;
  EXPECT_LE(best_p99(), undisturbed + 5ms);
  EXPECT_GT(clock.fired(), 0u) << "the test proves nothing";
}

// Two deadlines of a server, neither of which may fire at once: the ping after silence, and the
// answer to an unfinished request.
TEST(Faults, X25_DeadlinesOfAServerDoNotSeeTheClockJump) {
  const sys::Bystander bystander;
  House house({.timeouts = {.handshake = 300ms, .silence = 300ms}});
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  {
    const Jumping clock;
    const auto began = Clock::now();
    RawClient mute(house.port());
    mute.send("GET ");
    RawClient silent(house.port());
    ASSERT_TRUE(silent.upgrade());
    const auto upgraded = Clock::now();
    EXPECT_EQ(silent.next(), "ping tern-1");
    EXPECT_GE(Clock::now() - upgraded, 250ms);
    EXPECT_TRUE(mute.head().starts_with("HTTP/1.1 408 "));
    EXPECT_GE(Clock::now() - began, 250ms);
    EXPECT_LT(Clock::now() - began, enough_time);
    aftermath.expect_fired(clock.fired(), "the clock");
  }
  aftermath.expect_clean();
}

TEST(Faults, X25_DeadlinesOfAClientDoNotSeeTheClockJump) {
  House house({}, Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  {
    const Jumping clock;
    auto dialed = dial(house.url());
    ASSERT_TRUE(dialed) << dialed.error().message();
    const auto began = Clock::now();
    std::string got;
    const auto received = dialed->receive(got, 100ms);
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().code(), Errc::timed_out);
    EXPECT_GE(Clock::now() - began, 100ms);
    EXPECT_LT(Clock::now() - began, enough_time);
    EXPECT_TRUE(dialed->close());
    aftermath.expect_fired(clock.fired(), "the clock");
  }
  aftermath.expect_clean();
}

// The undefined symbols of the library, each with the objects that refer to it.
std::map<std::string, std::set<std::string>> undefined_symbols() {
  std::map<std::string, std::set<std::string>> all;
  FILE* const pipe = ::popen("nm -A -u '" TERN_ARCHIVE "'", "r");
  std::array<char, 4096> line;
  while (pipe != nullptr && std::fgets(line.data(), line.size(), pipe) != nullptr) {
    const std::string text(line.data());  // "<archive>:<object>:   U <name>"
    const auto start = text.find(" U ");
    const auto object_end = text.rfind(':', start);
    const auto object = text.rfind(':', object_end - 1) + 1;
    if (start == text.npos || object == 0) continue;
    all[text.substr(start + 3, text.size() - start - 4)].insert(
        text.substr(object, object_end - object));
  }
  if (pipe != nullptr) ::pclose(pipe);
  return all;
}

// The test reads the objects, because headers and macros can hide a call in the sources.
TEST(Faults, X25_TheLibraryRefersToNoOtherClockSignalOrRand) {
  const auto symbols = undefined_symbols();
  EXPECT_TRUE(symbols.contains("_ZNSt6chrono3_V212steady_clock3nowEv")) << "nothing was read";
  EXPECT_TRUE(symbols.contains("epoll_wait"));
  // The Date of an answer is the time of day (RFC 9110 §6.6.1), and a Retry-After may be one
  // (§10.2.3). A file is not younger than its answer (§8.8.2.1), and a file that has just changed
  // is not kept in memory. Nothing else may depend on it.
  EXPECT_EQ(
      symbols.at("_ZNSt6chrono3_V212system_clock3nowEv"),
      (std::set<std::string>{"worker.cc.o", "client_end.cc.o", "files.cc.o", "file_cache.cc.o"}));
  // Its SIGPIPE is blocked and taken back there.
  EXPECT_EQ(symbols.at("sendfile"), std::set<std::string>{"tcp.cc.o"});
  for (const char* banned :
       {"time",       "gettimeofday", "clock_gettime", "ftime",     "signal",      "sigaction",
        "bsd_signal", "sysv_signal",  "sigprocmask",   "rand",      "srand",       "random",
        "srandom",    "drand48",      "setlocale",     "setrlimit", "setrlimit64", "umask",
        "chdir",      "writev",       "alarm",         "setitimer", "atexit"}) {
    EXPECT_FALSE(symbols.contains(banned)) << banned;
  }
}

}  // namespace
}  // namespace tern::test
