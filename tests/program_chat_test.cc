// The program chat: login, rooms, its page from a folder, health and metrics. The README shows a
// part of it.

#include "tern/dial.h"

#include "support/markdown.h"
#include "support/process.h"
#include "support/raw_socket.h"
#include "support/upgrade_text.h"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace tern::test {
namespace {

namespace fs = std::filesystem;

/// build/bin/chat on a port of the system's choosing.
class Chat : public Process {
 public:
  Chat()
      : Process({program("chat"), "--port", "0", "--folder", TERN_SOURCE_DIR "/examples/chat",
                 "--password", "a b&c"}) {
    const std::string where = line();
    constexpr std::string_view start = "chat at http://127.0.0.1:";
    if (!where.starts_with(start)) {
      ADD_FAILURE() << where;
      return;
    }
    port_ = static_cast<std::uint16_t>(std::stoi(where.substr(start.size())));
  }

  /// The whole answer to a request on a connection of its own.
  std::string ask(const std::string& method, const std::string& path, const std::string& more = "",
                  const std::string& body = "") const {
    const RawSocket socket = RawSocket::connect(port_);
    std::string request = method + ' ' + path + " HTTP/1.1\r\nHost: localhost\r\n" + more;
    if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    EXPECT_TRUE(socket.send(request + "Connection: close\r\n\r\n" + body));
    return socket.receive_all();
  }
  /// The Cookie field of a person who has logged in.
  std::string log_in(const std::string& name) const {
    const std::string answer = ask("POST", "/login", "", "name=" + name + "&password=a+b%26c");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 303 ")) << answer;
    const std::string cookie = field(answer, "Set-Cookie");
    EXPECT_NE(cookie.find("; HttpOnly; SameSite=Lax"), cookie.npos) << cookie;
    return cookie.substr(0, cookie.find(';'));
  }
  std::string url(const std::string& path) const {
    return "ws://127.0.0.1:" + std::to_string(port_) + path;
  }

 private:
  std::uint16_t port_ = 0;
};

class Person {
 public:
  Person(const Chat& chat, const std::string& room, const std::string& cookie)
      : client_(dial(chat.url("/rooms/" + room), {.headers = {{"Cookie", cookie}}}).value()) {}

  void say(const std::string& text) { EXPECT_TRUE(client_.send(text)); }
  std::string hear() {
    std::string text;
    auto received = client_.receive(text, patience);
    EXPECT_TRUE(received) << received.error().message();
    return text;
  }

 private:
  BlockingClient client_;
};

TEST(ProgramChat, PeopleInARoomHearEachOther) {
  const Chat chat;
  const std::string ada_cookie = chat.log_in("ada");
  const std::string bob_cookie = chat.log_in("bob");
  EXPECT_NE(ada_cookie, bob_cookie);
  Person ada(chat, "caf%C3%A9", ada_cookie);
  EXPECT_EQ(ada.hear(), "ada: has come");
  ada.say("hello");
  EXPECT_EQ(ada.hear(), "ada: hello");
  Person eve(chat, "lobby", bob_cookie);
  EXPECT_EQ(eve.hear(), "bob: has come");
  Person bob(chat, "caf%c3%a9", bob_cookie);  // the same room
  for (const char* line : {"ada: has come", "ada: hello", "bob: has come"}) {
    EXPECT_EQ(bob.hear(), line) << "the history comes first";
  }
  bob.say("hi");
  EXPECT_EQ(ada.hear(), "bob: has come");
  EXPECT_EQ(ada.hear(), "bob: hi");
}

TEST(ProgramChat, StrangersAreRefused) {
  const Chat chat;
  for (const char* body :
       {"name=ada&password=wrong", "name=&password=a+b%26c", "password=a+b%26c", "name=ada"}) {
    const std::string answer = chat.ask("POST", "/login", "", body);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 ")) << body << answer;
    EXPECT_EQ(field(answer, "Set-Cookie"), "(absent)");
  }
  EXPECT_TRUE(chat.ask("GET", "/login").starts_with("HTTP/1.1 405 "));
  const std::tuple<std::string, std::string, int> refusals[] = {
      {"lobby", "token=1", 401}, {"lobby", "", 401}, {"a%00b", chat.log_in("ada"), 404}};
  for (const auto& [room, cookie, status] : refusals) {
    const auto refused = dial(chat.url("/rooms/" + room), {.headers = {{"Cookie", cookie}}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().http_status(), status) << room << cookie;
  }
}

TEST(ProgramChat, ServesItsFolderHealthAndMetrics) {
  Chat chat;
  for (const auto& [path, type, text] :
       {std::tuple("/", "text/html", "<title>tern: chat</title>"),
        std::tuple("/chat.css", "text/css", "body {"),
        std::tuple("/chat.js", "text/javascript", "new WebSocket(url)"),
        std::tuple("/health", "text/plain", "fine\n"),
        std::tuple("/metrics", "text/plain", "tern_upgrades_total 0\n")}) {
    const std::string answer = chat.ask("GET", path);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << path << answer;
    EXPECT_TRUE(field(answer, "Content-Type").starts_with(type)) << answer.substr(0, 400);
    EXPECT_NE(answer.find(text), answer.npos) << path;
  }
  EXPECT_TRUE(chat.ask("GET", "/nowhere").starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(chat.ask("GET", "/me").ends_with("\r\n\r\n"));
  EXPECT_TRUE(
      chat.ask("GET", "/me", "Cookie: " + chat.log_in("ada") + "\r\n").ends_with("\r\n\r\nada"));
  chat.signal(SIGTERM);
  EXPECT_EQ(chat.exit_code(), 0);
  EXPECT_EQ(chat.err(), "");
}

TEST(ProgramChat, TheReadmeShowsAPartOfIt) {
  const std::string code = file_text(fs::path(TERN_SOURCE_DIR) / "examples/chat.cc");
  EXPECT_LE(std::ranges::count(code, '\n'), 120);
  int shown = 0;
  for (const CodeBlock& block : code_blocks(file_text(fs::path(TERN_SOURCE_DIR) / "README.md"))) {
    if (block.language != "c++") continue;
    ++shown;
    EXPECT_NE(code.find(block.text), code.npos) << block.text;
  }
  EXPECT_EQ(shown, 1);
}

}  // namespace
}  // namespace tern::test
