// echo_server as it is deployed: on a Unix socket, on a socket that a service manager passes, and
// restarted under load.
#include "tern/dial.h"

#include "support/process.h"
#include "support/raw_client.h"
#include "support/raw_socket.h"
#include "support/upgrade_text.h"
#include "support/wire.h"

#include <atomic>
#include <csignal>
#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

// Starts the program as systemd does: the socket is descriptor 3, and the variables name this
// process. The shell gets the socket as its standard input.
std::vector<std::string> activated(std::vector<std::string> words) {
  std::vector<std::string> all = {
      "sh", "-c",
      R"(LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web; export LISTEN_PID LISTEN_FDS LISTEN_FDNAMES
         exec "$0" "$@" 3<&0 </dev/null)"};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

std::string echoed(const std::string& url) {
  auto client = dial(url);
  if (!client) return client.error().message();
  std::string answer;
  if (!client->send(Message("hello")) || !client->receive(answer, patience)) return "no echo";
  return answer;
}

TEST(ProgramDeploy, ServesASocketThatItInherits) {
  const RawSocket port = RawSocket::bound();
  port.listen();
  const std::string url = "ws://127.0.0.1:" + std::to_string(port.port()) + "/echo";
  // --port has no effect then.
  Process server(activated({program("echo_server"), "--port", "1", "--threads", "2"}), ".",
                 port.fd());
  EXPECT_EQ(server.line(), "listening on " + url);
  EXPECT_EQ(echoed(url), "hello");
  server.signal(SIGTERM);
  EXPECT_EQ(server.exit_code(), 0);
  EXPECT_EQ(server.err(), "");
  EXPECT_TRUE(RawSocket::connect(port.port())) << "the socket is still open here";
}

// Clients that connect all the time. Each attempt must be accepted and upgraded. After the upgrade
// a client receives its echo, or 1012 from a server that ends.
class Load {
 public:
  explicit Load(std::uint16_t port) {
    for (int i = 0; i < 4; ++i) {
      threads_.emplace_back([this, port](std::stop_token stop) {
        while (!stop.stop_requested()) attempt(port);
      });
    }
  }

  /// Waits until so many more attempts have ended.
  void wait_for(int more) const {
    for (const int wanted = attempts_ + more; attempts_ < wanted;) std::this_thread::yield();
  }
  void stop() { threads_.clear(); }
  int attempts() const { return attempts_; }
  int lost() const { return lost_; }
  int echoes() const { return echoes_; }

 private:
  void attempt(std::uint16_t port) {
    RawClient client(port);
    if (!client.connected() || !client.upgrade()) {
      ++lost_;
    } else {
      client.send(text("hello"));
      const std::string answer = client.next();
      if (answer == "text hello") ++echoes_;
      if (answer != "text hello" && answer != "close 1012") ++lost_;
    }
    ++attempts_;
  }

  std::atomic<int> attempts_ = 0;
  std::atomic<int> lost_ = 0;
  std::atomic<int> echoes_ = 0;
  std::vector<std::jthread> threads_{};
};

// The new process starts before the old one ends, or after it as with systemd.
TEST(ProgramDeploy, ARestartUnderLoadLosesNoConnection) {
  const RawSocket port = RawSocket::bound();
  ASSERT_EQ(::listen(port.fd(), 4096), 0);
  const auto start = [&] {
    auto server = std::make_unique<Process>(
        activated({program("echo_server"), "--threads", "2", "--drain", "0"}), ".", port.fd());
    EXPECT_TRUE(server->line().starts_with("listening on "));
    return server;
  };
  auto server = start();
  Load load(port.port());
  for (int restart = 0; restart < 6; ++restart) {
    load.wait_for(20);
    std::unique_ptr<Process> old = std::move(server);
    if (restart % 2 == 0) {
      server = start();
      load.wait_for(20);
    }
    old->signal(SIGTERM);
    EXPECT_EQ(old->exit_code(), 0);
    EXPECT_EQ(old->err(), "");
    if (server == nullptr) server = start();
  }
  load.wait_for(20);
  load.stop();
  EXPECT_EQ(load.lost(), 0) << "of " << load.attempts();
  EXPECT_GT(load.echoes(), 100);
}

TEST(ProgramDeploy, ServesAUnixSocket) {
  const std::string path = "/tmp/tern-deploy-" + std::to_string(::getpid()) + ".sock";
  const std::string url = "ws+unix:" + path + ":/echo";
  for (int i = 0; i < 2; ++i) {
    Process server({program("echo_server"), "--unix", path});
    EXPECT_EQ(server.line(), "listening on " + url);
    EXPECT_EQ(echoed(url), "hello");
    Process second({program("echo_server"), "--host", "unix:" + path});
    EXPECT_EQ(second.exit_code(), 1);
    EXPECT_EQ(second.err(), "listen unix:" + path + ": Address already in use\n");
    // The first one leaves its file when it is killed, and removes it when it is stopped.
    server.signal(i == 0 ? SIGKILL : SIGTERM);
    EXPECT_EQ(server.exit_code(), i == 0 ? -SIGKILL : 0);
    EXPECT_EQ(::access(path.c_str(), F_OK), i == 0 ? 0 : -1);
  }
}

}  // namespace
}  // namespace tern::test
