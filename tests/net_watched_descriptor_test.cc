// Tests Loop::watch() and Watch.

#include "tern/error.h"
#include "tern/loop.h"

#include "net/fd.h"
#include "net/watched_descriptor.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <sys/eventfd.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using tern::Interest;
using tern::Loop;
using tern::Ready;
using tern::Watch;
using tern::net::Fd;

struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) std::abort();
    reader = Fd(ends[0]);
    writer = Fd(ends[1]);
  }
  void put(const char* text) const { ASSERT_GT(::write(writer.get(), text, std::strlen(text)), 0); }
  Fd reader{};
  Fd writer{};
};

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

// Runs `loop` for a few turns, which is enough for it to report every ready descriptor.
void run_some_turns(Loop& loop) {
  int turns = 0;
  std::function<void()> count = [&] {
    if (++turns == 5) return loop.stop();
    loop.post(count);
  };
  loop.post(count);
  ASSERT_TRUE(loop.run());
}

TEST(Watch, ReportsReadiness) {
  Loop loop;
  Pipe pipe;
  const int fd = pipe.reader.get();
  std::string got;
  auto watch = loop.watch(pipe.reader.release(), Interest::read, [&](Ready ready) {
    EXPECT_TRUE(ready.readable);
    EXPECT_FALSE(ready.writable);
    std::array<char, 2> some;  // a level-triggered reader need not read all bytes
    const ssize_t n = ::read(fd, some.data(), some.size());
    ASSERT_GT(n, 0);
    got.append(some.data(), static_cast<std::size_t>(n));
    if (got.size() == 5) loop.stop();
  });
  ASSERT_TRUE(watch);
  EXPECT_TRUE(*watch);
  EXPECT_EQ(watch->fd(), fd);
  pipe.put("hello");
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(got, "hello");
}

TEST(Watch, DestroyingItClosesTheDescriptor) {
  Loop loop;
  Pipe pipe;
  const int fd = pipe.reader.release();
  {
    auto watch = loop.watch(fd, Interest::read, [](Ready) { FAIL(); });
    ASSERT_TRUE(watch);
    pipe.put("x");
  }
  EXPECT_FALSE(is_open(fd));
  run_some_turns(loop);
}

TEST(Watch, MayEndInsideItsOwnCallback) {
  Loop loop;
  Pipe pipe;
  const int fd = pipe.reader.release();
  auto captured = std::make_shared<int>();
  const std::weak_ptr<int> observer = captured;
  std::optional<Watch> watch;
  int calls = 0;
  auto made = loop.watch(fd, Interest::read, [&, held = std::move(captured)](Ready) {
    ++calls;
    watch.reset();
    EXPECT_FALSE(is_open(fd));
    EXPECT_FALSE(observer.expired());  // the captures of a running function exist
  });
  ASSERT_TRUE(made);
  watch = std::move(*made);
  pipe.put("x");
  run_some_turns(loop);
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(observer.expired());  // the captures are destroyed after the turn
}

TEST(Watch, MayEndInsideTheCallbackOfAnother) {
  Loop loop;
  Pipe pipes[2];
  std::optional<Watch> watches[2];
  int calls = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    pipes[i].put("x");
    auto made = loop.watch(pipes[i].reader.release(), Interest::read, [&, i](Ready) {
      ++calls;
      watches[1 - i].reset();
      watches[i].reset();
    });
    ASSERT_TRUE(made);
    watches[i] = std::move(*made);
  }
  run_some_turns(loop);
  EXPECT_EQ(calls, 1);
}

TEST(Watch, InterestMayChange) {
  Loop loop;
  const int fd = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);  // readable and writable
  std::string reported;
  std::optional<Watch> watch;
  auto made = loop.watch(fd, Interest::none, [&](Ready ready) {
    reported += ready.readable && ready.writable ? 'b' : ready.readable ? 'r' : 'w';
    const Interest next = reported.size() == 1   ? Interest::write
                          : reported.size() == 2 ? Interest::read_write
                                                 : Interest::none;
    EXPECT_TRUE(watch->set_interest(next));
  });
  ASSERT_TRUE(made);
  watch = std::move(*made);
  run_some_turns(loop);
  EXPECT_EQ(reported, "");
  EXPECT_TRUE(watch->set_interest(Interest::read));
  run_some_turns(loop);
  EXPECT_EQ(reported, "rwb");
}

// Both events are already in the batch when the first callback removes the interest of the other.
TEST(Watch, AChangedInterestAppliesAtOnce) {
  // The reading end of a pipe is never writable.
  for (const Interest instead : {Interest::none, Interest::write}) {
    Loop loop;
    Pipe pipes[2];
    std::optional<Watch> watches[2];
    int calls = 0;
    for (std::size_t i = 0; i < 2; ++i) {
      pipes[i].put("x");
      auto made = loop.watch(pipes[i].reader.release(), Interest::read, [&, i, instead](Ready) {
        ++calls;
        EXPECT_TRUE(watches[1 - i]->set_interest(instead));
        EXPECT_TRUE(watches[i]->set_interest(instead));
      });
      ASSERT_TRUE(made);
      watches[i] = std::move(*made);
    }
    run_some_turns(loop);
    EXPECT_EQ(calls, 1);
  }
}

TEST(Watch, ReportsAHangUpOnlyWithAnInterest) {
  Loop loop;
  Pipe pipe;
  int calls = 0;
  std::optional<Watch> watch;
  auto made = loop.watch(pipe.reader.release(), Interest::none, [&](Ready ready) {
    ++calls;
    EXPECT_TRUE(ready.hung_up);
    EXPECT_TRUE(ready.readable);
    watch->close();
    EXPECT_FALSE(*watch);
    EXPECT_EQ(watch->fd(), -1);
  });
  ASSERT_TRUE(made);
  watch = std::move(*made);
  pipe.writer.reset();
  run_some_turns(loop);
  EXPECT_EQ(calls, 0);
  EXPECT_TRUE(watch->set_interest(Interest::read));
  run_some_turns(loop);
  EXPECT_EQ(calls, 1);
}

TEST(Watch, DoesNotTakeADescriptorThatItCannotWatch) {
  Loop loop;
  std::FILE* const file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  const auto regular = loop.watch(::fileno(file), Interest::read, [](Ready) {});
  ASSERT_FALSE(regular);
  EXPECT_EQ(regular.error().code(), std::errc::operation_not_permitted);
  EXPECT_TRUE(is_open(::fileno(file)));
  std::fclose(file);
  const auto none = loop.watch(-1, Interest::read, [](Ready) {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), std::errc::bad_file_descriptor);
}

TEST(Watch, IsMovable) {
  Loop loop;
  Pipe one, two;
  const int first = one.reader.get();
  const int second = two.reader.get();
  auto a = loop.watch(one.reader.release(), Interest::read, [](Ready) {});
  auto b = loop.watch(two.reader.release(), Interest::read, [](Ready) {});
  ASSERT_TRUE(a && b);
  Watch watch = std::move(*a);
  EXPECT_FALSE(*a);
  EXPECT_EQ(a->fd(), -1);
  EXPECT_EQ(watch.fd(), first);
  watch = std::move(*b);
  EXPECT_FALSE(is_open(first));
  EXPECT_EQ(watch.fd(), second);
  EXPECT_EQ(Watch().set_interest(Interest::read).error().code(), tern::Errc::closed);
}

TEST(Watch, MayOutliveTheLoop) {
  Pipe pipe;
  const int fd = pipe.reader.release();
  const auto alive = std::make_shared<int>();
  Watch watch;
  {
    Loop loop;
    auto made = loop.watch(fd, Interest::read, [alive](Ready) {});
    ASSERT_TRUE(made);
    watch = std::move(*made);
  }
  EXPECT_EQ(alive.use_count(), 1);
  EXPECT_TRUE(is_open(fd));
  EXPECT_TRUE(watch.set_interest(Interest::read_write));
  watch.close();
  EXPECT_FALSE(is_open(fd));
}

// A Watch that only its own function holds ends with the loop.
TEST(Watch, MayBeHeldByItsOwnFunction) {
  Pipe pipe;
  const int fd = pipe.reader.release();
  {
    Loop loop;
    const auto held = std::make_shared<Watch>();
    auto made = loop.watch(fd, Interest::read, [held](Ready) {});
    ASSERT_TRUE(made);
    *held = std::move(*made);
  }
  EXPECT_FALSE(is_open(fd));
}

}  // namespace
