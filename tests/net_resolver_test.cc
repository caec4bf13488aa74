// The tests send only "localhost" to the system's resolver, because the answers for other names
// depend on the network.
#include "net/resolver.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <gtest/gtest.h>
#include <netdb.h>
#include <stop_token>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

// Threads may still use these variables when the process ends, so they have no destructor.
std::atomic<bool> late_answers = false;  // look-ups of late.invalid wait for it
std::atomic<int> slow_round = 0;         // look-ups of slow*.invalid wait for the next one
std::atomic<int> slow_ones = 0;          // look-ups of slow*.invalid that have begun
std::atomic<int> unwanted_ones = 0;      // of unwanted.invalid

// Runs in a child of LookupsMayRunWhenMainReturns, when all static objects are destroyed that were
// made after the beginning of main.
struct AfterMain {
  bool wanted = false;
  std::atomic<int> answer = 0;

  ~AfterMain() {
    if (!wanted) return;
    ++slow_round;
    slow_round.notify_all();
    answer.wait(0);
    ::_exit(answer);
  }
} after_main;

}  // namespace

extern "C" {
// The thread sanitizer would end a child of fork() that starts threads.
const char* __tsan_default_options() { return "die_after_fork=0"; }  // NOLINT

int __real_getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**);  // NOLINT

int __wrap_getaddrinfo(const char* host, const char* service, const addrinfo* hints,  // NOLINT
                       addrinfo** result) {
  const std::string_view name = host;
  if (name.starts_with("slow")) {
    const int round = slow_round;
    ++slow_ones;
    slow_ones.notify_all();
    slow_round.wait(round);
  }
  if (name == "late.invalid") late_answers.wait(false);
  if (name == "unwanted.invalid") ++unwanted_ones;
  return name.ends_with(".invalid") ? EAI_NONAME : __real_getaddrinfo(host, service, hints, result);
}
}

namespace {

using namespace std::chrono_literals;
using tern::net::Address;
using tern::net::Addresses;
using tern::net::Lookup;
using Clock = std::chrono::steady_clock;

const auto never = Clock::time_point::max();

void let_slow_ones_end() {
  ++slow_round;
  slow_round.notify_all();
}

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
    const auto resolved = tern::net::resolve("late.invalid", 80, deadline);
    ASSERT_FALSE(resolved);
    EXPECT_EQ(resolved.error().code(), tern::Errc::timed_out);
    EXPECT_GE(Clock::now(), deadline);
  }
  late_answers = true;  // ends the abandoned threads
  late_answers.notify_all();
}

// The status of a child of fork() that runs `body` and ends with its result.
int status_of_child(const std::function<int()>& body) {
  std::fflush(nullptr);  // or else the child writes it too
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);      // ends a child that waits without end
    ::_exit(body());  // without looking for what the threads of the parent leave behind
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Keeps all threads of look-ups busy, each with a name of its own.
class AllBusy {
 public:
  AllBusy() {
    slow_ones = 0;
    for (int begun = 0; begun < 8; ++begun) {
      const std::string name = "slow" + std::to_string(begun) + ".invalid";
      wishes_.push_back(tern::net::resolve_async(name, 80, [](const auto&) {}));
      slow_ones.wait(begun);
    }
  }
  ~AllBusy() { let_slow_ones_end(); }
  Lookup& first() { return wishes_.front(); }

 private:
  std::vector<Lookup> wishes_{};
};

TEST(Resolver, ALookupThatIsGivenUpInTheQueueIsNotRun) {
  {
    const AllBusy all_busy;
    const auto resolved = tern::net::resolve("unwanted.invalid", 80, Clock::now() - 1s);
    ASSERT_FALSE(resolved);
    EXPECT_EQ(resolved.error().code(), tern::Errc::timed_out);
    std::stop_source stop;
    stop.request_stop();
    const auto stopped = tern::net::resolve("unwanted.invalid", 80, never, stop.get_token());
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code(), tern::Errc::stopped);
  }
  // It comes after the others in the queue.
  EXPECT_FALSE(tern::net::resolve("last.invalid", 80, never));
  EXPECT_EQ(unwanted_ones, 0);
}

TEST(Resolver, AChildOfForkHasThreadsOfItsOwn) {
  AllBusy all_busy;
  std::atomic<bool> queued_answered = false;
  const Lookup queued =
      tern::net::resolve_async("queued.invalid", 80, [&](const auto&) { queued_answered = true; });
  const int status = status_of_child([&] {
    all_busy.first() = Lookup();  // a wish of the parent
    const auto resolved = tern::net::resolve("no.such.host.invalid", 80, never);
    if (resolved || resolved.error().code() != tern::Errc::name_not_resolved) return 1;
    // And the child's own child.
    return status_of_child([] { return tern::net::resolve("localhost", 80, never) ? 0 : 1; });
  });
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(queued_answered) << "the look-ups of the parent go on as before";
}

TEST(Resolver, LookupsMayRunWhenMainReturns) {
  EXPECT_EQ(status_of_child([]() -> int {
              slow_ones = 0;
              after_main.wanted = true;
              static const Lookup* const lookup =
                  new Lookup(tern::net::resolve_async("slow.invalid", 80, [](const auto& answer) {
                    const std::string text = answer.error().message();
                    after_main.answer = text.starts_with("resolve slow.invalid (") ? 42 : 1;
                    after_main.answer.notify_all();
                  }));
              slow_ones.wait(0);
              std::exit(lookup == nullptr ? 1 : 0);
            }),
            42);
}

TEST(Resolver, ResolveAsyncAnswersOnAnotherThread) {
  std::promise<std::thread::id> answered;
  const Lookup lookup =
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
