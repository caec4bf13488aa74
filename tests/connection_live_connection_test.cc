// LiveConnection drives an engine in either role. Here it drives the client's end without any code
// of the room `server`: the test is the server.
#include "connection/live_connection.h"
#include "net/tcp.h"
#include "support/socket_pair.h"
#include "support/upgrade_text.h"
#include "support/wire.h"

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace tern::test {
namespace {

using Events = std::vector<std::string>;

/// Records its calls.
struct Recorder {
  Events& events;
  const std::function<void(Connection&)>& at_open;

  void on_open(Connection& conn) {
    events.push_back("on_open " + std::string(conn.protocol()));
    conn.send("hello");
    if (at_open) at_open(conn);
  }
  void on_message(Connection& conn, Message message) {
    EXPECT_EQ(conn.response(), nullptr);
    events.push_back("on_message " + std::string(message.text()));
    if (message.text() == "throw") throw std::runtime_error("as asked");
    if (message.text() == "close") conn.close(CloseCode::going_away, "bye");
  }
  void on_close(Connection& conn, const CloseInfo& info) {
    EXPECT_EQ(conn.response(), nullptr);
    events.push_back("on_close " + std::to_string(static_cast<int>(info.code)) +
                     (info.clean ? " clean" : ""));
  }
};

/// Owns a client's connection on a loop. The loop runs while the test waits.
class ClientStage final : private connection::Owner {
 public:
  explicit ClientStage(bool makes_session = true, EngineOptions options = {})
      : options_(std::move(options)), makes_session_(makes_session) {
    auto engine =
        Engine::client({.host = "example.org", .protocols = {"chat"}}, options_, workspace_);
    connection_ = connection::LiveConnection::start(
        std::make_unique<net::TcpTransport>(std::move(sockets_.client)), *std::move(engine),
        environment_);
    EXPECT_NE(connection_, nullptr);
  }
  ~ClientStage() {
    shared_.registry->for_each(
        [](connection::LiveConnection& connection) { connection.abandon(); });
    loop_.core().shut_down();
  }

  std::function<void(Connection&)> at_open{};  ///< called by the session's on_open

  const Events& events() const { return events_; }
  connection::LiveConnection& connection() { return *connection_; }
  connection::Metrics& metrics() { return metrics_; }
  int server() const { return sockets_.server.get(); }

  /// Runs the loop until this event has come.
  void run_until(const std::string& event) {
    until_ = event;
    if (events_.empty() || events_.back() != event) {
      EXPECT_TRUE(loop_.run());
    }
  }
  /// Runs the loop until the server's socket is readable. Then reads once.
  std::string receive() {
    auto watch = loop_.watch(::dup(server()), Interest::read, [this](Ready) { loop_.stop(); });
    EXPECT_TRUE(loop_.run());
    char buffer[4096];
    const ssize_t size = ::recv(server(), buffer, sizeof buffer, 0);
    return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : std::string();
  }
  /// Receives frames of the client until no frame is cut, and at least one.
  std::string receive_frames() {
    FrameReader reader(Role::client);
    do {
      const std::string bytes = receive();
      if (bytes.empty()) break;
      reader.feed(bytes);
    } while (!reader.at_boundary());
    EXPECT_EQ(reader.fault(), "");
    std::string all;
    for (const Frame& frame : reader.frames()) all += to_string(frame) + ';';
    return all;
  }
  void send(const std::string& bytes) const {
    ASSERT_EQ(::send(server(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void end_tcp() const { ::shutdown(server(), SHUT_WR); }

 private:
  void add(std::string event) {
    events_.push_back(std::move(event));
    if (events_.back() == until_) loop_.stop();
  }
  void on_head(connection::LiveConnection& connection) noexcept override {
    add("head " + std::to_string(connection.engine().response().status));
    if (!makes_session_) return;
    connection.make_session(connection::session_type<Recorder>, [&](void* at) {
      EXPECT_NE(connection.response(), nullptr);
      ::new (at) Recorder{events_, at_open};
    });
  }
  void on_opening_over(connection::LiveConnection& connection) noexcept override {
    add(connection.engine().is_open() ? "opened" : "not opened");
  }
  void on_closed(connection::LiveConnection& connection) noexcept override {
    add("closed " + connection.engine().close_info().error.message());
  }
  void on_gone(connection::LiveConnection&) noexcept override { add("gone"); }

  SocketPair sockets_{};
  Loop loop_{};
  Workspace workspace_{};
  EngineOptions options_;
  bool makes_session_;
  Events events_{};
  std::string until_{};
  connection::Metrics metrics_{};
  LogSink log_{};
  connection::Shared shared_{loop_, workspace_, options_,
                             std::make_shared<connection::Registry>(loop_.core().mailbox()), log_};
  connection::Environment environment_{loop_.core(), metrics_, *this, shared_};
  connection::LiveConnection* connection_ = nullptr;
};

std::string accepted(const std::string& request) {
  return upgrade_answer(request, "Sec-WebSocket-Protocol: chat\r\n");
}

TEST(LiveConnection, AClientsEngineIsDriven) {
  ClientStage stage;
  EXPECT_TRUE(stage.connection().is_opening());
  stage.send(accepted(stage.receive()) + wire(Role::server, text("early")));
  EXPECT_EQ(stage.receive_frames(), "text hello;");
  stage.send(wire(Role::server, closing(1000)));
  EXPECT_EQ(stage.receive_frames(), "close 1000;");
  stage.end_tcp();
  stage.run_until("gone");
  EXPECT_EQ(stage.events(), (Events{"head 101", "opened", "on_open chat", "on_message early",
                                    "on_close 1000 clean", "closed Success", "gone"}));
  EXPECT_EQ(stage.metrics().messages_received.get(), 1u);
  EXPECT_EQ(stage.metrics().messages_sent.get(), 1u);
}

TEST(LiveConnection, OnOpenReadsTheHeadOfTheAnswer) {
  for (const std::string deed : {"", "pause", "terminate", "throw"}) {
    ClientStage stage;
    std::string served_by;
    stage.at_open = [&](Connection& conn) {
      ASSERT_NE(conn.response(), nullptr);
      EXPECT_EQ(conn.response()->status, 101);
      served_by = conn.response()->header("X-Served-By");
      if (deed == "pause") conn.pause();
      if (deed == "terminate") conn.terminate();
      if (deed == "throw") throw std::runtime_error("as asked");
    };
    EXPECT_EQ(stage.connection().response(), nullptr);
    stage.send(
        upgrade_answer(stage.receive(), "Sec-WebSocket-Protocol: chat\r\nX-Served-By: me\r\n"));
    if (deed == "terminate" || deed == "throw") {
      stage.end_tcp();
      stage.run_until("gone");
    } else {
      EXPECT_EQ(stage.receive_frames(), "text hello;");
      EXPECT_EQ(stage.connection().response(), nullptr);
      EXPECT_TRUE(stage.connection().engine().rests()) << deed << ": it keeps no head";
    }
    EXPECT_EQ(served_by, "me") << deed;
  }
}

TEST(LiveConnection, Rfc6455_7_1_1_AClientWaitsForTheFin) {
  ClientStage stage;
  stage.send(accepted(stage.receive()));
  EXPECT_EQ(stage.receive_frames(), "text hello;");
  stage.send(wire(Role::server, text("close")));
  EXPECT_EQ(stage.receive_frames(), "close 1001 bye;");
  stage.send(wire(Role::server, closing(1001)));
  stage.end_tcp();
  stage.run_until("gone");
  EXPECT_EQ(stage.events().back(), "gone");
  EXPECT_EQ(stage.receive(), "") << "the client sends its FIN";
}

TEST(LiveConnection, ARefusalReachesTheOwnerOnly) {
  ClientStage stage;
  stage.receive();
  stage.send("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
  stage.end_tcp();
  stage.run_until("gone");
  const std::string error = make_error_code(Errc::upgrade_refused).message();
  EXPECT_EQ(stage.events(), (Events{"closed " + error, "not opened", "gone"}));
}

TEST(LiveConnection, AClientWithoutASessionFails) {
  ClientStage stage(false);
  stage.send(accepted(stage.receive()));
  EXPECT_EQ(stage.receive_frames(), failure(Errc::handler_threw) + ';');
  stage.end_tcp();
  stage.run_until("gone");
  const std::string error = make_error_code(Errc::handler_threw).message();
  EXPECT_EQ(stage.events(), (Events{"head 101", "closed " + error, "not opened", "gone"}));
}

TEST(LiveConnection, AnExceptionEndsAClientToo) {
  ClientStage stage;
  stage.send(accepted(stage.receive()) + wire(Role::server, text("throw")));
  EXPECT_EQ(stage.receive_frames(), "text hello;" + failure(Errc::handler_threw) + ';');
  stage.end_tcp();
  stage.run_until("gone");
  EXPECT_EQ(stage.events().back(), "gone");
}

// The server sends nothing. The deadline of the handshake ends the connection at once, because a
// reset can destroy nothing.
TEST(LiveConnection, AClientThatTimesOutDoesNotLinger) {
  ClientStage stage(true, {.timeouts = {.handshake = std::chrono::milliseconds(20)}});
  stage.receive();
  stage.run_until("gone");
  const std::string error = make_error_code(Errc::handshake_timeout).message();
  EXPECT_EQ(stage.events(), (Events{"closed " + error, "not opened", "gone"}));
}

}  // namespace
}  // namespace tern::test
