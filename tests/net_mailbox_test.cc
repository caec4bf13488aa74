// Mailbox: its bounds, its order, and the wake-ups of a sleeping loop.
#include "net/mailbox.h"

#include <array>
#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <poll.h>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using tern::net::Mailbox;

std::vector<Mailbox::Function> take(Mailbox& mailbox) {
  std::vector<Mailbox::Function> batch;
  mailbox.take(batch);
  return batch;
}

// Returns the number of writes to the eventfd since the last call.
std::uint64_t writes_seen(const Mailbox& mailbox) {
  std::uint64_t count = 0;
  return ::read(mailbox.fd(), &count, sizeof count) == sizeof count ? count : 0;
}

TEST(Mailbox, ReturnsFunctionsInTheOrderOfThePosts) {
  Mailbox mailbox({.functions = 10});
  std::string order;
  for (char c : {'a', 'b', 'c'}) EXPECT_TRUE(mailbox.post([&order, c] { order += c; }));
  EXPECT_TRUE(mailbox.waiting());
  for (auto& function : take(mailbox)) function();
  EXPECT_EQ(order, "abc");
  EXPECT_FALSE(mailbox.waiting());
  EXPECT_TRUE(take(mailbox).empty());
}

TEST(Mailbox, IsBoundedInFunctions) {
  Mailbox mailbox({.functions = 2});
  const auto alive = std::make_shared<int>();
  EXPECT_TRUE(mailbox.post([alive] {}));
  EXPECT_TRUE(mailbox.post([alive] {}));
  EXPECT_FALSE(mailbox.post([alive] {}));
  EXPECT_EQ(alive.use_count(), 3);  // the refused function is destroyed
  EXPECT_EQ(take(mailbox).size(), 2u);
  EXPECT_TRUE(mailbox.post([alive] {}));
}

// Calls post() with these loads and returns the results, for example "1101".
std::string post_all(Mailbox& mailbox, std::initializer_list<Mailbox::Load> loads) {
  std::string answers;
  for (const Mailbox::Load& load : loads) answers += mailbox.post([] {}, load) ? '1' : '0';
  return answers;
}

TEST(Mailbox, IsBoundedInBytes) {
  Mailbox mailbox({.functions = 10, .bytes = 100});
  EXPECT_EQ(post_all(mailbox, {{.bytes = 60}, {.bytes = 41}, {.bytes = 40}, {.bytes = 1}, {}}),
            "10101");
  EXPECT_EQ(take(mailbox).size(), 3u);
  // take() released the bytes.
  EXPECT_EQ(post_all(mailbox, {{.bytes = 50}, {.bytes = 50}, {.bytes = 1}}), "110");
}

TEST(Mailbox, AnEmptyMailboxTakesAnyFunction) {
  for (const Mailbox::Bounds bounds : {Mailbox::Bounds{10, 100}, Mailbox::Bounds{0, 0}}) {
    Mailbox mailbox(bounds);
    EXPECT_EQ(post_all(mailbox, {{.bytes = 1'000'000}, {.bytes = 1}}), "10");
    take(mailbox);
    EXPECT_EQ(post_all(mailbox, {{.bytes = ~std::size_t{0}}, {.bytes = ~std::size_t{0}}}), "10");
  }
}

TEST(Mailbox, SharedBytesCountOnce) {
  Mailbox mailbox({.functions = 10, .bytes = 100});
  const int first = 1;
  const int second = 2;
  EXPECT_EQ(post_all(mailbox, {{.bytes = 60, .shared = &first},
                               {.bytes = 60, .shared = &first},
                               {.bytes = 60, .shared = &second},
                               {.bytes = 60, .shared = &first},
                               {.bytes = 40, .shared = &second},
                               {.bytes = 40, .shared = &second},
                               {.bytes = 60, .shared = &first}}),
            "1101110");
  // In the next batch, another block may have the address of the freed one.
  take(mailbox);
  EXPECT_EQ(post_all(mailbox, {{.bytes = 60, .shared = &second}, {.bytes = 60}}), "10");
}

TEST(Mailbox, AFullMailboxTakesUnboundedLoads) {
  Mailbox mailbox({.functions = 1, .bytes = 10});
  EXPECT_EQ(post_all(mailbox, {{}, {}, {.bytes = 20, .bounded = false}, {.bytes = 1}}), "1010");
  mailbox.close();
  EXPECT_EQ(post_all(mailbox, {{.bounded = false}}), "0");
}

TEST(Mailbox, CloseDestroysWaitingFunctionsAndRefusesPosts) {
  Mailbox mailbox({.functions = 10});
  const auto alive = std::make_shared<int>();
  EXPECT_TRUE(mailbox.post([alive] { FAIL(); }));
  mailbox.close();
  EXPECT_TRUE(mailbox.closed());
  EXPECT_EQ(alive.use_count(), 1);
  EXPECT_FALSE(mailbox.post([alive] { FAIL(); }));
  EXPECT_EQ(alive.use_count(), 1);
  EXPECT_TRUE(take(mailbox).empty());
}

// A destructor that posts would deadlock if it ran under the lock.
TEST(Mailbox, DestroysFunctionsOutsideTheLock) {
  struct PostsWhenDestroyed {
    explicit PostsWhenDestroyed(Mailbox* to) : to_(to) {}
    PostsWhenDestroyed(PostsWhenDestroyed&& other) noexcept
        : to_(std::exchange(other.to_, nullptr)) {}
    ~PostsWhenDestroyed() {
      if (to_ != nullptr) {
        EXPECT_FALSE(to_->post([] {}));
      }
    }
    void operator()() {}
    Mailbox* to_;
  };
  Mailbox mailbox({.functions = 1});
  EXPECT_TRUE(mailbox.post(PostsWhenDestroyed(&mailbox)));
  EXPECT_FALSE(mailbox.post(PostsWhenDestroyed(&mailbox)));  // full
  mailbox.close();
}

TEST(Mailbox, WakesASleepingLoopOnceForEachBatch) {
  Mailbox mailbox({.functions = 10});
  EXPECT_TRUE(mailbox.post([] {}));
  EXPECT_EQ(writes_seen(mailbox), 0u);       // the loop is awake, so there is no write
  EXPECT_FALSE(mailbox.prepare_to_sleep());  // the loop must not sleep
  take(mailbox);
  EXPECT_TRUE(mailbox.prepare_to_sleep());
  EXPECT_TRUE(mailbox.post([] {}));
  EXPECT_TRUE(mailbox.post([] {}));
  EXPECT_EQ(writes_seen(mailbox), 1u);
  mailbox.awake();
  take(mailbox);
  EXPECT_TRUE(mailbox.prepare_to_sleep());
  mailbox.awake();
  EXPECT_TRUE(mailbox.post([] {}));
  EXPECT_EQ(writes_seen(mailbox), 0u);
}

TEST(Mailbox, WakesTheLoopEvenIfTheCounterIsFull) {
  Mailbox mailbox({.functions = 10});
  const std::uint64_t full = ~std::uint64_t{0} - 1;
  ASSERT_EQ(::write(mailbox.fd(), &full, sizeof full), static_cast<ssize_t>(sizeof full));
  errno = EDOM;
  mailbox.wake();
  EXPECT_EQ(errno, EDOM);  // errno stays the same, because a signal handler may call wake()
  EXPECT_EQ(writes_seen(mailbox), 1u);
}

// Eight threads post to one thread that sleeps. Each function arrives once, the functions of one
// thread in order, and no wake-up is lost.
TEST(Mailbox, PostsOfManyThreadsArriveOnceAndInOrder) {
  constexpr int senders = 8;
  constexpr int each = 20'000;
  const auto mailbox = std::make_shared<Mailbox>(Mailbox::Bounds{.functions = 1024});
  std::array<int, senders> next{};
  std::vector<std::thread> threads;
  for (std::size_t s = 0; s < senders; ++s) {
    threads.emplace_back([mailbox, s, &next] {
      for (int i = 0; i < each; ++i) {
        const auto function = [s, i, &next] {
          EXPECT_EQ(next[s], i);
          next[s] = i + 1;
        };
        while (!mailbox->post(function)) std::this_thread::yield();
      }
    });
  }
  int total = 0;
  std::vector<Mailbox::Function> batch;
  while (total < senders * each) {
    if (mailbox->prepare_to_sleep()) {
      pollfd waits{mailbox->fd(), POLLIN, 0};
      ASSERT_EQ(::poll(&waits, 1, 30'000), 1) << "a wake-up was lost after " << total;
      writes_seen(*mailbox);
    }
    mailbox->awake();
    mailbox->take(batch);
    EXPECT_LE(batch.size(), 1024u);
    for (auto& function : batch) function();
    total += static_cast<int>(batch.size());
    batch.clear();
  }
  for (auto& thread : threads) thread.join();
  for (int count : next) EXPECT_EQ(count, each);
  EXPECT_FALSE(mailbox->waiting());
}

TEST(Mailbox, MayBeClosedWhileOthersPost) {
  const auto mailbox = std::make_shared<Mailbox>(Mailbox::Bounds{.functions = 1u << 20});
  std::atomic<int> accepted{0};
  std::atomic<int> refused{0};
  const auto alive = std::make_shared<int>();
  std::vector<std::thread> threads;
  for (int s = 0; s < 4; ++s) {
    threads.emplace_back([mailbox, alive, &accepted, &refused] {
      while (mailbox->post([alive] {})) ++accepted;
      ++refused;
    });
  }
  while (accepted.load() < 1000) std::this_thread::yield();
  mailbox->close();
  for (auto& thread : threads) thread.join();
  threads.clear();
  EXPECT_EQ(refused.load(), 4);
  EXPECT_EQ(alive.use_count(), 1);
}

}  // namespace
