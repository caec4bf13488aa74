// The look-ups and the start of threads are injected. In most tests no thread exists: the test
// keeps the bodies of the threads and runs them itself, so the order of everything is known.
#include "net/lookups.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

using tern::net::Address;
using tern::net::Addresses;
using tern::net::Lookup;
using tern::net::Lookups;

using Answer = tern::Result<Addresses>;
using Names = std::vector<std::string>;

Answer some_address() { return Addresses{*Address::parse("192.0.2.7", 0)}; }

// Lookups whose threads are run by the test, one after the other.
struct ByHand {
  std::vector<tern::UniqueFunction<void()>> threads{};  // started, not yet run
  Names looked_up{};
  tern::UniqueFunction<void(const std::string& host)> during = [](const std::string&) {};
  std::error_code no_thread{};
  Lookups lookups{[this](const std::string& host) {
                    looked_up.push_back(host);
                    during(host);
                    return some_address();
                  },
                  [this](tern::UniqueFunction<void()> body) {
                    if (no_thread) throw std::system_error(no_thread);
                    threads.push_back(std::move(body));
                  }};
  Names answered{};  // "host:port"

  Lookup add(const std::string& host, std::uint16_t port = 80) {
    return lookups.add(host, port, [this, host](const Answer& answer) {
      answered.push_back(host + ':' + (answer ? std::to_string(answer->front().port()) : "error"));
    });
  }
  void run_threads() {
    while (!threads.empty()) {
      auto body = std::move(threads.front());
      threads.erase(threads.begin());
      body();
    }
  }
};

// Real threads, and look-ups that wait until the test lets them go on.
TEST(Lookups, NeverMoreThanEightAtATime) {
  struct {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t now = 0, most = 0, allowed = 0, answered = 0;
  } seen;
  std::vector<std::thread> threads;
  Lookups lookups(
      [&](const std::string&) {
        std::unique_lock lock(seen.mutex);
        seen.most = std::max(seen.most, ++seen.now);
        seen.changed.notify_all();
        seen.changed.wait(lock, [&] { return seen.allowed > 0; });
        --seen.allowed;
        --seen.now;
        return some_address();
      },
      [&](tern::UniqueFunction<void()> body) { threads.emplace_back(std::move(body)); });
  std::vector<Lookup> wishes;
  for (int i = 0; i < 100; ++i) {
    wishes.push_back(lookups.add("host" + std::to_string(i), 80, [&](const Answer& answer) {
      const std::lock_guard lock(seen.mutex);
      EXPECT_TRUE(answer);
      ++seen.answered;
      seen.changed.notify_all();
    }));
  }
  EXPECT_EQ(threads.size(), 8u);
  {
    std::unique_lock lock(seen.mutex);
    for (std::size_t done = 0; done < 100; ++done) {
      const std::size_t expected = std::min<std::size_t>(8, 100 - done);
      seen.changed.wait(lock, [&] { return seen.now >= expected && seen.answered == done; });
      ++seen.allowed;
      seen.changed.notify_all();
      seen.changed.wait(lock, [&] { return seen.answered == done + 1; });
    }
    EXPECT_EQ(seen.most, 8u);
  }
  for (std::thread& thread : threads) thread.join();  // each ends by itself
}

TEST(Lookups, FirstInFirstOut) {
  ByHand by_hand;
  std::vector<Lookup> wishes;
  Names hosts;
  for (int i = 0; i < 20; ++i) {
    hosts.push_back("host" + std::to_string(i));
    wishes.push_back(by_hand.add(hosts.back()));
  }
  EXPECT_EQ(by_hand.threads.size(), 8u);
  by_hand.run_threads();
  EXPECT_EQ(by_hand.looked_up, hosts);
  EXPECT_EQ(by_hand.answered.size(), hosts.size());
}

TEST(Lookups, AThreadIsStartedOnlyForALookupThatWaits) {
  ByHand by_hand;
  EXPECT_EQ(by_hand.threads.size(), 0u);
  const Lookup a = by_hand.add("a");
  const Lookup same = by_hand.add("a");
  EXPECT_EQ(by_hand.threads.size(), 1u);
  Lookup b = by_hand.add("b");
  EXPECT_EQ(by_hand.threads.size(), 2u);
  b.cancel();
  const Lookup c = by_hand.add("c");  // for the thread that was started for b
  EXPECT_EQ(by_hand.threads.size(), 2u);
  by_hand.run_threads();  // they end
  const Lookup d = by_hand.add("d");
  EXPECT_EQ(by_hand.threads.size(), 1u);
  by_hand.run_threads();
  EXPECT_EQ(by_hand.looked_up, (Names{"a", "c", "d"}));
}

TEST(Lookups, OneLookupForAllThatWaitForAHost) {
  ByHand by_hand;
  std::vector<Lookup> wishes;
  Names expected;
  for (int port = 1; port <= 10'000; ++port) {
    wishes.push_back(by_hand.add("a", static_cast<std::uint16_t>(port)));
    expected.push_back("a:" + std::to_string(port));
  }
  EXPECT_EQ(by_hand.threads.size(), 1u);
  by_hand.run_threads();
  EXPECT_EQ(by_hand.looked_up, Names{"a"});
  EXPECT_EQ(by_hand.answered, expected);
}

TEST(Lookups, ALookupThatRunsIsNotJoined) {
  ByHand by_hand;
  Lookup later;
  by_hand.during = [&](const std::string&) {
    if (by_hand.looked_up.size() == 1) later = by_hand.add("a", 2);
  };
  const Lookup first = by_hand.add("a", 1);
  by_hand.run_threads();
  EXPECT_EQ(by_hand.looked_up, (Names{"a", "a"}));
  EXPECT_EQ(by_hand.answered, (Names{"a:1", "a:2"}));
}

// The wishes for one name come one after the other, each when the look-ups before it run.
TEST(Lookups, ASlowHostHoldsTwoThreadsAtMost) {
  ByHand by_hand;
  std::vector<Lookup> wishes;
  std::size_t slow_ones = 0;
  std::size_t most = 0;
  by_hand.during = [&](const std::string& host) {
    if (host != "slow") return;
    most = std::max(most, ++slow_ones);
    if (wishes.size() < 20) {
      wishes.push_back(by_hand.add("slow"));
      wishes.push_back(by_hand.add("other" + std::to_string(wishes.size())));
      by_hand.run_threads();
    }
    --slow_ones;
  };
  wishes.push_back(by_hand.add("slow"));
  by_hand.run_threads();
  EXPECT_EQ(most, 2u);
  EXPECT_EQ(by_hand.answered.size(), wishes.size()) << "a wish was forgotten";
  EXPECT_EQ(by_hand.threads.size(), 0u);
}

TEST(Lookups, CancelledOnesAreNotRun) {
  ByHand by_hand;
  const Lookup a = by_hand.add("a");
  Lookup b = by_hand.add("b");
  { const Lookup c = by_hand.add("c"); }  // the destructor cancels
  Lookup d = by_hand.add("d");
  d = by_hand.add("e");  // and the assignment
  EXPECT_TRUE(b.cancel());
  EXPECT_FALSE(b.cancel());
  EXPECT_FALSE(Lookup().cancel());
  by_hand.run_threads();
  EXPECT_EQ(by_hand.looked_up, (Names{"a", "e"}));
  EXPECT_EQ(by_hand.answered, (Names{"a:80", "e:80"}));
  EXPECT_FALSE(d.cancel()) << "it was answered";
}

TEST(Lookups, TheOthersOfACancelledWishAreAnswered) {
  ByHand by_hand;
  Lookup first = by_hand.add("a", 1), second = by_hand.add("a", 2), third = by_hand.add("a", 3);
  EXPECT_TRUE(second.cancel());
  const Lookup moved = std::move(third);
  by_hand.run_threads();
  EXPECT_EQ(by_hand.looked_up, Names{"a"});
  EXPECT_EQ(by_hand.answered, (Names{"a:1", "a:3"}));

  first = by_hand.add("b", 1);
  second = by_hand.add("b", 2);
  EXPECT_TRUE(first.cancel());
  EXPECT_TRUE(second.cancel());
  by_hand.run_threads();
  EXPECT_EQ(by_hand.looked_up, Names{"a"});
}

TEST(Lookups, CancelDestroysDoneAtOnce) {
  ByHand by_hand;
  auto held = std::make_shared<int>();
  const std::weak_ptr<int> watched = held;
  Lookup lookup = by_hand.lookups.add("a", 80, [held = std::move(held)](const Answer&) {});
  EXPECT_FALSE(watched.expired());
  EXPECT_TRUE(lookup.cancel());
  EXPECT_TRUE(watched.expired());
  by_hand.run_threads();
}

TEST(Lookups, CancelDuringTheLookup) {
  ByHand by_hand;
  Lookup a = by_hand.add("a", 1);
  const Lookup other = by_hand.add("a", 2);
  by_hand.during = [&](const std::string&) { EXPECT_TRUE(a.cancel()); };
  by_hand.run_threads();
  EXPECT_EQ(by_hand.answered, Names{"a:2"});
}

TEST(Lookups, CancelWithinDone) {
  ByHand by_hand;
  int called = 0;
  Lookup a, b;
  a = by_hand.lookups.add("a", 80, [&](const Answer&) {
    ++called;
    EXPECT_FALSE(a.cancel()) << "it is being called";
    EXPECT_TRUE(b.cancel()) << "it has its answer, but is not called yet";
    a = Lookup();  // what runs is not destroyed
    ++called;
  });
  b = by_hand.add("a");
  by_hand.run_threads();
  EXPECT_EQ(called, 2);
  EXPECT_EQ(by_hand.answered, Names{});
}

TEST(Lookups, ExceptionsOfALookupBecomeNoMemory) {
  ByHand by_hand;
  by_hand.during = [](const std::string& host) {
    if (host == "a") throw std::bad_alloc();
    throw std::length_error("too long");
  };
  int called = 0;
  const auto done = [&](const Answer& answer) {
    ++called;
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), tern::Errc::no_memory);
  };
  const Lookup a = by_hand.lookups.add("a", 80, done), b = by_hand.lookups.add("b", 80, done);
  by_hand.run_threads();
  EXPECT_EQ(called, 2);
}

TEST(Lookups, WithoutAThreadTheErrorComesAtOnce) {
  ByHand by_hand;
  by_hand.no_thread = std::make_error_code(std::errc::resource_unavailable_try_again);
  std::string text;
  Lookup lookup =
      by_hand.lookups.add("a", 80, [&](const Answer& answer) { text = answer.error().message(); });
  EXPECT_EQ(text, "resolve a: " + by_hand.no_thread.message());
  EXPECT_FALSE(lookup.cancel());

  by_hand.no_thread = {};
  lookup = by_hand.add("a");  // nothing is left of the first
  by_hand.run_threads();
  EXPECT_EQ(by_hand.answered, Names{"a:80"});
}

TEST(Lookups, WithoutAnotherThreadTheOthersDoIt) {
  ByHand by_hand;
  const Lookup a = by_hand.add("a");
  by_hand.no_thread = std::make_error_code(std::errc::resource_unavailable_try_again);
  const Lookup b = by_hand.add("b");
  EXPECT_EQ(by_hand.answered, Names{});
  by_hand.run_threads();
  EXPECT_EQ(by_hand.answered, (Names{"a:80", "b:80"}));
}

// Real threads ask, cancel and answer at the same time; the thread sanitizer looks on.
TEST(Lookups, CancelRacesWithTheAnswer) {
  std::mutex mutex;
  std::vector<std::thread> resolvers;
  const auto called = std::make_shared<std::atomic<int>>(0);
  int cancelled = 0;
  {
    Lookups lookups([](const std::string&) { return some_address(); },
                    [&](tern::UniqueFunction<void()> body) {
                      const std::lock_guard lock(mutex);
                      resolvers.emplace_back(std::move(body));
                    });
    for (int i = 0; i < 1000; ++i) {
      Lookup lookup =
          lookups.add(std::to_string(i % 3), 80, [called](const Answer&) { ++*called; });
      cancelled += lookup.cancel() ? 1 : 0;
    }
  }  // the threads may outlive the object
  for (std::thread& thread : resolvers) thread.join();
  EXPECT_EQ(*called + cancelled, 1000);
}

// The process forks while the lock is held, so nothing releases the lock of the child's copy.
TEST(Lookups, InAChildOfForkTheWishesOfItsParentAreHarmless) {
  std::vector<tern::UniqueFunction<void()>> threads;
  pid_t child = -1;
  Lookup first;
  Lookups* parents = nullptr;
  Lookups lookups([](const std::string&) { return some_address(); },
                  [&](tern::UniqueFunction<void()> body) {
                    threads.push_back(std::move(body));
                    if (threads.size() != 2) return;
                    child = ::fork();
                    if (child != 0) return;
                    ::alarm(60);  // ends a child that waits for the lock
                    const bool harmless = parents->in_child() && !first.cancel();
                    first = Lookup();
                    ::_exit(harmless ? 0 : 1);
                  });
  parents = &lookups;
  int called = 0;
  const auto done = [&](const Answer&) { ++called; };
  first = lookups.add("a", 80, done);
  const Lookup second = lookups.add("b", 80, done);
  ASSERT_GT(child, 0);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(lookups.in_child());
  for (auto& body : threads) body();
  EXPECT_EQ(called, 2);
}

}  // namespace
