// The last part of every row of the fault matrix. It checks that the fault happened, that a
// thousand echoes succeed afterwards, and that no descriptor, heap block or connection is left
// over.
//
//   Aftermath aftermath(house);                  // takes the level, with warm pools
//   ... the fault, counted by fired() ...
//   aftermath.expect_fired(fault.fired());
//   aftermath.expect_clean();                    // echoes, then compares the level
//
// Objects of the row itself (clients, buffers) must not exist when the level is taken or compared.
// A loop keeps memory for later connections: as much as its connections held at the same time, for
// up to 64 of them (engine/workspace.h). So the level is taken after 64 connections. Afterwards the
// heap may hold less but not more. A row with larger messages runs once before the level is taken.
#pragma once

#include "tern/server.h"

#include "faults/support/heap.h"
#include "faults/support/house.h"
#include "faults/support/syscalls.h"
#include "support/raw_client.h"

#include <cstdint>
#include <deque>
#include <dirent.h>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <unistd.h>

namespace tern::test {

/// The number of open descriptors of a process, from /proc; 0 if there is no such process.
inline std::size_t open_descriptors(pid_t process = ::getpid()) {
  DIR* const directory = ::opendir(("/proc/" + std::to_string(process) + "/fd").c_str());
  if (directory == nullptr) return 0;
  std::size_t count = 0;
  while (const dirent* const entry = ::readdir(directory)) count += entry->d_name[0] != '.';
  ::closedir(directory);
  return process == ::getpid() ? count - 1 : count;  // without the one of this function
}

/// Echoes `count` messages of 0 to 4096 bytes over a connected client, then closes. Returns how
/// many came back unchanged and in order, plus one for the closing handshake.
template <class Client>
std::size_t echoes_over(Client& client, std::size_t count) {
  std::size_t good = 0;
  while (good < count) {
    const std::size_t size = good % 10 == 9 ? 4096 : good % 126;
    const Frame sent = text(std::string(size, static_cast<char>('a' + good % 26)));
    if (!client.send(sent) || client.next() != to_string(sent)) return good;
    ++good;
  }
  client.send(closing(1000));
  return good + (client.next() == "close 1000" && client.ends() ? 1 : 0);
}

/// The same with a new client that does not use tern's code.
inline std::size_t clean_echoes(std::uint16_t port, std::size_t count = 1'000,
                                std::string_view path = "/echo") {
  const sys::Bystander bystander;
  RawClient client(port);
  if (!client.connected() || !client.upgrade(path)) return 0;
  return echoes_over(client, count);
}

/// The resources that a process holds.
struct Level {
  std::size_t descriptors = 0;
  std::int64_t blocks = 0;
  std::uint64_t connections = 0;

  static Level of(const Server& server) {
    Level level{.descriptors = open_descriptors(),
                .connections = server.counters().connections_open};
    level.blocks = live_blocks();  // last, when the memory of the calls above is free again
    return level;
  }
  bool within(const Level& before) const {
    return descriptors == before.descriptors && connections == before.connections &&
           blocks <= before.blocks;
  }
  bool operator==(const Level&) const = default;
};

inline std::string to_string(const Level& level) {
  return std::to_string(level.descriptors) + " descriptors, " + std::to_string(level.blocks) +
         " blocks, " + std::to_string(level.connections) + " connections";
}

/// Opens 64 connections at the same time, each in every state that takes memory.
template <class Client = RawClient>
void fill_pools(std::uint16_t port) {
  const sys::Bystander bystander;
  std::deque<Client> clients;
  const std::string all = wire(Role::client, {ping("a"), ping("b"), text("c"), text("d", false)}) +
                          wire(Role::client, more("rest of a message")).substr(0, 12);
  const std::string rest = wire(Role::client, more("rest of a message")).substr(12) +
                           wire(Role::client, closing(1000, std::string(123, 'r')));
  for (int i = 0; i < 64; ++i) {
    clients.emplace_back(port);
    EXPECT_TRUE(clients.back().upgrade());
    clients.back().send(all);
    for (const char* expected : {"pong a", "pong b", "text c"}) {
      EXPECT_EQ(clients.back().next(), expected);
    }
  }
  for (Client& client : clients) {
    client.send(rest);
    EXPECT_EQ(client.next(), "text drest of a message");
    EXPECT_EQ(client.next(), "close 1000");
  }
}

class Aftermath {
 public:
  /// Takes the level after some echoes, so that pools are warm. The house must have been started.
  explicit Aftermath(const House& house, std::size_t echoes = 1'000)
      : server_(house.server), port_(house.port()), echoes_(echoes) {
    take_level();
  }
  /// The same for any other Server with an echo at /echo.
  explicit Aftermath(const Server& server, std::size_t echoes = 1'000)
      : server_(server), port_(server.port()), echoes_(echoes) {
    take_level();
  }

  /// Takes the level again. Later comparisons use this one.
  void take_level() {
    SCOPED_TRACE("the level");  // allocates the memory that the row's traces need
    SCOPED_TRACE("with echoes");
    fill_pools(server_.port());
    echo();
    before_ = settled();
  }
  /// Fails the test if the fault did not happen, because then the row has shown nothing.
  void expect_fired(std::uint64_t fired, std::string_view what = "the fault",
                    std::uint64_t at_least = 1) {
    EXPECT_GE(fired, at_least) << what << " fired too seldom: the test proves nothing";
    fired_ = fired_ || fired >= at_least;
  }
  /// Echoes, and waits until the process holds no more than the level.
  void expect_clean() {
    if (!fired_) {
      ADD_FAILURE() << "no fault fired";
      return;
    }
    echo();
    Level now;
    EXPECT_TRUE(eventually([&] { return (now = Level::of(server_)).within(before_); }))
        << to_string(now) << "; before: " << to_string(before_);
  }

 private:
  void echo() { EXPECT_EQ(clean_echoes(port_, echoes_), echoes_ + 1) << "echoes and a close"; }

  // A connection leaves the counter before its memory is freed, and no event reports that. So the
  // level is the value that stays the same for a while, without connections.
  Level settled() {
    Level level;
    int same = 0;
    eventually([&] {
      const Level next = Level::of(server_);
      same = next == level && next.connections == 0 ? same + 1 : 0;
      level = next;
      return same == 20;
    });
    return level;
  }

  const Server& server_;
  const std::uint16_t port_;
  const std::size_t echoes_;
  Level before_{};
  bool fired_ = false;
};

}  // namespace tern::test
