// X27: the server is killed (SIGKILL), and another one starts on its port a little later. The kill
// comes while the connection is idle, while it echoes, while a message waits for the server, while
// the client waits for the answer to its Close frame, and in the opening handshake. The clients are
// a BlockingClient and clients on a loop, plain and over TLS.
//
// Pass: a connection ends once, not clean and with an error. While no server runs, the next attempt
// is refused, which is transient. A client on a loop connects to the new server by itself, and it
// sends the message that its outbox kept. A second dial() connects, too. Nothing is left:
// descriptors, blocks. CI has the full size: 100 clients on a loop come back.
#include "tern/client.h"

#include "faults/support/flood.h"
#include "faults/support/memory.h"
#include "faults/support/tls_attacked.h"
#include "support/process.h"
#include "support/recorded_client.h"
#include "support/socket_peer.h"

#include <csignal>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

enum class Moment : std::uint8_t { idle, echoing, blocked, closing, handshake };
constexpr std::array<const char*, 5> moments = {"idle", "echoing", "blocked", "closing",
                                                "handshake"};

// No queue and no buffer of the system takes it whole while the server does not read.
constexpr std::size_t huge = std::size_t{32} << 20;

// build/bin/echo_server on one port, again and again. The port belongs to this object, so no other
// program gets it while no server runs.
class MortalServer {
 public:
  explicit MortalServer(Over over) : over_(over), port_(kept_port()) { start(); }
  MortalServer(const MortalServer&) = delete;
  MortalServer& operator=(const MortalServer&) = delete;

  void start() {
    std::vector<std::string> flags;
    if (over_ == Over::tls) flags = {"--cert", pem_file("cert.pem"), "--key", pem_file("key.pem")};
    process_ = std::make_unique<EchoServer>(flags, port_.number);
  }
  /// Stops the process. The kernel still completes connections and takes bytes.
  void freeze() const {
    process_->signal(SIGSTOP);
    EXPECT_TRUE(eventually([&] { return state_of(process_->pid()) == "T"; }));
  }
  /// Kills the process. Returns when it has ended.
  void kill() {
    process_->signal(SIGKILL);
    EXPECT_EQ(process_->exit_code(), -SIGKILL);
  }
  const std::string& url() const { return process_->url(); }
  std::uint16_t port() const { return port_.number; }

 private:
  struct Port {
    Socket holder;
    std::uint16_t number;
  };
  // A socket that is bound and does not listen. SO_REUSEADDR lets the server listen on its port.
  static Port kept_port() {
    Socket holder(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(holder.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    EXPECT_EQ(::bind(holder.fd(), reinterpret_cast<sockaddr*>(&name), size), 0);
    ::getsockname(holder.fd(), reinterpret_cast<sockaddr*>(&name), &size);
    return {std::move(holder), ntohs(name.sin_port)};
  }

  const Over over_;
  const Port port_;
  std::unique_ptr<EchoServer> process_{};
};

// A descriptor that is connected to the server, whose process is frozen.
int connected_to(const MortalServer& server) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(server.port());
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  return socket.release();
}

void expect_cut(const CloseInfo& info) {
  EXPECT_TRUE(info.opened);
  EXPECT_FALSE(info.clean);
  EXPECT_EQ(info.code, CloseCode::abnormal);
  EXPECT_TRUE(info.error);
}

// Runs `attack(over)` against a plain server or one with TLS, until nothing grows any more.
template <class F>
void strike_over(Over over, F attack) {
  const auto once = [&] { return attack(over); };
  over == Over::tls ? strike_tls_clients(once) : strike_clients(once);
}

// ---- a client on a loop

// A client whose server is killed once. It counts the events of its connections.
class Bereaved {
 public:
  Bereaved(Moment moment, Over over) : moment_(moment), server_(over) {}

  void run() {
    ClientOptions options{.dial = trusting(), .retry = quick(), .outbox = Outbox{}};
    options.dial.limits.max_queued_bytes = 2 * huge;
    options.on_ended = [this](const Ended& ended) { on_ended(ended); };
    if (moment_ == Moment::handshake) {
      server_.freeze();
      options.dial.socket = connected_to(server_);
      loop_.after(1ms, [this] { kill(); });  // the first bytes of the handshake are sent before
    }
    client_.emplace(loop_, server_.url(), std::move(options));
    ASSERT_TRUE(client_->connect(
        {.on_open = [this](Connection& conn) { on_open(conn); },
         .on_message = [this](Connection& conn, Message message) { on_message(conn, message); },
         .on_close = [this](Connection&, const CloseInfo& info) { on_close(info); }}));
    test::run(loop_);
    EXPECT_EQ(opened_, moment_ == Moment::handshake ? 1 : 2);
    EXPECT_EQ(closed_, opened_);
    EXPECT_EQ(refused_, 1);
    EXPECT_EQ(received_, (std::vector<std::string>{"Hello again", "kept"}));
    EXPECT_FALSE(client_->error());
    EXPECT_EQ(client_->dropped(), 0u);
  }

 private:
  void on_open(Connection& conn) {
    ++opened_;
    if (killed_) {
      conn.send("Hello again");
      return;
    }
    switch (moment_) {
      case Moment::idle:
        conn.send("Hello");
        return;
      case Moment::echoing:
        for (int i = 0; i < 16; ++i) conn.send("Hello");
        return;
      case Moment::blocked:
        server_.freeze();
        EXPECT_TRUE(conn.send(std::string(huge, 'x')));
        loop_.post([this, &conn] {
          EXPECT_GT(conn.queued_bytes(), 0u) << "the message was sent whole";
          kill();
        });
        return;
      case Moment::closing:
        server_.freeze();
        conn.close();
        loop_.post([this] { kill(); });
        return;
      case Moment::handshake:
        ADD_FAILURE() << "it opened before the server was killed";
    }
  }
  void on_message(Connection& conn, Message message) {
    if (killed_ && opened_ + (moment_ == Moment::handshake ? 1 : 0) == 2) {
      received_.emplace_back(message.text());
      if (received_.size() == 2) client_->stop();
      return;
    }
    ++echoes_;
    if (moment_ == Moment::idle) loop_.post([this] { kill(); });
    if (moment_ != Moment::echoing) return;
    if (echoes_ == 200) kill();
    conn.send(message);
  }
  void on_close(const CloseInfo& info) {
    ++closed_;
    if (closed_ == opened_ && !received_.empty()) {
      EXPECT_TRUE(info.clean) << info.error.message();
    } else {
      expect_cut(info);
    }
  }
  void on_ended(const Ended& ended) {
    if (!ended.wait) return loop_.stop();
    EXPECT_TRUE(ended.transient);
    EXPECT_GE(*ended.wait, 100ms);
    if (ended.failure != nullptr && ended.failure->code() == std::errc::connection_refused) {
      EXPECT_EQ(ended.stage, Stage::connect);
      ++refused_;
      server_.start();
    } else {
      const bool in_handshake = ended.stage == Stage::tls || ended.stage == Stage::upgrade;
      EXPECT_TRUE(moment_ == Moment::handshake ? in_handshake : ended.stage == Stage::open)
          << (ended.failure ? ended.failure->message() : std::string());
      EXPECT_EQ(client_->send("kept"), SendStatus::queued);
    }
    client_->reconnect();  // cuts the wait short
  }
  void kill() {
    killed_ = true;
    server_.kill();
  }

  const Moment moment_;
  MortalServer server_;
  Loop loop_{};
  std::optional<Client> client_{};
  bool killed_ = false;
  int opened_ = 0;
  int closed_ = 0;
  int refused_ = 0;
  int echoes_ = 0;
  std::vector<std::string> received_{};
};

std::uint64_t kill_under_a_client(Over over) {
  for (std::size_t i = 0; i < moments.size(); ++i) {
    SCOPED_TRACE(moments[i]);
    Bereaved(static_cast<Moment>(i), over).run();
  }
  return moments.size();
}

TEST(Faults, X27_AClientOnALoopFindsTheNewServer) { strike_over(Over::tcp, kill_under_a_client); }
TEST(Faults, X27_AClientOnALoopFindsTheNewServerOverTls) {
  strike_over(Over::tls, kill_under_a_client);
}

// Many clients lose their server together. The new one starts when each has reported its end.
std::uint64_t kill_under_many_clients(Over over) {
  constexpr std::size_t count = 100;
  MortalServer server(over);
  Loop loop;
  std::size_t opened = 0;
  std::size_t ended = 0;
  std::size_t stopped = 0;
  std::vector<Client> clients;
  auto options = std::make_shared<ClientOptions>();
  options->dial = trusting();
  options->retry = {.first = 200ms, .first_after_end = 500ms, .most = 1s};
  options->on_ended = [&](const Ended& end) {
    const bool stops = opened == 2 * count;
    EXPECT_EQ(end.wait.has_value(), !stops);
    if (!stops && end.close != nullptr && ++ended == count) server.start();
    if (stops && ++stopped == count) loop.stop();
  };
  for (std::size_t i = 0; i < count; ++i) {
    clients.emplace_back(loop, server.url(), options);
    EXPECT_TRUE(clients.back().connect({.on_open =
                                            [&](Connection&) {
                                              ++opened;
                                              if (opened == count) server.kill();
                                              if (opened < 2 * count) return;
                                              for (Client& client : clients) client.stop();
                                            },
                                        .on_message = [](Connection&, Message) {}}));
  }
  test::run(loop);
  EXPECT_EQ(opened, 2 * count);
  EXPECT_EQ(ended, count);
  EXPECT_EQ(stopped, count);
  return 1;
}

TEST(Faults, X27_AllClientsOfALoopComeBack) { strike_over(Over::tcp, kill_under_many_clients); }
TEST(Faults, X27_AllClientsOfALoopComeBackOverTls) {
  strike_over(Over::tls, kill_under_many_clients);
}

// ---- a blocking client

// Kills the server while the call that follows waits. The call cannot succeed before, because the
// server is frozen or has nothing to send.
std::jthread killer(MortalServer& server) {
  return std::jthread([&server] { server.kill(); });
}

// Makes the calls that the kill interrupts. The last of them returns an error.
void use_until_killed(BlockingClient& client, MortalServer& server, Moment moment) {
  std::string text;
  EXPECT_TRUE(client.send("Hello"));
  EXPECT_TRUE(client.receive(text));
  std::jthread kills;
  switch (moment) {
    case Moment::idle:
      kills = killer(server);
      EXPECT_FALSE(client.receive(text));
      return;
    case Moment::echoing:
      for (int echoes = 0;; ++echoes) {
        if (echoes == 100) kills = killer(server);
        if (!client.send("Hello") || !client.receive(text)) return;
      }
    case Moment::blocked:
      server.freeze();
      kills = killer(server);
      EXPECT_FALSE(client.send(std::string(huge, 'x')));
      return;
    case Moment::closing:
      server.freeze();
      kills = killer(server);
      EXPECT_FALSE(client.close(CloseCode::normal, {}, enough_time));
      return;
    case Moment::handshake:
      break;
  }
}

void expect_killed(MortalServer& server, Moment moment) {
  if (moment == Moment::handshake) {
    server.freeze();
    DialOptions options = trusting();
    options.socket = connected_to(server);
    const std::jthread kills = killer(server);
    const auto dialed = dial(server.url(), options);
    ASSERT_FALSE(dialed);
    EXPECT_TRUE(is_transient(dialed.error())) << dialed.error().message();
    return;
  }
  auto dialed = dial(server.url(), trusting());
  ASSERT_TRUE(dialed) << dialed.error().message();
  use_until_killed(*dialed, server, moment);
  std::string text;
  EXPECT_FALSE(dialed->receive(text));
  EXPECT_FALSE(dialed->send("late"));
  EXPECT_FALSE(dialed->close());
  expect_cut(dialed->close_info());
}

std::uint64_t kill_under_a_blocking_client(Over over) {
  for (std::size_t i = 0; i < moments.size(); ++i) {
    SCOPED_TRACE(moments[i]);
    MortalServer server(over);
    expect_killed(server, static_cast<Moment>(i));
    const std::string url = server.url();
    const auto refused = dial(url, trusting());
    EXPECT_FALSE(refused);
    if (!refused) {
      EXPECT_EQ(refused.error().code(), std::errc::connection_refused);
      EXPECT_TRUE(is_transient(refused.error()));
    }
    server.start();
    EXPECT_EQ(server.url(), url);
    EXPECT_EQ(tern_echoes(url, 100, trusting()), 101u);
  }
  return moments.size();
}

TEST(Faults, X27_ABlockingClientLearnsItAndDialsAgain) {
  strike_over(Over::tcp, kill_under_a_blocking_client);
}
TEST(Faults, X27_ABlockingClientLearnsItAndDialsAgainOverTls) {
  strike_over(Over::tls, kill_under_a_blocking_client);
}

}  // namespace
}  // namespace tern::test
