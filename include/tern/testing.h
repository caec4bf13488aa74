// Tests of an application's sessions, pages and upgrades: without a network, without threads, and
// with a time that the test tells.
#pragma once

#include "tern/server.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern {

namespace server {
class TestBench;
class TestConnection;
}  // namespace server

/// A request of a test. Owns its strings.
struct TestRequest {
  std::string method = "GET";
  std::string target = "/";
  /// Fields to add, e.g. Cookie, Authorization, Origin. Host is "test" if it is not among them.
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};  ///< sent with Content-Length if it is not empty
};

/// The other end of one connection of a TestServer: a scripted peer. Its calls run the server until
/// nothing more happens at this moment of the test's time. It is a client in all that RFC 6455
/// requires: it masks, answers pings and Close frames, and ends the connection if the server breaks
/// a rule. Move-only; the destructor ends TCP like drop(). Thread: that of the TestServer.
class TestPeer {
 public:
  TestPeer(TestPeer&&) noexcept;
  TestPeer& operator=(TestPeer&&) noexcept;
  ~TestPeer();

  // ---- the answer to its request

  /// The status of the answer: 101 for a WebSocket; 0 while the server has not answered.
  int status();
  /// The value of the first field of this name in the answer, in any case; empty if there is none.
  std::string header(std::string_view name);
  /// The body of the answer, as far as it has arrived.
  std::string body();
  /// Whether the server has ended the connection, or this peer has.
  bool ended();

  // ---- what the server sent, in order

  /// Removes the next of the things that the server has sent, and returns it as a text: "text
  /// hello", "binary \x01", "ping x", "pong x", "close 1000 bye" (1005: without a code), and "end"
  /// if TCP ended without a Close frame. Empty: the server has sent nothing more. The pings of the
  /// keepalive are "ping tern-1" and so on.
  std::string take();
  /// Removes and returns all of them.
  std::vector<std::string> take_all();

  // ---- what this peer does. Without a WebSocket, the first three throw std::runtime_error.

  /// Sends a message, also a text that is not UTF-8.
  void send(Message message);
  /// Sends a ping of at most 125 bytes.
  void ping(std::string_view payload = {});
  /// Sends a Close frame.
  void close(CloseCode code = CloseCode::normal, std::string_view reason = {});
  /// Ends TCP without a Close frame.
  void drop();
  /// Sends bytes as they are, e.g. a frame that breaks a rule, or a part of a request.
  void send_bytes(std::string_view bytes);
  /// Reads nothing more until resume(), like a slow peer or a peer whose network is gone. At most a
  /// few hundred KiB then leave the server's queue. The peer can still send.
  void stall();
  void resume();

  /// For tern's own rooms.
  TestPeer(std::shared_ptr<server::TestBench> bench,
           std::shared_ptr<server::TestConnection> connection) noexcept;

 private:
  std::shared_ptr<server::TestBench> bench_;
  std::shared_ptr<server::TestConnection> connection_;
};

/// A Server for tests. It does not listen and has no thread: each call of a test runs it until
/// nothing more happens. Its time stands still until advance(), so a deadline of minutes takes no
/// time to test. Routes, sessions, upgrades, pages, topics, limits and deadlines are those of a
/// real server; only TLS and compression are missing, and there is one worker. Its connections are
/// pairs of connected sockets inside of the process, without a port. Thread: one. Other threads may
/// use the functions that are for any thread: Handle, Upgrade, Server::publish() …. The next call
/// of the test runs the tasks that they posted.
///
/// Errors: each function throws std::runtime_error if the routes or options can never work, with
/// the text that listen() returns, and if the server does not come to rest. Throws std::bad_alloc.
class TestServer {
 public:
  /// `options`: host, port, threads, tls, deflate and stop_on have no effect.
  explicit TestServer(ServerOptions options = {});
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  /// The server, to which the test adds routes before the first request: a later route, or another
  /// setting that run() would ignore, throws std::runtime_error. Its listen() and run() are not
  /// called.
  Server& server() noexcept;

  /// Sends a request on a connection of its own.
  [[nodiscard]] TestPeer request(TestRequest request);
  /// The same for a GET.
  [[nodiscard]] TestPeer get(std::string target);
  /// Asks for a WebSocket. status() of the peer is 101 if the server accepts it.
  [[nodiscard]] TestPeer connect(std::string target,
                                 std::vector<std::pair<std::string, std::string>> headers = {});

  /// Lets time pass. Timers and deadlines are due in their order, each at its time. Only the ages
  /// of histories (TopicOptions::history_age) and the Date of an answer follow the real clock.
  void advance(std::chrono::nanoseconds time);
  /// Runs the server until nothing more happens. This also runs the tasks that other threads
  /// posted.
  void run();

 private:
  std::shared_ptr<server::TestBench> bench_;
};

}  // namespace tern
