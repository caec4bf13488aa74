// `tern connect`: what it sends, what it prints, and when it closes.

#include "support/certificates.h"
#include "support/running_server.h"
#include "support/tern_command.h"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <vector>

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

// stdin is read only when the connection is open.
TEST(TernConnectInput, BeforeTheConnectionIsNotLost) {
  std::promise<void> typed;
  Words seen;
  {
    ScriptedPeer peer([&](Socket& socket) {
      const std::string head = socket.receive_head();
      typed.get_future().wait();
      socket.send(upgrade_answer(head));
      FrameSource frames(socket);
      for (int i = 0; i < 3; ++i) seen.push_back(frames.next_text());
      socket.send(closing(1000));
    });
    Tern tern({peer.url()});
    tern.type("early\nbird\n");
    tern.end_input();
    typed.set_value();
    EXPECT_EQ(tern->exit_code(), 0) << tern->err();
  }
  EXPECT_EQ(seen, (Words{"text early", "text bird", "close 1000"}));
}

TEST(TernConnectInput, FlagsSayWhatAMessageIs) {
  const std::string nulls("a\0b\n\0", 5);
  EXPECT_EQ(frames_of({}, "a\nb\n"), (Words{"text a", "text b", "close 1000"}));
  EXPECT_EQ(frames_of({"-B"}, "a\n\xFF\n"), (Words{"binary a", "binary \xFF", "close 1000"}));
  EXPECT_EQ(frames_of({"--binary", "-e", "x"}), (Words{"binary x", "close 1000"}));
  EXPECT_EQ(frames_of({"--hex", "-e", "4142"}, "01 fF\n"),
            (Words{"binary AB", "binary \x01\xFF", "close 1000"}));
  EXPECT_EQ(frames_of({"--base64"}, "SGVsbG8=\nSGVsbG8\n"),
            (Words{"binary Hello", "binary Hello", "close 1000"}));
  EXPECT_EQ(frames_of({"-0"}, nulls), (Words{"text a", "text b\n", "close 1000"}));
  EXPECT_EQ(frames_of({"--null"}, "a"), (Words{"text a", "close 1000"}));
  EXPECT_EQ(frames_of({"-e", "one", "--send", "two"}, "three\n"),
            (Words{"text one", "text two", "text three", "close 1000"}));
}

TEST(TernConnectInput, WrongMessagesAreReportedAndNotSent) {
  EXPECT_EQ(frames_of({}, "a\n\xFF\nb\n", 1), (Words{"text a", "text b", "close 1000"}));
  EXPECT_EQ(frames_of({"--hex"}, "0g\n41\n", 1), (Words{"binary A", "close 1000"}));
  EXPECT_EQ(frames_of({"--base64"}, "!\n", 1), Words{"close 1000"});
  EXPECT_EQ(frames_of({"--max-message", "4"}, "1234\n12345\n1\n", 1),
            (Words{"text 1234", "close 1000"}));
}

// The server reads nothing until stdin is blocked. If the command read on, poll() would not time
// out; a slow machine can only make this test weaker.
TEST(TernConnectInput, WaitsForASlowServer) {
  constexpr std::size_t most = std::size_t{64} << 20;
  std::promise<void> blocked;
  std::size_t received = 0;
  std::size_t sent = 0;
  {
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      blocked.get_future().wait();
      FrameSource frames(socket);
      Frame frame = frames.next();
      for (; frame.opcode == 1; frame = frames.next()) received += frame.payload.size() + 1;
      socket.send(frame);
    });
    Tern tern({peer.url()});
    const std::string line = std::string(8191, 'x') + '\n';
    pollfd room{tern.input(), POLLOUT, 0};
    while (sent < most && ::poll(&room, 1, 500) == 1) {
      tern.type(std::string_view(line).substr(sent % line.size(), 4096));
      sent += 4096;
    }
    EXPECT_LT(sent, most);
    blocked.set_value();
    tern.end_input();
    EXPECT_EQ(tern->exit_code(), 0) << tern->err();
  }
  EXPECT_EQ(received, sent + (sent % 8192 == 0 ? 0 : 1));
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

TEST(TernConnectOutput, AHyphenIsStdout) {
  Echo server;
  const Outcome outcome = run_tern({"-o", "-", "-1", server.url()}, "Hello\n");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "Hello\n");
}

TEST(TernConnectOutput, InAPipeIsRaw) {
  const auto received = [](Words arguments) {
    ScriptedPeer peer([](Socket& socket) {
      socket.upgrade();
      socket.send(text("a\nb\x1B[2J\xC2\x9B"));
      socket.send(binary(std::string("\0\xFF", 2)));
      socket.send(text("\xC3\xA9"));
      socket.send(closing(1000));
    });
    arguments.push_back(peer.url());
    const Outcome outcome = run_tern(arguments);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
    return outcome.out;
  };
  EXPECT_EQ(received({"--no-close"}), std::string("a\nb\x1B[2J\xC2\x9B\n\0\xFF\xC3\xA9\n", 15));
  EXPECT_EQ(received({"--no-close", "-0"}),
            std::string("a\nb\x1B[2J\xC2\x9B\0\0\xFF\0\xC3\xA9\0", 16));
  EXPECT_EQ(received({"--no-close", "--hex"}), "610a621b5b324ac29b\n00ff\nc3a9\n");
  EXPECT_EQ(received({"--no-close", "--base64"}), "YQpiG1sySsKb\nAP8=\nw6k=\n");
}

// The most memory that the process had, in KiB.
long peak_memory(pid_t pid) {
  const std::string status = read_file("/proc/" + std::to_string(pid) + "/status");
  return std::stol(status.substr(status.find("VmHWM:") + 6));
}

// The server sends much more than the command may keep. All of it comes, in order.
TEST(TernConnectOutput, SlowReaderLosesNothing) {
  constexpr int count = 640;
  const std::string filling(100'000, 'x');
  std::promise<void> measured;
  std::promise<void> much;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    for (int i = 0; i < count; ++i) {
      socket.send(text(std::to_string(i) + filling));
      if (i == 0) measured.get_future().wait();
      if (i == 10) much.set_value();
    }
    socket.send(closing(1000));
    socket.receive_end();
  });
  Tern tern({"--no-close", peer.url()});
  long peak = 0;
  for (int i = 0; i < count; ++i) {
    const std::string line = tern->line();
    ASSERT_EQ(line.size(), filling.size() + std::to_string(i).size());
    ASSERT_TRUE(line.starts_with(std::to_string(i) + 'x'));
    if (i == 0) {
      peak = peak_memory(tern->pid());
      measured.set_value();
      much.get_future().wait();
    }
    if (i == count - 40) {
      EXPECT_LT(peak_memory(tern->pid()) - peak, 20'000);
    }
  }
  EXPECT_EQ(tern->exit_code(), 0) << tern->err();
}

TEST(TernConnectOutput, JsonHasALineForEachEvent) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    socket.send(text("a\"\n"));
    socket.send(binary("\xFF"));
    socket.send(closing(4001, "bye"));
  });
  const Outcome outcome = run_tern({"--json", "--no-close", "-q", peer.url("/echo?secret")});
  EXPECT_EQ(outcome.code, 110);
  EXPECT_EQ(outcome.err, "");
  std::istringstream lines(outcome.out);
  const std::string url = "\"url\":\"" + peer.url("/echo") + '"';
  for (const std::string& part :
       {"\"event\":\"attempt\",\"number\":1," + url, "\"event\":\"open\"," + url,
        std::string("\"event\":\"message\",\"dir\":\"in\",\"type\":\"text\",\"bytes\":3,"
                    "\"data\":\"a\\\"\\n\"}"),
        std::string("\"type\":\"binary\",\"bytes\":1,\"base64\":\"/w==\"}"),
        std::string("\"event\":\"close\",\"code\":4001,\"reason\":\"bye\",\"clean\":true,"
                    "\"by_peer\":true}")}) {
    std::string line;
    std::getline(lines, line);
    EXPECT_TRUE(line.starts_with("{\"t\":")) << line;
    EXPECT_NE(line.find(part), std::string::npos) << part << " is not in\n" << line;
  }
  EXPECT_EQ(lines.peek(), EOF);
  const RefusedPort nowhere;
  const Outcome refused = run_tern({"--json", "--timestamps", nowhere.url()});
  EXPECT_EQ(refused.code, 7);
  EXPECT_NE(refused.out.find("\"event\":\"error\",\"stage\":\"connect\",\"message\":\"connect 127"),
            std::string::npos);
  EXPECT_NE(refused.out.find("\"time\":\"20"), std::string::npos);
}

TEST(TernConnectOutput, ShowControlReportsPingsAndPongs) {
  for (const bool json : {false, true}) {
    Words pings;
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      FrameSource frames(socket);
      while (pings.size() < 2) {
        const Frame frame = frames.next();
        const std::string text = to_string(frame);
        // On a busy machine the keepalive may ask, too, because the command is late.
        if (!text.starts_with("ping tern-")) pings.push_back(text);
        socket.send(pong(frame.payload));
      }
      socket.send(ping("theirs"));
      std::string answer = to_string(frames.next());
      while (answer.starts_with("ping ")) answer = to_string(frames.next());
      EXPECT_EQ(answer, "pong theirs");
      socket.send(closing(1000));
      socket.receive_end();
    });
    Words arguments = {"--ping", "0.05", "--no-close", json ? "-P" : "--show-control", peer.url()};
    if (json) arguments.emplace_back("--json");
    const Outcome outcome = run_tern(arguments);
    peer.join();
    EXPECT_EQ(pings, (Words{"ping 1", "ping 2"}));
    const std::string& shown = json ? outcome.out : outcome.err;
    for (const std::string part :
         {json ? "\"event\":\"ping\",\"dir\":\"out\",\"base64\":\"MQ==\"}" : "> ping \"1\"\n",
          json ? "\"event\":\"ping\",\"dir\":\"in\",\"base64\":\"dGhlaXJz\"}"
               : "< ping \"theirs\"\n",
          json ? "\"event\":\"pong\",\"dir\":\"in\",\"base64\":\"Mg==\",\"rtt_ms\":"
               : "< pong \"2\", "}) {
      EXPECT_NE(shown.find(part), std::string::npos) << part << " is not in\n" << shown;
    }
  }
}

TEST(TernConnectOutput, TimestampsStandBeforeEachMessage) {
  Echo server;
  const Outcome outcome = run_tern({"--timestamps", "-1", server.url()}, "Hello\n");
  const std::string pattern = "20dd-dd-ddTdd:dd:dd.dddZ Hello\n";
  ASSERT_EQ(outcome.out.size(), pattern.size()) << outcome.out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = outcome.out[i];
    EXPECT_TRUE(pattern[i] == 'd' ? c >= '0' && c <= '9' : c == pattern[i]) << outcome.out;
  }
}

TEST(TernConnectOutput, VerboseShowsTheHandshake) {
  Echo server({.deflate = Deflate{}});
  for (const std::string flag : {"-v", "--verbose"}) {
    const Outcome outcome = run_tern({flag, "-z", "-u", "me:secret", "-s", "x", "-H", "Cookie: c=d",
                                      "-H", "X-A: b", "--close", "1001:bye", server.url()});
    for (const std::string& line :
         {"* attempt 1: " + server.url(), std::string("> X-A: b"),
          std::string("> User-Agent: tern/"), std::string("> Authorization: (not shown)"),
          std::string("> Cookie: (not shown)"), std::string("> Sec-WebSocket-Protocol: x"),
          std::string("< HTTP/1.1 101 "), std::string("< Upgrade: websocket\n"),
          std::string(", compressed\n"), std::string("* closed with 1001\n")}) {
      EXPECT_NE(outcome.err.find(line), std::string::npos) << line << " is not in\n" << outcome.err;
    }
    EXPECT_EQ(outcome.out, "");
  }
}

// The lines of stderr that show a request.
std::string shown_requests(const Outcome& outcome) {
  std::istringstream lines(outcome.err);
  std::string shown;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("> ")) shown += line.substr(2) + "\r\n";
  }
  return shown;
}

TEST(TernConnectOutput, VerboseShowsTheWholeRequestWithoutSecrets) {
  std::string head;
  ScriptedPeer peer([&](Socket& socket) {
    head = socket.receive_head();
    socket.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  });
  const Outcome outcome = run_tern({"-v", "-z", "-u", "me:secret", "-H", "COOKIE: a=secret", "-H",
                                    "X-A: b", "-H", "proxy-authorization: Basic secret", "-s", "x",
                                    "--origin", "https://a.example", peer.url("/echo?a=b")});
  EXPECT_EQ(outcome.code, 22);
  peer.join();
  ASSERT_TRUE(head.starts_with("GET /echo?a=b HTTP/1.1\r\nHost: ")) << head;
  std::string expected = head.substr(0, head.size() - 2);
  for (const std::string secret : {"Basic bWU6c2VjcmV0", "a=secret", "Basic secret"}) {
    const std::size_t at = expected.find(secret);
    ASSERT_NE(at, std::string::npos) << secret << " is not in\n" << expected;
    expected.replace(at, secret.size(), "(not shown)");
  }
  EXPECT_EQ(shown_requests(outcome), expected);
}

TEST(TernConnectOutput, VerboseShowsTheHeadOfARefusal) {
  const auto refuse = [](Socket& socket) {
    socket.receive_head();
    socket.send("HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 4\r\n\r\ntext");
  };
  ScriptedPeer peer(refuse);
  const std::string shown = run_tern({"-v", peer.url()}).err;
  const std::string head = "< HTTP/1.1 403\n< X-Why: no\n< Content-Length: 4\ntern: ";
  EXPECT_NE(shown.find(head), std::string::npos) << shown;
  ScriptedPeer again(refuse);
  EXPECT_EQ(run_tern({again.url()}).err.find("X-Why"), std::string::npos);
}

TEST(TernConnectOutput, VerboseShowsTheRequestToTheProxy) {
  std::string connect;
  ScriptedPeer proxy([&](Socket& socket) {
    connect = socket.receive_head();
    socket.send("HTTP/1.1 502 x\r\nContent-Length: 0\r\n\r\n");
  });
  const Outcome outcome =
      run_tern({"-v", "-x", "http://me:secret@" + proxy.authority(), "ws://behind.example/"});
  EXPECT_EQ(outcome.code, 97);
  proxy.join();
  std::string expected = connect.substr(0, connect.size() - 2);
  const std::string secret = "Basic bWU6c2VjcmV0";
  ASSERT_NE(expected.find(secret), std::string::npos) << expected;
  expected.replace(expected.find(secret), secret.size(), "(not shown)");
  EXPECT_EQ(shown_requests(outcome), expected);
}

TEST(TernConnectOutput, VerboseShowsTheRequestAfterARedirect) {
  Echo server;
  ScriptedPeer peer([&](Socket& socket) {
    socket.receive_head();
    socket.send(redirect_to(server.url()));
  });
  const std::string shown = shown_requests(run_tern({"-v", "-L", peer.url("/first")}));
  EXPECT_TRUE(shown.starts_with("GET /first HTTP/1.1\r\n")) << shown;
  EXPECT_NE(shown.find("\r\nGET /echo HTTP/1.1\r\n"), std::string::npos) << shown;
}

TEST(TernConnectOutput, QuietReportsNothing) {
  const RefusedPort nowhere;
  EXPECT_NE(run_tern({nowhere.url()}).err, "");
  for (const std::string flag : {"-q", "--quiet"}) {
    const Outcome outcome = run_tern({flag, nowhere.url()});
    EXPECT_EQ(outcome.code, 7);
    EXPECT_EQ(outcome.out + outcome.err, "");
  }
}

TEST(TernConnectOutput, WriteOutHasTheFigures) {
  ScriptedPeer peer([](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    frames.next();
    socket.send(text("answer"));
    socket.send(closing(4001, "b\x07ye"));
  });
  const Outcome outcome =
      run_tern({"-q", "-W",
                "%{http_code} %{attempts} %{messages_received} %{messages_sent} "
                "%{bytes_received} %{bytes_sent} %{close_code} %{close_reason} %{remote_ip} "
                "%{exit_code} 100%%\\t%{url}\\n",
                "--no-close", peer.url("/echo?secret")},
               "Hello\n");
  EXPECT_EQ(outcome.err, "101 1 1 1 6 5 4001 b\\x07ye 127.0.0.1 110 100%\t" + peer.url() + '\n');
  EXPECT_EQ(outcome.out, "answer\n");
  Echo server;
  const Outcome json =
      run_tern({"--write-out", "%{json}|%{time_open}|%{time_total}|%{rtt}\\n", server.url()});
  EXPECT_TRUE(json.err.starts_with("{\"url\":\"" + server.url() + "\",\"http_code\":101,"))
      << json.err;
}

// The times of -W: namelookup, connect, appconnect, open, total.
std::vector<double> times_of(Words arguments, int code) {
  arguments.insert(arguments.begin(),
                   {"-q", "-W",
                    "%{time_namelookup} %{time_connect} %{time_appconnect} %{time_open} "
                    "%{time_total}"});
  const Outcome outcome = run_tern(arguments);
  EXPECT_EQ(outcome.code, code) << outcome.err;
  std::istringstream text(outcome.err);
  std::vector<double> times(5, -1);
  for (double& time : times) text >> time;
  EXPECT_TRUE(std::ranges::all_of(times, [](double time) { return time >= 0; })) << outcome.err;
  return times;
}

TEST(TernConnectOutput, WriteOutHasTheTimesOfTheStages) {
  const Authority authority;
  RunningServer secure({.tls = TlsServer{.certificate_pem = authority.leaf.certificate(),
                                         .private_key_pem = authority.leaf.key()}});
  secure.server.route("/echo", echo());
  const std::string url = "wss://127.0.0.1:" + std::to_string(secure.start()) + "/echo";
  const auto tls = times_of({"-k", url}, 0);
  EXPECT_GT(tls[1], 0);
  EXPECT_GT(tls[2], tls[1]);
  EXPECT_TRUE(std::ranges::is_sorted(tls));

  Echo server;
  const auto plain = times_of({server.url()}, 0);
  EXPECT_EQ(plain[2], 0) << "there was no TLS";
  EXPECT_LE(plain[0], plain[1]);
  EXPECT_LT(plain[1], plain[3]);
  EXPECT_LE(plain[3], plain[4]);
}

TEST(TernConnectOutput, WriteOutHasTheTimesBeforeAFailure) {
  const RefusedPort nowhere;
  const auto refused = times_of({nowhere.url()}, 7);
  EXPECT_EQ(refused[1] + refused[3], 0);
  const Listener silent;  // the system connects, and nothing answers
  const auto late = times_of({"-m", "0.1", silent.url()}, 28);
  EXPECT_GT(late[1], 0);
  EXPECT_EQ(late[3], 0);
  EXPECT_GE(late[4], 0.1);
}

}  // namespace
}  // namespace tern::test
