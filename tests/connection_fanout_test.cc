// The fan-out of one worker without a server: a loop, one connection over a pair of sockets, and a
// table of topics.
#include "connection/fanout.h"
#include "connection/live_connection.h"
#include "connection/publishing.h"
#include "faults/support/memory.h"
#include "support/socket_pair.h"
#include "support/wire.h"

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <sys/socket.h>

namespace tern::test {
namespace {

struct Subscriber {
  void on_open(Connection& conn) { conn.subscribe("t").value(); }
  void on_message(Connection&, Message) {}
};

/// A server's connection that subscribes to "t".
class Stage final : private connection::Owner {
 public:
  Stage() {
    connection_ = connection::LiveConnection::start(
        std::move(sockets_.client), *Engine::established(Role::server, {}, options_, workspace_),
        environment_);
    EXPECT_NE(connection_, nullptr);
    const std::string pong = wire(Role::client, test::pong({}));
    EXPECT_EQ(::send(sockets_.server.get(), pong.data(), pong.size(), 0),
              static_cast<ssize_t>(pong.size()));
    while (table->counts().topics == 0) turn();
  }
  ~Stage() {
    shared_.registry->for_each(
        [](connection::LiveConnection& connection) { connection.abandon(); });
    loop_.core().shut_down();
  }

  void turn() {
    loop_.core().again(stop_);
    EXPECT_TRUE(loop_.run());
  }
  connection::LiveConnection& connection() { return *connection_; }
  PublishStatus publish(const std::string& text) {
    return connection::publish(*table, "t", Message(text), {});
  }
  /// The texts that the peer has received since the last call.
  std::string received() {
    char buffer[4096];
    ssize_t size = 0;
    while ((size = ::recv(sockets_.server.get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
      reader_.feed({buffer, static_cast<std::size_t>(size)});
    }
    std::string all;
    for (const Frame& frame : reader_.frames()) all += frame.payload + ' ';
    reader_.forget();
    return all;
  }

  const std::shared_ptr<topics::Table> table =
      std::make_shared<topics::Table>(TopicLimits(), 1, std::size_t{1} << 20);

 private:
  class Stop final : public net::Watcher {
   public:
    explicit Stop(Loop& loop) : loop_(loop) {}
    void on_ready(std::uint32_t) noexcept override { loop_.stop(); }

   private:
    Loop& loop_;
  };

  void on_head(connection::LiveConnection& connection) noexcept override {
    connection.make_session(connection::session_type<Subscriber>,
                            [](void* at) { ::new (at) Subscriber(); });
  }
  void on_opening_over(connection::LiveConnection&) noexcept override {}
  void on_closed(connection::LiveConnection&) noexcept override {}
  void on_gone(connection::LiveConnection&) noexcept override {}

  SocketPair sockets_{};
  Loop loop_{};
  Stop stop_{loop_};
  Workspace workspace_{};
  EngineOptions options_{};
  connection::Metrics metrics_{};
  LogSink log_{};
  FrameReader reader_{Role::server};

 public:
  connection::Fanout fanout{loop_.core(), metrics_, table, 0};

 private:
  connection::Shared shared_{
      loop_, workspace_, options_, std::make_shared<connection::Registry>(loop_.core().mailbox()),
      log_,  &fanout};
  connection::Environment environment_{loop_.core(), metrics_, *this, shared_};
  connection::LiveConnection* connection_ = nullptr;
};

TEST(ConnectionFanout, ATurnSortsABoundedNumberOfPublications) {
  constexpr int publications = 5000;
  constexpr std::uint64_t most = 1024;
  Stage stage;
  std::string expected;
  for (int i = 0; i < publications; ++i) {
    ASSERT_TRUE(stage.publish(std::to_string(i)));
    expected += std::to_string(i) + ' ';
  }
  std::string all;
  for (int turns = 1; all.size() < expected.size(); ++turns) {
    const std::uint64_t before = stage.fanout.last_arrival();
    stage.turn();
    ASSERT_LE(stage.fanout.last_arrival() - before, most) << "in turn " << turns;
    all += stage.received();
  }
  EXPECT_TRUE(all == expected);
  EXPECT_FALSE(stage.fanout.busy());
}

// The bell rings while publications that came before it wait to be sorted. Then no other one rings.
TEST(ConnectionFanout, APublicationThatComesWhileOthersAreSortedIsDelivered) {
  constexpr int publications = 1030;
  Stage stage;
  std::string expected;
  for (int i = 0; i < publications; ++i) {
    ASSERT_TRUE(stage.publish("x"));
    expected += "x ";
  }
  stage.turn();
  ASSERT_TRUE(stage.publish("last"));
  expected += "last ";
  std::string all;
  for (int turns = 0; turns < 50; ++turns) {
    stage.turn();
    all += stage.received();
  }
  EXPECT_TRUE(all == expected) << all.size() << " of " << expected.size();
  EXPECT_FALSE(stage.fanout.busy());
}

// A subscriber that does not read refers to small messages as well. A copy would take a chunk of
// 16 KiB for each of these subscribers.
TEST(ConnectionFanout, ASubscriberThatDoesNotReadCopiesNoMessage) {
  Stage stage;
  const std::string large(std::size_t{64} << 10, 'x');
  while (stage.connection().engine().queued_bytes() == 0) {
    ASSERT_TRUE(stage.publish(large));
    stage.turn();
  }
  const std::string small(100, 'y');
  ASSERT_TRUE(stage.publish(small));
  stage.turn();
  const std::size_t heap = heap_in_use();
  const std::size_t queued = stage.connection().engine().queued_bytes();
  constexpr std::size_t messages = 20;
  for (std::size_t i = 0; i < messages; ++i) {
    ASSERT_TRUE(stage.publish(small));
    stage.turn();
  }
  EXPECT_EQ(stage.connection().engine().queued_bytes(), queued + messages * (small.size() + 2));
  EXPECT_LT(heap_in_use() - heap, std::size_t{12} << 10);
}

// Small publications that wait together are written as one piece. The socket takes some of these
// pieces only in part.
TEST(ConnectionFanout, AWindowThatIsWrittenInPartArrivesWhole) {
  Stage stage;
  std::string expected;
  int number = 0;
  const auto publish_window = [&] {
    for (int i = 0; i < 60; ++i) {
      const std::string text = std::string(100, 'x') + std::to_string(number++);
      ASSERT_TRUE(stage.publish(text));
      expected += text + ' ';
    }
    stage.turn();
  };
  while (stage.connection().engine().queued_bytes() == 0) publish_window();
  publish_window();
  std::string all = stage.received();
  while (stage.fanout.busy() || stage.connection().engine().queued_bytes() > 0) {
    stage.turn();
    all += stage.received();
  }
  publish_window();
  all += stage.received();
  EXPECT_TRUE(all == expected) << all.size() << " of " << expected.size();
}

TEST(ConnectionFanout, AWindowLeavesOutTheSubscribersOwnPublications) {
  Stage stage;
  ASSERT_TRUE(stage.publish("a"));
  ASSERT_TRUE(stage.publish("b"));
  stage.turn();
  ASSERT_TRUE(stage.publish("c"));
  ASSERT_TRUE(stage.connection().publish("t", Message("own"), {}));
  ASSERT_TRUE(stage.publish("d"));
  stage.turn();
  ASSERT_TRUE(stage.publish("e"));
  ASSERT_TRUE(stage.publish("f"));
  stage.turn();
  EXPECT_EQ(stage.received(), "a b c d e f ");
}

}  // namespace
}  // namespace tern::test
