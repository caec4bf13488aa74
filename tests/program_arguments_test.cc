// The command lines of the programs are a contract for scripts. --help lists every flag and exits
// with 0. An unknown flag or a bad value exits with 2 and prints one line to standard error.

#include "support/process.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <ostream>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Words = std::vector<std::string>;

struct Program {
  std::string name;
  Words flags;
};

const std::vector<Program>& programs() {
  static const std::vector<Program> table = {
      {"echo_server",
       {"--host", "--port", "--threads", "--spin", "--max-message", "--max-fragments",
        "--queue-limit", "--handshake-timeout", "--idle-timeout", "--any-origin", "--deflate",
        "--deflate-takeover", "--deflate-level", "--deflate-min-bytes", "--cert", "--key"}},
      {"echo_client",
       {"--addr", "--path", "URL", "--ca", "--insecure", "--proxy", "--unix-socket", "--connect-to",
        "--max-redirects", "--deflate"}},
      {"echo_back",
       {"--max-message", "--max-fragments", "--deflate", "--deflate-min-bytes", "URL", "--ca",
        "--insecure"}},
  };
  return table;
}

Process start(const std::string& name, Words words) {
  words.insert(words.begin(), program(name));
  return Process(words);
}

TEST(ProgramArguments, HelpExplainsEachFlag) {
  for (const Program& each : programs()) {
    SCOPED_TRACE(each.name);
    Process process = start(each.name, {"--help"});
    EXPECT_EQ(process.exit_code(), 0);
    EXPECT_EQ(process.err(), "");
    for (const std::string& flag : each.flags) {
      EXPECT_NE(process.out().find(flag), std::string::npos) << flag << '\n' << process.out();
    }
  }
}

// The default of a flag in the text of --help, for example 9001 in "--port UINT=9001".
std::string default_of(const std::string& name, const std::string& flag) {
  Process process = start(name, {"--help"});
  EXPECT_EQ(process.exit_code(), 0);
  const std::string help = process.out();
  const std::size_t begin = help.find('=', help.find("  " + flag + ' ')) + 1;
  return help.substr(begin, help.find_first_of(" \n", begin) - begin);
}

// Both programs work together when they are started without flags.
TEST(ProgramArguments, ClientAndServerHaveTheSameDefaultPort) {
  EXPECT_EQ(default_of("echo_client", "--addr"),
            "localhost:" + default_of("echo_server", "--port"));
}

struct BadLine {
  std::string name;
  Words words;
  std::string contained;  // in the one line
};

std::ostream& operator<<(std::ostream& out, const BadLine& line) {
  out << line.name;
  for (const std::string& word : line.words) out << ' ' << word;
  return out;
}

class ProgramBadArguments : public testing::TestWithParam<BadLine> {};

TEST_P(ProgramBadArguments, ExitTwoWithOneLine) {
  Process process = start(GetParam().name, GetParam().words);
  EXPECT_EQ(process.exit_code(), 2);
  EXPECT_EQ(process.out(), "");
  EXPECT_EQ(std::ranges::count(process.err(), '\n'), 1) << process.err();
  EXPECT_TRUE(process.err().ends_with('\n'));
  EXPECT_NE(process.err().find(GetParam().contained), std::string::npos) << process.err();
}

INSTANTIATE_TEST_SUITE_P(
    Table, ProgramBadArguments,
    testing::Values(BadLine{"echo_server", {"--unknown"}, "--unknown"},
                    BadLine{"echo_server", {"stray"}, "stray"},
                    BadLine{"echo_server", {"--port", "65536"}, "--port"},
                    BadLine{"echo_server", {"--port", "-1"}, "--port"},
                    BadLine{"echo_server", {"--port", "http"}, "--port"},
                    BadLine{"echo_server", {"--port"}, "--port"},
                    BadLine{"echo_server", {"--threads", "0"}, "--threads"},
                    BadLine{"echo_server", {"--max-message", "0"}, "--max-message"},
                    BadLine{"echo_server", {"--max-message", "-5"}, "--max-message"},
                    BadLine{"echo_server", {"--max-message", "1.5"}, "--max-message"},
                    BadLine{"echo_server", {"--max-fragments", "0"}, "--max-fragments"},
                    BadLine{"echo_server", {"--max-fragments", "many"}, "--max-fragments"},
                    BadLine{"echo_server", {"--queue-limit", "0"}, "--queue-limit"},
                    BadLine{"echo_server", {"--handshake-timeout", "0"}, "--handshake-timeout"},
                    BadLine{"echo_server", {"--handshake-timeout", "nan"}, "--handshake-timeout"},
                    BadLine{"echo_server", {"--idle-timeout", "-0.2"}, "--idle-timeout"},
                    BadLine{"echo_server", {"--idle-timeout", "soon"}, "--idle-timeout"},
                    BadLine{"echo_server", {"--idle-timeout", "1e300"}, "--idle-timeout"},
                    BadLine{"echo_server", {"--deflate-level", "10"}, "--deflate-level"},
                    BadLine{"echo_server", {"--deflate-min-bytes", "-1"}, "--deflate-min-bytes"},
                    BadLine{"echo_client", {"--unknown"}, "--unknown"},
                    BadLine{"echo_server", {"--key", "key.pem"}, "--cert"},
                    BadLine{"echo_client", {"--addr"}, "--addr"},
                    BadLine{"echo_client", {"--addr", "a:1", "ws://b:2"}, "--addr"},
                    BadLine{"echo_back", {"--unknown", "ws://127.0.0.1:9"}, "--unknown"},
                    BadLine{"echo_back", {}, "URL"},
                    // A script whose variable is not set must not get the default instead.
                    BadLine{"echo_server", {"--host", ""}, "--host"},
                    BadLine{"echo_server", {"--cert", ""}, "--cert"},
                    BadLine{"echo_server", {"--cert", "cert.pem", "--key", ""}, "--key"},
                    BadLine{"echo_client", {""}, "URL"},
                    BadLine{"echo_client", {"--addr", ""}, "--addr"},
                    BadLine{"echo_client", {"--ca", ""}, "--ca"},
                    BadLine{"echo_client", {"--proxy", "ftp://me:secret@a"}, "the scheme is not"},
                    BadLine{"echo_client", {"--max-redirects", "-1"}, "--max-redirects"},
                    BadLine{"echo_back", {""}, "URL"},
                    BadLine{"echo_back", {"--ca", "", "ws://127.0.0.1:9"}, "--ca"},
                    BadLine{"echo_back", {"--max-message", "x", "ws://127.0.0.1:9"}, "--max-mess"},
                    BadLine{"echo_back", {"--max-fragments", "0", "ws://127.0.0.1:9"}, "--max-f"}));

}  // namespace
}  // namespace tern::test
