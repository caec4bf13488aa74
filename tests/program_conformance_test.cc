// docs/conformance.md shows how the programs are started for the Autobahn test suite. The test
// starts them with the flags in the document and sends the sizes of group 9: a message of 16 MiB
// and a message of 131 072 fragments. One byte or one fragment more is refused.

#include "support/markdown.h"
#include "support/process.h"
#include "support/raw_socket.h"
#include "support/upgrade_text.h"
#include "support/wire.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace tern::test {
namespace {

constexpr std::size_t most_bytes = 16 << 20;
constexpr std::size_t most_fragments = 131'072;

// Returns the words behind "$ build/bin/<program>" in the document; empty if no line starts the
// program.
std::vector<std::string> words_behind(const std::string& program) {
  const std::filesystem::path path = "docs/conformance.md";
  const std::string start = "$ build/bin/" + program + ' ';
  for (const CodeBlock& block : code_blocks(file_text(TERN_SOURCE_DIR / path))) {
    std::istringstream lines(block.text);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with(start)) continue;
      std::istringstream rest(line.substr(start.size()));
      std::vector<std::string> words;
      for (std::string word; rest >> word;) words.push_back(word);
      return words;
    }
  }
  ADD_FAILURE() << path << " does not show how " << program << " is started";
  return {};
}

// A message that has both sizes.
std::string largest_message(Role sender) {
  const std::string part(most_bytes / most_fragments, 'm');
  const std::string middle = wire(sender, more(part, false));
  std::string bytes = wire(sender, text(part, false));
  bytes.reserve(most_fragments * middle.size());
  for (std::size_t i = 2; i < most_fragments; ++i) bytes += middle;
  return bytes + wire(sender, more(part));
}

std::string one_fragment_more(Role sender) {
  const std::string middle = wire(sender, more("", false));
  std::string bytes = wire(sender, text("", false));
  bytes.reserve(most_fragments * middle.size());
  for (std::size_t i = 0; i < most_fragments; ++i) bytes += middle;
  return bytes;
}

struct Case {
  const char* name;
  std::string sent;
  std::string answer;
};

std::vector<Case> cases(Role sender) {
  return {
      {"the largest message", largest_message(sender) + wire(sender, closing(1000)),
       to_string(text(std::string(most_bytes, 'm'))) + "\nclose 1000\n"},
      {"one byte more", wire_header(sender, binary(""), most_bytes + 1),
       failure(Errc::message_too_big) + '\n'},
      {"one fragment more", one_fragment_more(sender), failure(Errc::too_many_fragments) + '\n'}};
}

// Returns the frames up to the end of TCP, one in each line.
std::string frames_from(const RawSocket& socket, Role sender) {
  FrameReader reader(sender);
  reader.feed(socket.receive_all());
  EXPECT_EQ(reader.fault(), "");
  std::string lines;
  for (const Frame& frame : reader.frames()) lines += to_string(frame) + '\n';
  return lines;
}

TEST(ProgramConformance, TheFlagsOfEchoServerAreEnoughForGroup9) {
  const std::vector<std::string> flags = words_behind("echo_server");
  ASSERT_FALSE(flags.empty());
  const EchoServer server(flags);
  for (const Case& each : cases(Role::client)) {
    SCOPED_TRACE(each.name);
    const RawSocket socket = RawSocket::connect(server.port());
    EXPECT_TRUE(socket.send(upgrade_request()));
    EXPECT_TRUE(socket.receive_until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
    EXPECT_TRUE(socket.send(each.sent));
    EXPECT_EQ(frames_from(socket, Role::server), each.answer);
  }
}

TEST(ProgramConformance, TheFlagsOfEchoBackAreEnoughForGroup9) {
  std::vector<std::string> words = words_behind("echo_back");
  ASSERT_FALSE(words.empty());
  EXPECT_NE(words.back().find("ws://"), std::string::npos) << "the URL is the last word";
  words.insert(words.begin(), program("echo_back"));
  for (const Case& each : cases(Role::server)) {
    SCOPED_TRACE(each.name);
    const RawSocket listener = RawSocket::bound();
    listener.listen();
    words.back() = "ws://127.0.0.1:" + std::to_string(listener.port()) + "/";
    Process client(words);
    {
      const RawSocket socket = listener.accept();
      EXPECT_TRUE(socket.send(upgrade_answer(socket.receive_until("\r\n\r\n"))));
      EXPECT_TRUE(socket.send(each.sent));
      ::shutdown(socket.fd(), SHUT_WR);
      EXPECT_EQ(frames_from(socket, Role::client), each.answer);
    }
    const bool clean = each.answer.ends_with("close 1000\n");
    EXPECT_EQ(client.exit_code(), clean ? 0 : 1) << client.err();
  }
}

}  // namespace
}  // namespace tern::test
