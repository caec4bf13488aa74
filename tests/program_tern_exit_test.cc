// Each exit code of `tern connect`, provoked by a faulty server or a wrong command line.

#include "support/certificates.h"
#include "support/proxy_peer.h"
#include "support/running_server.h"
#include "support/tern_command.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <memory>
#include <ostream>
#include <string>

namespace tern::test {
namespace {

// ---- the server

struct ServerRow {
  const char* name;
  int code;
  std::string part;  // of the report on stderr; empty: there is none
  std::function<void(Socket&)> script;
  Words arguments = {};
};

std::ostream& operator<<(std::ostream& out, const ServerRow& row) { return out << row.name; }

// A script that sends these frames after the handshake, and reads to the end.
std::function<void(Socket&)> sending(std::vector<Frame> frames) {
  return [frames](Socket& socket) {
    socket.upgrade();
    socket.send(wire(Role::server, frames));
    socket.receive_end();
  };
}

std::function<void(Socket&)> answering(std::string answer) {
  return [answer](Socket& socket) {
    socket.receive_head();
    socket.send(answer);
  };
}

void ends_after_upgrade(Socket& socket) { socket.upgrade(); }
void reads_only(Socket& socket) { socket.receive_end(); }
void upgrades_and_reads(Socket& socket) {
  socket.upgrade();
  socket.receive_end();
}
void resets(Socket& socket) {
  socket.upgrade();
  socket.reset();
}

const std::string stay = "--no-close";

std::vector<ServerRow> closes() {
  return {
      {"Close1000", 0, "", sending({closing(1000, "bye")}), {stay}},
      {"Close1001", 0, "", sending({closing(1001)}), {stay}},
      {"CloseWithoutACode", 0, "", sending({closing()}), {stay}},
      {"OurCodeIsAnswered",
       0,
       "",
       [](Socket& socket) { socket.upgrade(), answer_close(socket); },
       {"--close", "4001"}},
      {"Close4001",
       110,
       "tern: the server closed with 4001 \"b\\x07ye\"\n",
       sending({closing(4001, "b\x07ye")}),
       {stay}},
      {"OurCodeFromTheServer",
       110,
       "tern: the server closed with 4001\n",
       sending({closing(4001)}),
       {stay, "--close", "4001"}},
      {"AnotherCodeAnswersOurs", 110, "tern: closed with 1008\n",
       [](Socket& socket) {
         socket.upgrade();
         FrameSource(socket).next();
         socket.send(closing(1008));
       }},
  };
}

std::vector<ServerRow> failures() {
  return {
      {"Status403", 22, "HTTP 403",
       answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n")},
      {"Status200", 22, "HTTP 200", answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")},
      {"ConnectTimeout", 28, "", reads_only, {"--connect-timeout", "0.1"}},
      {"MaxTime", 28, "--max-time is over", upgrades_and_reads, {"-m", "0.1", stay}},
      {"MaxTimeLong", 28, "--max-time is over", reads_only, {"--max-time", "0.1"}},
      {"Idle", 28, "--idle is over", upgrades_and_reads, {"--idle", "0.1", stay}},
      {"PongTimeout",
       28,
       "the connection is lost: ",
       upgrades_and_reads,
       {"--ping", "0.05", "--pong-timeout", "0.05", stay}},
  };
}

std::vector<ServerRow> faults() {
  return {
      {"NoAnswer", 52, "", [](Socket& socket) { socket.receive_head(); }},
      {"EofWithoutClose", 56, "the connection is lost: ", ends_after_upgrade, {stay}},
      {"Reset", 56, "the connection is lost: ", resets, {stay}},
      {"NoTls",
       35,
       "TLS ",
       [](Socket& socket) {
         socket.receive();
         socket.send("HTTP/1.1 400 Bad Request\r\n\r\n");
       },
       {"-k", "wss"}},
      {"ReservedBits", 111, "the connection is lost: ", sending({Frame{1, "x", true, 1}}), {stay}},
      {"MaskedFrame",
       111,
       "the connection is lost: ",
       [](Socket& socket) {
         socket.upgrade();
         socket.send(wire(Role::client, text("x")));
         socket.receive_end();
       },
       {stay}},
      {"NotUtf8", 111, "UTF-8", sending({text("\xFF")}), {stay}},
      {"TooBig",
       111,
       "the connection is lost: ",
       sending({text("12345")}),
       {stay, "--max-message", "4"}},
      {"WrongAccept", 111, "",
       answering("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: "
                 "Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n")},
      {"NoHttp", 111, "", answering("SSH-2.0-x\r\n\r\n")},
  };
}

std::vector<ServerRow> server_rows() {
  std::vector<ServerRow> all = closes();
  for (const auto& rows : {failures(), faults()}) all.insert(all.end(), rows.begin(), rows.end());
  return all;
}

class TernConnectServerExit : public testing::TestWithParam<ServerRow> {};

TEST_P(TernConnectServerExit, HasItsCode) {
  const ServerRow& row = GetParam();
  ScriptedPeer peer(row.script);
  Words arguments = row.arguments;
  const bool secure = !arguments.empty() && arguments.back() == "wss";
  if (secure) arguments.pop_back();
  arguments.push_back((secure ? "wss://" : "ws://") + peer.authority() + "/");
  const Outcome outcome = run_tern(arguments);
  EXPECT_EQ(outcome.code, row.code) << outcome.err;
  EXPECT_NE(outcome.err.find(row.part), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.starts_with("tern: "), row.code != 0) << outcome.err;
}

INSTANTIATE_TEST_SUITE_P(Table, TernConnectServerExit, testing::ValuesIn(server_rows()),
                         [](const auto& row) { return std::string(row.param.name); });

// ---- the way to the server

TEST(TernConnectExit, NamesAndPorts) {
  const RefusedPort nowhere;
  const std::string no_name(64, 'x');  // a label has at most 63 bytes, so no server is asked
  EXPECT_EQ(run_tern({"ws://" + no_name + "/"}).code, 6);
  EXPECT_EQ(run_tern({"-x", no_name + ":1", "ws://a.example/"}).code, 5);
  EXPECT_EQ(run_tern({nowhere.url()}).code, 7);
  EXPECT_EQ(run_tern({"-x", nowhere.authority(), "ws://a.example/"}).code, 7);
  EXPECT_EQ(run_tern({"ws+unix:///no/such/socket:/"}).code, 7);
}

TEST(TernConnectExit, Proxies) {
  for (const std::string status : {"407 x", "403 x", "502 x"}) {
    const ProxyPeer proxy([&](RelayEnd& client) -> std::optional<std::uint16_t> {
      client.receive_head();
      client.send("HTTP/1.1 " + status + "\r\nProxy-Authenticate: Basic\r\n\r\n");
      return {};
    });
    const Outcome outcome = run_tern({"-v", "-x", "http://me:secret@" + proxy.authority(),
                                      "ws://a.example/", "-W", "%{http_code}\\n"});
    EXPECT_EQ(outcome.code, 97);
    EXPECT_NE(outcome.err.find(status.substr(0, 3)), std::string::npos) << outcome.err;
    EXPECT_TRUE(outcome.err.ends_with("\n0\n")) << "the status is that of the proxy";
    EXPECT_EQ(outcome.err.find("secret"), std::string::npos) << outcome.err;
  }
}

TEST(TernConnectExit, OwnCertificate) {
  const PemFiles files;
  const std::string wrong = files.write("wrong.pem", "no certificate");
  for (const Words& arguments : {Words{"--cert", wrong}, Words{"--cert", "/no/such/file"}}) {
    Words all = arguments;
    all.emplace_back("wss://127.0.0.1:1/");
    const Outcome outcome = run_tern(all);
    EXPECT_EQ(outcome.code, 58) << outcome.err;
    EXPECT_NE(outcome.err.find(arguments[1]), std::string::npos) << outcome.err;
  }
}

// The TLS handshake is done, so it is not its fault that no answer comes.
TEST(TernConnectExit, NoAnswerOverTls) {
  const Authority authority;
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_server_method()),
                                                             SSL_CTX_free);
  authority.leaf.use_in(context.get());
  const ProxyPeer server(
      [](RelayEnd& client) -> std::optional<std::uint16_t> {
        client.receive_head();
        return {};
      },
      context.get());
  const Outcome outcome = run_tern({"-k", "wss://" + server.authority() + "/"});
  EXPECT_EQ(outcome.code, 52) << outcome.err;
}

TEST(TernConnectExit, OutputThatCannotBeOpened) {
  const Outcome outcome = run_tern({"-o", "/no/such/directory/file", "ws://127.0.0.1:1/"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "tern: /no/such/directory/file: No such file or directory\n");
}

TEST(TernConnectExit, OutputThatIsFull) {
  ScriptedPeer peer(sending({text("Hello")}));
  const Outcome outcome = run_tern({"--no-close", "-o", "/dev/full", peer.url()});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "tern: stdout: No space left on device\n");
}

// ---- the command line

struct BadLine {
  Words arguments;
  int code;
  std::string part;  // of the line on stderr
};

const std::string no_server = "ws://127.0.0.1:1/";

std::vector<BadLine> bad_requests_and_ways() {
  const std::string& url = no_server;
  return {
      {{}, 2, "URL"},
      {{""}, 2, "URL"},
      {{url, "ws://me:secret@a/"}, 2, "URL: there is more than one"},
      {{"--retry", "3", url}, 2, "--retry: its number stands behind '='"},
      {{url, "--retry", "3"}, 2, "--retry: its number stands behind '='"},
      {{"--retry", url, "ws://b/"}, 2, "URL: there is more than one"},
      {{"--key-file=secret", url}, 2, "--key-file: there is no such flag"},
      {{"--unknown", url}, 2, "--unknown"},
      {{"-H", "nothing", url}, 2, "--header"},
      {{"-H", "@/no/such/file", url}, 2, "/no/such/file"},
      {{"-H", "Upgrade: x", url}, 2, "Upgrade"},
      {{"-H", "A b: x", url}, 2, ""},
      {{"-s", "a b", url}, 2, ""},
      {{"-u", "me", url}, 2, "--user"},
      {{"--proxy-user", "me", url}, 2, "--proxy-user"},
      {{"-x", "ftp://me:secret@a", url}, 2, "--proxy"},
      {{"--max-redirs", "1", url}, 2, "--location"},
      {{"-L", "--max-redirs", "x", url}, 2, "--max-redirs"},
      {{"--key", "k.pem", url}, 2, "--cert"},
      {{"--cacert", "", url}, 2, "--cacert"},
      {{"-4", "-6", url}, 2, "--ipv"},
      {{"--unix-socket", "/a", "-x", "a", url}, 2, "--unix-socket"},
      {{"--unix-socket", "/a", "--connect-to", "a:1", url}, 2, "--unix-socket"},
      {{"--connect-to", "nothing", url}, 2, "connect_to"},
  };
}

std::vector<BadLine> bad_messages_and_ends() {
  const std::string& url = no_server;
  return {
      {{"-m", "0", url}, 2, "--max-time"},
      {{"--connect-timeout", "soon", url}, 2, "--connect-timeout"},
      {{"--idle", "-1", url}, 2, "--idle"},
      {{"--ping", "nan", url}, 2, "--ping"},
      {{"--retry=0", url}, 2, "--retry"},
      {{"--retry=x", url}, 2, "--retry"},
      {{"--retry-max", "1", url}, 2, "--retry"},
      {{"-B", "--hex", url}, 2, "--hex"},
      {{"--hex", "--base64", url}, 2, "--base64"},
      {{"--hex", "-e", "0g", url}, 2, "--send"},
      {{"--max-message", "0", url}, 2, "--max-message"},
      {{"-1", "-N", "2", url}, 2, "--one"},
      {{"-N", "0", url}, 2, "--count"},
      {{"-E", "-w", "1", url}, 2, "--exit-on-eof"},
      {{"-E", "-1", url}, 2, "--exit-on-eof"},
      {{"--no-close", "-w", "1", url}, 2, "--no-close"},
      {{"--close", "1005", url}, 2, "--close"},
      {{"--close", "1000x", url}, 2, "--close"},
      {{"--close", "1000:" + std::string(124, 'x'), url}, 2, "--close"},
      {{"-v", "-q", url}, 2, "--verbose"},
      {{"-W", "%{nothing}", url}, 2, "nothing"},
      {{"http://a/"}, 3, ""},
      {{"ws://a:0/"}, 3, ""},
      {{"ws://a/#part"}, 3, ""},
  };
}

TEST(TernConnectExit, CommandLine) {
  std::vector<BadLine> lines = bad_requests_and_ways();
  for (const BadLine& line : bad_messages_and_ends()) lines.push_back(line);
  for (const BadLine& row : lines) {
    const Outcome outcome = run_tern(row.arguments);
    EXPECT_EQ(outcome.code, row.code) << testing::PrintToString(row.arguments) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
    EXPECT_TRUE(outcome.err.starts_with("tern")) << outcome.err;
    EXPECT_NE(outcome.err.find(row.part), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.err.find("secret"), std::string::npos) << outcome.err;
  }
}

TEST(TernCommand, NamesItsVersionAndItsCommands) {
  Process version({program("tern"), "--version"});
  EXPECT_EQ(version.exit_code(), 0);
  EXPECT_TRUE(version.out().starts_with("tern 0.")) << version.out();
  Process help({program("tern"), "--help"});
  EXPECT_EQ(help.exit_code(), 0);
  EXPECT_NE(help.out().find("tern [connect]"), std::string::npos);
  Process nothing({program("tern")});
  EXPECT_EQ(nothing.exit_code(), 2);
  EXPECT_NE(nothing.err().find("usage: tern"), std::string::npos);
}

// A first word that is no command is a part of the command line of connect.
TEST(TernCommand, ConnectMayBeLeftOut) {
  ScriptedPeer peer(sending({text("Hello"), closing(1000)}));
  Process tern({"env", "-u", "http_proxy", "-u", "all_proxy", "-u", "ALL_PROXY", program("tern"),
                "--no-close", peer.url()});
  EXPECT_EQ(tern.exit_code(), 0) << tern.err();
  EXPECT_EQ(tern.out(), "Hello\n");
}

}  // namespace
}  // namespace tern::test
