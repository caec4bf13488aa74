// The memory of a client on a loop. A client whose connection is idle holds little, and small
// messages allocate nothing. The server runs in another process, so that only the client counts.
#include "tern/client.h"

#include "client/loop_client.h"
#include "connection/live_connection.h"
#include "support/counting_malloc.h"
#include "support/process.h"

#include <cstddef>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace tern::test {
namespace {

constexpr std::size_t warm_echoes = 1'100;  // memory of the loop and of the engine grows meanwhile
constexpr std::size_t all_echoes = 2'200;   // a client uses up its random block and fills it again

struct Counter {
  Loop& loop;
  std::size_t opened = 0;
  std::size_t expected = 0;
  std::size_t echoes = 0;
  std::size_t warm_allocations = 0;
  std::size_t all_allocations = 0;
};

struct Session {
  Counter& counter;
  void on_open(Connection&) {
    if (++counter.opened == counter.expected) counter.loop.stop();
  }
  void on_message(Connection& conn, Message message) {
    if (++counter.echoes == warm_echoes) counter.warm_allocations = allocations;
    if (counter.echoes < all_echoes) {
      conn.send(message);
    } else {
      counter.all_allocations = allocations;
      counter.loop.stop();
    }
  }
};

class Clients {
 public:
  Clients() {
    options_->retry = Retry::never();
    options_->on_ended = [](const Ended& ended) {
      ADD_FAILURE() << (ended.failure ? ended.failure->message() : "a connection ended");
    };
    clients_.reserve(3'000);
  }

  // Opens so many more connections, to one URL or each to a URL of its own.
  void open(std::size_t count, bool same_url) {
    counter_.expected += count;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string query = same_url ? "" : "?" + std::to_string(100'000 + clients_.size());
      clients_.emplace_back(loop_, server_.url() + query, options_);
      EXPECT_TRUE(clients_.back().connect<Session>(std::ref(counter_)));
    }
    run();
  }
  // Sends this payload to and fro on one connection. Returns the number of allocations after the
  // warm-up.
  std::size_t echo(const std::string& payload) {
    EXPECT_TRUE(clients_.back().send(std::string_view(payload)));
    run();
    EXPECT_EQ(counter_.echoes, all_echoes);
    return counter_.all_allocations - counter_.warm_allocations;
  }

 private:
  void run() {
    const TimerId watchdog = loop_.after(patience, [this] {
      ADD_FAILURE() << "nothing happened";
      loop_.stop();
    });
    EXPECT_TRUE(loop_.run());
    loop_.cancel(watchdog);
    // Another turn frees what the last one left.
    loop_.post([this] { loop_.stop(); });
    EXPECT_TRUE(loop_.run());
  }

  EchoServer server_{};
  Loop loop_{};
  Counter counter_{loop_};
  std::shared_ptr<ClientOptions> options_ = std::make_shared<ClientOptions>();
  std::vector<Client> clients_{};
};

TEST(AllocClient, AnIdleClientIsSmall) {
  for (const bool same_url : {true, false}) {
    Clients clients;
    clients.open(1'000, same_url);  // tables grow to their size for up to 1 024 connections
    const std::size_t before = live_bytes;
    clients.open(20, same_url);
    const auto each = (live_bytes - before) / 20;
    const std::size_t connection = sizeof(connection::LiveConnection) + 8;  // as in a server
    EXPECT_LE(each - connection, same_url ? 344u : 400u) << each;
    testing::Test::RecordProperty(same_url ? "one_url" : "many_urls", static_cast<int>(each));
  }
  EXPECT_LE(sizeof(client::LoopClient), 288u);
}

TEST(AllocClient, ASmallMessageAllocatesNothing) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{16}, std::size_t{1'000}}) {
    SCOPED_TRACE(size);
    Clients clients;
    clients.open(1, true);
    EXPECT_EQ(clients.echo(std::string(size, 'x')), 0u);
  }
}

}  // namespace
}  // namespace tern::test
