// echo_server as it is deployed: on a Unix socket, on a socket that a service manager passes, and
// restarted under load.
#include "tern/dial.h"

#include "support/process.h"
#include "support/raw_socket.h"
#include "support/upgrade_text.h"
#include "support/wire.h"

#include <csignal>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <unistd.h>
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
