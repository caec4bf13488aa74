// echo_server as a process: its output, its answers, its refusals, and its end.

#include "tern/dial.h"

#include "support/process.h"
#include "support/raw_socket.h"
#include "support/upgrade_text.h"
#include "support/wire.h"

#include <chrono>
#include <csignal>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace tern::test {
namespace {

BlockingClient connected(const std::string& url, const DialOptions& options = {}) {
  return dial(url, options).value();
}

std::string echoed(BlockingClient& client, Message message) {
  std::string answer;
  if (auto sent = client.send(message); !sent) return "send: " + sent.error().message();
  auto received = client.receive(answer, patience);
  if (!received) return "receive: " + received.error().message();
  return *received == message.type() ? answer : "an answer of another type";
}

// The code of the Close frame that ends the connection.
int close_code_of(BlockingClient& client) {
  std::string ignored;
  while (client.receive(ignored, patience)) {
  }
  return static_cast<int>(client.close_info().code);
}

TEST(ProgramEchoServer, PrintsItsUrlAndEchoes) {
  EchoServer server;
  EXPECT_TRUE(server.url().starts_with("ws://127.0.0.1:")) << server.url();
  BlockingClient client = connected(server.url());
  EXPECT_EQ(echoed(client, Message("text")), "text");
  EXPECT_EQ(echoed(client, Message(MessageType::binary, std::string_view("\0\xff", 2))),
            std::string("\0\xff", 2));
  EXPECT_EQ(echoed(client, Message("")), "");
  EXPECT_TRUE(client.close());
}

bool has_ipv6() {
  const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 loopback{};
  loopback.sin6_family = AF_INET6;
  loopback.sin6_addr = in6addr_loopback;
  const auto* address = reinterpret_cast<const sockaddr*>(&loopback);
  const bool bound = fd >= 0 && ::bind(fd, address, sizeof loopback) == 0;
  if (fd >= 0) ::close(fd);
  return bound;
}

TEST(ProgramEchoServer, PutsIpv6IntoBrackets) {
  Process process({program("echo_server"), "--host", "::1", "--port", "0"});
  if (!has_ipv6()) GTEST_SKIP() << "this machine has no ::1";
  const std::string listening = process.line();
  ASSERT_TRUE(listening.starts_with("listening on ws://[::1]:")) << listening;
  BlockingClient client = connected(listening.substr(listening.find("ws://")));
  EXPECT_EQ(echoed(client, Message("six")), "six");
}

TEST(ProgramEchoServer, PortInUseExitsOneWithTheReason) {
  const RawSocket other = RawSocket::bound();
  other.listen();
  const std::string port = std::to_string(other.port());
  Process process({program("echo_server"), "--port", port});
  EXPECT_EQ(process.exit_code(), 1);
  EXPECT_EQ(process.out(), "");
  EXPECT_NE(process.err().find("127.0.0.1:" + port), std::string::npos) << process.err();
  EXPECT_NE(process.err().find("in use"), std::string::npos) << process.err();
}

TEST(ProgramEchoServer, AddressOfAnotherMachineExitsOneWithTheReason) {
  Process process({program("echo_server"), "--host", "192.0.2.1", "--port", "0"});
  EXPECT_EQ(process.exit_code(), 1);
  EXPECT_NE(process.err().find("192.0.2.1"), std::string::npos) << process.err();
}

class ProgramEchoServerStops : public testing::TestWithParam<int> {};

TEST_P(ProgramEchoServerStops, ClosingAllWith1001) {
  EchoServer server({"--threads", "2"});
  std::vector<BlockingClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(connected(server.url(i % 2 == 0 ? "/echo" : "/push")));
  }
  EXPECT_EQ(echoed(clients[0], Message("there")), "there");
  server.signal(GetParam());
  for (BlockingClient& client : clients) {
    EXPECT_EQ(close_code_of(client), 1001);
    EXPECT_TRUE(client.close_info().clean);
  }
  clients.clear();  // ends TCP, which the server waits for
  EXPECT_EQ(server.exit_code(), 0);
  EXPECT_EQ(server.err(), "");
  EXPECT_FALSE(RawSocket::connect(server.port())) << "the port is not free";
}

INSTANTIATE_TEST_SUITE_P(Signals, ProgramEchoServerStops, testing::Values(SIGINT, SIGTERM));

TEST(ProgramEchoServer, StopsRightAfterItPrintsItsUrl) {
  for (int i = 0; i < 20; ++i) {
    EchoServer server;
    server.signal(SIGTERM);
    ASSERT_EQ(server.exit_code(), 0) << i;
  }
}

TEST(ProgramEchoServer, MaxMessageIsEchoedAndOneMoreIs1009) {
  struct Case {
    std::vector<std::string> flags;
    std::size_t limit;
  };
  for (const Case& each :
       std::vector<Case>{{{}, 1 << 20},
                         {{"--max-message", "100"}, 100},
                         {{"--max-message", "4194304"}, 4 << 20},
                         {{"--max-message", "200000", "--queue-limit", "1000"}, 200'000}}) {
    SCOPED_TRACE(each.limit);
    EchoServer server(each.flags);
    BlockingClient client =
        connected(server.url(), {.limits = {.max_message_bytes = each.limit + 1}});
    const std::string most(each.limit, 'm');
    EXPECT_EQ(shown(echoed(client, Message(most))), shown(most));
    EXPECT_EQ(shown(echoed(client, Message(most))), shown(most));
    (void)client.send(Message(most + 'm'));  // its header alone may end the connection
    EXPECT_EQ(close_code_of(client), 1009);
  }
}

// Sends a handshake and the frames; returns the frames received up to the end, one a line.
std::string conversation(const EchoServer& server, const std::vector<Frame>& frames) {
  const RawSocket socket = RawSocket::connect(server.port());
  EXPECT_TRUE(socket.send(upgrade_request()));
  EXPECT_TRUE(socket.send(wire(Role::client, frames)));
  const std::string all = socket.receive_all();
  EXPECT_TRUE(all.starts_with("HTTP/1.1 101 ")) << all;
  FrameReader reader(Role::server);
  reader.feed(std::string_view(all).substr(all.find("\r\n\r\n") + 4));
  EXPECT_EQ(reader.fault(), "");
  std::string answer;
  for (const Frame& frame : reader.frames()) answer += to_string(frame) + '\n';
  return answer;
}

TEST(ProgramEchoServer, MaxFragmentsAreEchoedAndOneMoreIs1008) {
  EchoServer server({"--max-fragments", "3"});
  EXPECT_EQ(conversation(server, {text("a", false), more("b", false), more("c"), closing(1000)}),
            "text abc\nclose 1000\n");
  const std::string answer =
      conversation(server, {text("a", false), more("b", false), more("c", false), more("", true)});
  EXPECT_TRUE(answer.starts_with("close 1008")) << answer;
}

TEST(ProgramEchoServer, PeerThatDoesNotReadIsNotReadAndLosesNothing) {
  constexpr std::size_t size =
      40'000;                    // plus a quarter of the queue's limit is less than that limit
  constexpr int messages = 600;  // 24 MB: more than all socket buffers on the way hold
  const auto message = [](int i) { return std::string(size, static_cast<char>('a' + i % 26)); };
  EchoServer server({"--queue-limit", "65536"});
  BlockingClient client = connected(server.url());
  std::jthread sender([&] {
    for (int i = 0; i < messages; ++i) {
      if (!client.send(Message(message(i)))) return;
    }
  });
  std::string answer;
  for (int i = 0; i < messages; ++i) {
    ASSERT_TRUE(client.receive(answer, patience)) << i << ", " << client.close_info().reason;
    ASSERT_EQ(shown(answer), shown(message(i))) << i;
  }
}

TEST(ProgramEchoServer, HandshakeTimeoutIs408) {
  EchoServer server({"--handshake-timeout", "2"});
  const auto began = std::chrono::steady_clock::now();
  const RawSocket socket = RawSocket::connect(server.port());
  EXPECT_TRUE(socket.send("GET /echo HTTP/1.1\r\n"));
  const std::string answer = socket.receive_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
  EXPECT_GE(std::chrono::steady_clock::now() - began, 2s);
}

TEST(ProgramEchoServer, IdleTimeoutPingsThenDropsASilentPeer) {
  EchoServer server({"--idle-timeout", "0.2"});
  const auto began = std::chrono::steady_clock::now();
  const std::string answer = conversation(server, {});
  EXPECT_TRUE(answer.starts_with("ping")) << answer;
  EXPECT_GE(std::chrono::steady_clock::now() - began, 400ms);
}

TEST(ProgramEchoServer, IdleTimeoutKeepsAPeerThatAnswers) {
  EchoServer server({"--idle-timeout", "2"});
  BlockingClient client = connected(server.url());
  std::string ignored;
  auto received = client.receive(ignored, 5s);  // a silent peer is dropped after 4 s
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code(), Errc::timed_out);
  EXPECT_EQ(echoed(client, Message("alive")), "alive");
}

TEST(ProgramEchoServer, OtherOriginsNeedTheFlag) {
  const DialOptions elsewhere{.headers = {{"Origin", "https://elsewhere.example"}}};
  {
    EchoServer server;
    const auto dialed = dial(server.url(), elsewhere);
    ASSERT_FALSE(dialed);
    EXPECT_EQ(dialed.error().http_status(), 403);
  }
  EchoServer server({"--any-origin"});
  BlockingClient client = connected(server.url(), elsewhere);
  EXPECT_EQ(echoed(client, Message("welcome")), "welcome");
}

TEST(ProgramEchoServer, ServesItsPageTimeAndPush) {
  EchoServer server;
  const RawSocket socket = RawSocket::connect(server.port());
  EXPECT_TRUE(socket.send(page_request("/")));
  const std::string page = socket.receive_until("</html>");
  EXPECT_TRUE(page.starts_with("HTTP/1.1 200 OK\r\n")) << page.substr(0, 200);
  EXPECT_EQ(field(page, "Content-Type"), "text/html; charset=utf-8");
  EXPECT_TRUE(socket.send(page_request("/time")));  // the same connection
  const std::string time = socket.receive_until("}");
  EXPECT_EQ(field(time, "Cache-Control"), "no-store");
  EXPECT_NE(time.find("{\"time_us\":"), std::string::npos) << time;

  BlockingClient client = connected(server.url("/push"));
  for (const std::string start : {"{\"number\":1,\"time_us\":", "{\"number\":2,\"time_us\":"}) {
    std::string news;
    ASSERT_TRUE(client.receive(news, patience));
    EXPECT_TRUE(news.starts_with(start)) << news;
  }
}

}  // namespace
}  // namespace tern::test
