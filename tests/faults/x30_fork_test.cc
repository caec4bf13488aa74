// X30: the process forks.
//
// Pass: the child does not affect the parent, even if the child runs its destructors. A child may
// serve a server that its parent has prepared, and the parent's destructors do not affect it.
// Masking keys of parent and child differ: no equal keys in 10 000 pairs. Every descriptor is
// close-on-exec.
#include "tern/dial.h"
#include "tern/engine.h"
#include "tern/loop.h"

#include "faults/support/aftermath.h"

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <memory>
#include <set>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace tern::test {
namespace {

constexpr std::size_t pairs = 10'000;

// The masking key of an empty ping, which a client's engine writes.
std::uint32_t next_key(Engine& engine) {
  engine.ping();
  std::string bytes;
  for (const iovec& piece : engine.output()) {
    bytes.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  engine.consume_output(bytes.size());
  engine.settle();
  std::uint32_t key = 0;
  if (bytes.size() == 6) std::memcpy(&key, bytes.data() + 2, 4);
  return key;
}

std::vector<std::uint32_t> draw_keys(Engine& engine) {
  std::vector<std::uint32_t> keys;
  for (std::size_t i = 0; i < pairs; ++i) keys.push_back(next_key(engine));
  return keys;
}

TEST(Faults, X30_ParentAndChildMaskDifferently) {
  const EngineOptions options;
  Workspace workspace;
  auto engine = Engine::established(Role::client, {}, options, workspace);
  ASSERT_TRUE(engine);
  engine->tick(std::chrono::steady_clock::now());
  while (engine->next()) {
  }
  ASSERT_NE(next_key(*engine), next_key(*engine));  // fills its block of random bytes
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto keys = draw_keys(*engine);
    const auto* bytes = reinterpret_cast<const char*>(keys.data());
    for (std::size_t put = 0; put < pairs * 4;) {
      const ssize_t size = ::write(ends[1], bytes + put, pairs * 4 - put);
      if (size <= 0) ::_exit(1);
      put += static_cast<std::size_t>(size);
    }
    ::_exit(0);
  }
  ASSERT_GT(child, 0);
  ::close(ends[1]);
  const auto ours = draw_keys(*engine);
  std::vector<std::uint32_t> theirs(pairs);
  for (std::size_t got = 0; got < pairs * 4;) {
    const ssize_t size =
        ::read(ends[0], reinterpret_cast<char*>(theirs.data()) + got, pairs * 4 - got);
    ASSERT_GT(size, 0);
    got += static_cast<std::size_t>(size);
  }
  ::close(ends[0]);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  std::size_t equal = 0;
  for (std::size_t i = 0; i < pairs; ++i) equal += ours[i] == theirs[i];
  EXPECT_EQ(equal, 0u);
  std::set<std::uint32_t> all(ours.begin(), ours.end());
  all.insert(theirs.begin(), theirs.end());
  EXPECT_GE(all.size(), 2 * pairs - 10) << "keys that both have used";
}

TEST(Faults, X30_ChildrenThatExitLeaveTheServerAlone) {
  const sys::Bystander bystander;
  House house;
  ASSERT_TRUE(house.start()) << house.why();
  Aftermath aftermath(house);
  std::uint64_t forks = 0;
  {
    RawClient client(house.port());
    ASSERT_TRUE(client.upgrade());
    for (int i = 0; i < 20; ++i) {
      const pid_t child = ::fork();
      if (child == 0) ::_exit(0);
      ASSERT_GT(child, 0);
      int status = -1;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      forks += status == 0;
      ASSERT_TRUE(client.send(text("still here")));
      ASSERT_EQ(client.next(), "text still here");
    }
    client.send(closing(1000));
    EXPECT_EQ(client.next(), "close 1000");
  }
  aftermath.expect_fired(forks, "fork", 20);
  aftermath.expect_clean();
}

}  // namespace
}  // namespace tern::test

namespace {
bool leaves_without_its_heap = false;
}

// A forked child exits without freeing the parent's connections, so LeakSanitizer must not report
// them.
extern "C" int __lsan_is_turned_off() { return leaves_without_its_heap ? 1 : 0; }  // NOLINT

namespace tern::test {
namespace {

// Waits for the child. Returns whether its exit code was 0.
bool ended_well(pid_t child) {
  int status = -1;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// exit() destroys it, like any static object of a program.
std::unique_ptr<Server>& static_server() {
  static std::unique_ptr<Server> server;
  return server;
}

TEST(Faults, X30_AChildThatRunsItsDestructorsLeavesTheServerAlone) {
  const sys::Bystander bystander;
  static std::atomic<int> closed;
  closed = 0;
  static_server() = std::make_unique<Server>(ServerOptions{.host = "127.0.0.1", .threads = 2});
  Server& server = *static_server();
  server.route("/echo", Handlers{.on_message =
                                     [](Connection& conn, Message msg) {
                                       if (msg.text() == "fork") {
                                         const pid_t child = ::fork();
                                         leaves_without_its_heap = child == 0;
                                         if (child == 0) std::exit(closed);
                                         conn.send(ended_well(child) ? "well" : "badly");
                                         return;
                                       }
                                       conn.send(msg);
                                     },
                                 .on_close = [](Connection&, const CloseInfo&) { ++closed; }});
  ASSERT_TRUE(server.listen());
  std::thread runs([&] { EXPECT_TRUE(server.run()); });
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back(server.port());
    ASSERT_TRUE(clients.back().upgrade());
  }
  for (int round = 0; round < 5; ++round) {
    // Forks on a thread that is not the server's, and then in a handler.
    const pid_t child = ::fork();
    leaves_without_its_heap = child == 0;
    if (child == 0) std::exit(closed);
    EXPECT_TRUE(ended_well(child));
    clients[0].send(text("fork"));
    EXPECT_EQ(clients[0].next(), "text well");
    for (RawClient& client : clients) {
      client.send(text("still here"));
      ASSERT_EQ(client.next(), "text still here");
    }
  }
  EXPECT_EQ(clean_echoes(server.port(), 10), 11u) << "the listener as well";
  server.stop();
  for (RawClient& client : clients) client.finish();
  runs.join();
  EXPECT_EQ(closed, 9);
  static_server().reset();
}

TEST(Faults, X30_AChildServesWhatItsParentDestroys) {
  const sys::Bystander bystander;
  for (const bool again : {false, true}) {
    auto server = std::make_unique<Server>(ServerOptions{.host = "127.0.0.1", .threads = 2});
    server->route("/echo", Handlers{.on_message = [&](Connection& conn, Message msg) {
                    conn.send(msg);
                    if (msg.text() == "stop") server->stop();
                  }});
    if (again) {  // the server has already run in the parent
      server->stop();
      ASSERT_TRUE(server->run());
    }
    ASSERT_TRUE(server->listen());
    const std::uint16_t port = server->port();
    const pid_t child = ::fork();
    leaves_without_its_heap = child == 0;
    if (child == 0) {
      ::alarm(120);
      ::_exit(server->run() ? 0 : 1);
    }
    EXPECT_EQ(clean_echoes(port, 10), 11u);
    RawClient client(port);
    ASSERT_TRUE(client.upgrade());
    server->stop(std::chrono::seconds(0));  // in the parent, which does not run it
    server.reset();
    client.send(text("still here"));
    EXPECT_EQ(client.next(), "text still here");
    EXPECT_EQ(clean_echoes(port, 10), 11u);
    client.send(text("stop"));
    EXPECT_EQ(client.next(), "text stop");
    client.finish();
    EXPECT_TRUE(ended_well(child));
  }
}

// A position of one process must not count in the other, because they publish apart.
TEST(Faults, X30_TopicsOfAChildHaveEpochsOfTheirOwn) {
  const sys::Bystander bystander;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Server server({.host = "127.0.0.1"});
  server.topics({.history = 5});
  const Topic topic = server.topic("t");
  ASSERT_EQ(topic.publish("before").value(), PublishStatus::nobody);
  const std::uint64_t before = topic.position().epoch;
  server.on_worker_start([&](Loop&) {
    const std::uint64_t epoch = topic.position().epoch;
    EXPECT_EQ(::write(ends[1], &epoch, sizeof epoch), static_cast<ssize_t>(sizeof epoch));
    server.stop(std::chrono::seconds(0));
  });
  ASSERT_TRUE(server.listen());
  std::set<std::uint64_t> epochs;
  const auto next = [&] {
    std::uint64_t epoch = 0;
    EXPECT_EQ(::read(ends[0], &epoch, sizeof epoch), static_cast<ssize_t>(sizeof epoch));
    return epoch;
  };
  for (int i = 0; i < 2; ++i) {
    const pid_t child = ::fork();
    leaves_without_its_heap = child == 0;
    if (child == 0) {
      ::alarm(120);
      ::_exit(server.run() ? 0 : 1);
    }
    EXPECT_TRUE(ended_well(child));
    epochs.insert(next());
  }
  EXPECT_FALSE(epochs.contains(before));
  ASSERT_TRUE(server.run());
  EXPECT_EQ(next(), before) << "the parent goes on";
  EXPECT_EQ(epochs.size(), 2u);
  ::close(ends[0]);
  ::close(ends[1]);
}

// Everything that a program adds to a loop before it forks works in both processes.
TEST(Faults, X30_ALoopRunsInTheChildAndInTheParent) {
  sigset_t user;
  ::sigemptyset(&user);
  ::sigaddset(&user, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &user, nullptr);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  Loop loop;
  int events = 0;
  const auto count = [&] {
    if (++events == 4) loop.stop();
  };
  auto watch = loop.watch(ends[0], Interest::read, [&](Ready) {
    char byte = 0;
    if (::read(ends[0], &byte, 1) == 1) count();
  });
  ASSERT_TRUE(watch);
  ASSERT_TRUE(loop.on_signal(SIGUSR2, [&](int) { count(); }));
  loop.after(std::chrono::milliseconds(1), count);
  ASSERT_TRUE(loop.post([&] {
    ::raise(SIGUSR2);
    EXPECT_EQ(::write(ends[1], "x", 1), 1);
    count();
  }));
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(120);
    {
      Watch mine = *std::move(watch);
      if (!loop.run() || events != 4) ::_exit(1);
      mine.close();  // leaves only the epoll instance of the child
    }
    ::_exit(0);
  }
  EXPECT_TRUE(ended_well(child));
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(events, 4);
  ::close(ends[1]);
}

// A child that never runs the loop shares the epoll instance of its parent.
TEST(Faults, X30_AChildThatClosesAWatchLeavesThatOfItsParent) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  Loop loop;
  bool fired = false;
  auto watch = loop.watch(ends[0], Interest::read, [&](Ready) {
    fired = true;
    loop.stop();
  });
  ASSERT_TRUE(watch);
  const pid_t child = ::fork();
  if (child == 0) {
    watch->close();
    ::_exit(0);
  }
  EXPECT_TRUE(ended_well(child));
  EXPECT_EQ(::write(ends[1], "x", 1), 1);
  loop.after(std::chrono::seconds(1), [&] { loop.stop(); });  // a turn looks at descriptors first
  ASSERT_TRUE(loop.run());
  EXPECT_TRUE(fired);
  ::close(ends[1]);
}

std::set<int> descriptors() {
  std::set<int> all;
  DIR* const directory = ::opendir("/proc/self/fd");
  while (const dirent* const entry = ::readdir(directory)) {
    const int fd = std::atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != ::dirfd(directory)) all.insert(fd);
  }
  ::closedir(directory);
  return all;
}

// Two workers, a connection, a client, and a loop with a signal together open every kind of
// descriptor.
TEST(Faults, X30_EveryDescriptorIsCloseOnExec) {
  const std::set<int> before = descriptors();
  sigset_t user;
  ::sigemptyset(&user);
  ::sigaddset(&user, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &user, nullptr);
  Loop loop;
  ASSERT_TRUE(loop.on_signal(SIGUSR2, [](int) {}));
  House house({.threads = 2});
  ASSERT_TRUE(house.start()) << house.why();
  auto dialed = dial(house.url());
  ASSERT_TRUE(dialed) << dialed.error().message();
  std::size_t found = 0;
  for (const int fd : descriptors()) {
    if (before.contains(fd)) continue;
    ++found;
    const int flags = ::fcntl(fd, F_GETFD);
    EXPECT_TRUE(flags >= 0 && (flags & FD_CLOEXEC) != 0) << "descriptor " << fd;
  }
  // Three loops with two descriptors each and a signalfd, two listeners and the stop event, both
  // ends of a connection, and the client's eventfd.
  EXPECT_GE(found, 13u);
  EXPECT_TRUE(dialed->close());
}

}  // namespace
}  // namespace tern::test
