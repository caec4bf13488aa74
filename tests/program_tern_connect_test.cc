// `tern connect`: what it sends, what it prints, and when it closes.

#include "support/certificates.h"
#include "support/running_server.h"
#include "support/tern_command.h"

#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>

namespace tern::test {
namespace {

std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// An echo server; its URL ends with "/echo".
class Echo {
 public:
  explicit Echo(ServerOptions options = {}) : server_(std::move(options)) {
    server_.server.route("/echo", echo());
    port_ = server_.start();
  }
  std::string url() const { return "ws://127.0.0.1:" + std::to_string(port_) + "/echo"; }

 private:
  RunningServer server_;
  std::uint16_t port_ = 0;
};

// ---- the request

struct RequestRow {
  Words arguments;
  std::string part;  // of the request head
};

TEST(TernConnectRequest, HasTheFieldsOfTheFlags) {
  const PemFiles files;
  const std::string fields = files.write("fields", "X-One: 1\n\nX-Two:  2\r\n");
  for (const RequestRow& row : std::vector<RequestRow>{
           {{"-H", "X-A: b"}, "\r\nX-A: b\r\n"},
           {{"--header=X-A:b", "-H", "X-C: d"}, "\r\nX-C: d\r\n"},
           {{"-H", "@" + fields}, "\r\nX-One: 1\r\nX-Two: 2\r\n"},
           {{"-H", "Host: other:7"}, "\r\nHost: other:7\r\n"},
           {{"--origin", "https://a.example"}, "\r\nOrigin: https://a.example\r\n"},
           {{}, "\r\nUser-Agent: tern/"},
           {{"-A", "me/1"}, "\r\nUser-Agent: me/1\r\n"},
           {{"--user-agent", "me/2"}, "\r\nUser-Agent: me/2\r\n"},
           {{"-H", "User-Agent: me/3"}, "\r\nUser-Agent: me/3\r\n"},
           {{"-u", "me:pass word"}, "\r\nAuthorization: Basic bWU6cGFzcyB3b3Jk\r\n"},
           {{"--user", "me:"}, "\r\nAuthorization: Basic bWU6\r\n"},
           {{"-z"}, "\r\nSec-WebSocket-Extensions: permessage-deflate"},
           {{"--compress"}, "\r\nSec-WebSocket-Extensions: permessage-deflate"},
       }) {
    const std::string head = request_of(row.arguments);
    EXPECT_NE(head.find(row.part), std::string::npos) << row.part << " is not in\n" << head;
  }
}

TEST(TernConnectRequest, UserInformationOfTheUrlBecomesBasicCredentials) {
  std::promise<std::string> head;
  ScriptedPeer peer([&](Socket& socket) {
    head.set_value(socket.upgrade());
    answer_close(socket);
  });
  const Outcome outcome = run_tern({"-v", "ws://me:p%40ss@" + peer.authority() + "/"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(head.get_future().get().find("\r\nAuthorization: Basic bWU6cEBzcw==\r\n"),
            std::string::npos);
  for (const std::string secret : {"p%40ss", "p@ss", "bWU6cEBzcw"}) {
    EXPECT_EQ((outcome.out + outcome.err).find(secret), std::string::npos) << outcome.err;
  }
}

TEST(TernConnectRequest, SubprotocolIsAgreedOn) {
  std::promise<std::string> head;
  ScriptedPeer peer([&](Socket& socket) {
    head.set_value(socket.upgrade("Sec-WebSocket-Protocol: two\r\n"));
    answer_close(socket);
  });
  const Outcome outcome = run_tern(
      {"-s", "one", "--subprotocol", "two", peer.url(), "-W", "%{subprotocol} %{http_code}\\n"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(head.get_future().get().find("\r\nSec-WebSocket-Protocol: one, two\r\n"),
            std::string::npos);
  EXPECT_EQ(outcome.err, "two 101\n");
}

// ---- stdin

TEST(TernConnectInput, LinesAreMessagesAndComeBack) {
  Echo server;
  const Outcome outcome = run_tern({"-N", "4", server.url()}, "a\n\nb c\r\nlast without an end");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "a\n\nb c\r\nlast without an end\n");
  EXPECT_EQ(outcome.err, "");
}

TEST(TernConnectInput, MayBeAFile) {
  Echo server;
  const PemFiles files;
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i) + '\n';
  const int file = ::open(files.write("lines", text).c_str(), O_RDONLY | O_CLOEXEC);
  Process tern(tern_words({"-N", "50000", server.url()}), ".", file);
  ::close(file);
  EXPECT_EQ(tern.exit_code(), 0) << tern.err();
  EXPECT_EQ(tern.out(), text);
}

TEST(TernConnectInput, MayBeNothing) {
  Echo server;
  Process tern(tern_words({"-e", "Hello", "-1", server.url()}));
  EXPECT_EQ(tern.exit_code(), 0) << tern.err();
  EXPECT_EQ(tern.out(), "Hello\n");
}

// ---- stdout

TEST(TernConnectOutput, GoesToTheFileOfTheFlag) {
  Echo server;
  const PemFiles files;
  for (const std::string flag : {"-o", "--output"}) {
    const std::string path = files.path("out");
    const Outcome outcome = run_tern({flag, path, "-1", server.url()}, "Hello\n");
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(read_file(path), "Hello\n");
  }
}

}  // namespace
}  // namespace tern::test
