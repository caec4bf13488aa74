// Checks the README and the guides against the code: snippets compile, the ten-line server equals
// the one in examples/, terminal sessions print the lines shown, and the targets of links exist.
//
// In a ```console block the test runs each line "$ command". The lines below it are the expected
// output (numbers may differ). "^C" is the moment of the interrupt. A program that is not
// interrupted and does not end by itself serves the blocks below it. A free port replaces port
// 9001.

#include "support/markdown.h"
#include "support/process.h"
#include "support/raw_socket.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace tern::test {
namespace {

namespace fs = std::filesystem;

#ifdef __clang__
const std::string compiler = "clang++ -std=c++20 -Wall -Wextra -Werror";
#else
const std::string compiler = "g++ -std=c++20 -Wall -Wextra -Werror";
#endif

std::string readme() { return file_text(fs::path(TERN_SOURCE_DIR) / "README.md"); }

// A directory that is removed at the end of the test.
class Scratch {
 public:
  Scratch() {
    std::string name = testing::TempDir() + "tern-readme-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr) << errno;
    path_ = name;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { fs::remove_all(path_); }

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return *this / name;
  }

 private:
  fs::path path_{};
};

// Runs a shell command in the tree, with standard error in its output.
Process shell(const std::string& command) {
  return Process({"sh", "-c", "exec 2>&1; " + command}, TERN_SOURCE_DIR);
}

void expect_success(const std::string& command) {
  Process process = shell(command);
  EXPECT_EQ(process.exit_code(4min), 0) << command << '\n' << process.out().substr(0, 4000);
}

std::string with_port(std::string text, std::uint16_t port) {
  for (std::size_t at = text.find("9001"); at != text.npos; at = text.find("9001", at)) {
    text.replace(at, 4, std::to_string(port));
  }
  return text;
}

std::uint16_t free_port() { return RawSocket::bound().port(); }

TEST(ProgramReadme, TheTenLineServerIsTheExample) {
  for (const CodeBlock& block : code_blocks(readme())) {
    if (block.language != "cpp") continue;
    EXPECT_EQ(block.text, file_text(fs::path(TERN_SOURCE_DIR) / "examples/echo.cc"));
    return;  // the first snippet
  }
  FAIL() << "there is no snippet";
}

// A snippet with main() is compiled as it is. Other snippets are compiled as bodies of functions.
TEST(ProgramReadme, SnippetsCompile) {
  const Scratch scratch;
  std::string fragments =
      "#include <chrono>\n#include <csignal>\n#include <iostream>\n#include <string>\n"
      "#include <thread>\n#include <vector>\n#include \"tern/nats.h\"\n#include \"tern/redis.h\"\n"
      "#include \"tern/tern.h\"\n";
  std::vector<std::string> files;
  int count = 0;
  for (const fs::path& path : documents()) {
    for (const CodeBlock& block : code_blocks(file_text(path))) {
      if (block.language != "cpp") continue;
      ++count;
      const std::string where =
          "#line " + std::to_string(block.line) + " \"" + path.string() + "\"\n";
      if (block.text.find("int main(") != block.text.npos) {
        files.push_back(
            scratch.write("program" + std::to_string(count) + ".cc", where + block.text));
      } else {
        fragments += "void fragment" + std::to_string(count) + "();\n";
        fragments +=
            "void fragment" + std::to_string(count) + "() {\n" + where + block.text + "}\n";
      }
    }
  }
  EXPECT_GE(count, 2);
  files.push_back(scratch.write("fragments.cc", fragments));
  for (const std::string& file : files) {
    expect_success(compiler + " -fsyntax-only -Iinclude " + file);
  }
}

// The client snippet, run against our server, prints the text in the README.
TEST(ProgramReadme, TheClientRuns) {
  std::string code;
  std::string printed;
  for (const CodeBlock& block : code_blocks(readme())) {
    if (block.language == "cpp" && block.text.find("tern::dial") != block.text.npos) {
      code = block.text;
    } else if (block.language == "text" && printed.empty() && !code.empty()) {
      printed = block.text;
    }
  }
  ASSERT_FALSE(code.empty());
  ASSERT_FALSE(printed.empty());
  EchoServer server;
  const Scratch scratch;
  const std::string file = scratch.write("client.cc", with_port(code, server.port()));
  const std::string library = TERN_BIN_DIR "/../lib";
  expect_success(compiler + " -Iinclude " + file + " -o " + (scratch / "client") + " -L" + library +
                 " -Wl,-rpath," + library + " -ltern -lssl -lcrypto -lz -pthread " TERN_LINK_FLAGS);
  Process client = shell("exec " + (scratch / "client"));
  EXPECT_EQ(client.exit_code(), 0);
  EXPECT_EQ(client.out(), printed);
}

// Times and counts differ from run to run.
std::string without_numbers(const std::string& line) {
  std::string rest;
  for (const char c : line) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit || !rest.ends_with('0')) rest += digit ? '0' : c;
  }
  return rest;
}

TEST(ProgramReadme, TerminalSessionsPrintTheLinesShown) {
  ::setenv("TZ", "UTC0", 1);
  const std::uint16_t port = free_port();
  const std::string bin = "build/bin/";
  std::vector<std::unique_ptr<Process>> running;
  int commands = 0;
  for (const CodeBlock& block : code_blocks(readme())) {
    if (block.language != "console") continue;
    Process* current = nullptr;
    std::istringstream lines(block.text);
    for (std::string line; std::getline(lines, line);) {
      SCOPED_TRACE(line);
      if (line.starts_with("$ ")) {
        ASSERT_TRUE(line.starts_with("$ " + bin)) << "only our programs can be run here";
        const std::string command = with_port(line.substr(2 + bin.size()), port);
        running.push_back(std::make_unique<Process>(
            std::vector<std::string>{"sh", "-c", "exec 2>&1; exec " TERN_BIN_DIR "/" + command}));
        current = running.back().get();
        ++commands;
        continue;
      }
      ASSERT_NE(current, nullptr) << "output without a command";
      if (line.starts_with("^C")) {
        current->signal(SIGINT);
        line.erase(0, 2);
      }
      EXPECT_EQ(without_numbers(current->line()), without_numbers(line));
      if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
  }
  EXPECT_GE(commands, 3);
}

// Checks the other commands. The table has each command and its check.
TEST(ProgramReadme, CommandsExist) {
  const std::string make = "env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make SETUP=: --dry-run ";
  const std::string consumer =
      file_text(fs::path(TERN_SOURCE_DIR) / "tests/consumer/run.cmake") +
      file_text(fs::path(TERN_SOURCE_DIR) / "tests/consumer/CMakeLists.txt");
  int commands = 0;
  for (const CodeBlock& block : code_blocks(readme())) {
    if (block.language != "sh" && block.language != "cmake") continue;
    std::istringstream lines(block.text);
    for (std::string line; std::getline(lines, line);) {
      SCOPED_TRACE(line);
      ++commands;
      line = line.substr(0, line.find('#'));
      if (line.starts_with("make ")) {
        expect_success(make + line.substr(5));
      } else if (line.starts_with("find_package(") || line.starts_with("target_link_libraries(")) {
        // tests/consumer does this, for another target
        const std::string word =
            line.starts_with("find") ? "find_package(tern 0.1 REQUIRED" : "PRIVATE tern::tern)";
        EXPECT_NE(line.find(word), line.npos);
        EXPECT_NE(consumer.find(word), consumer.npos);
      } else {
        const std::string flags = "pkg-config --cflags --libs --static ";
        EXPECT_NE(line.find("$(" + flags + "tern)"), line.npos) << "no test runs this command";
        EXPECT_NE(consumer.find(flags), consumer.npos);
      }
    }
  }
  EXPECT_GE(commands, 5);
  for (const std::string goal : {"check", "interop", "help", "install PREFIX=/usr/local"}) {
    EXPECT_NE(readme().find("make " + goal), std::string::npos);
    expect_success(make + goal);
  }
}

TEST(ProgramReadme, TargetsOfLinksExist) {
  int count = 0;
  for (const fs::path& path : documents()) {
    for (const std::string& link : local_links(file_text(path))) {
      ++count;
      EXPECT_TRUE(fs::exists(path.parent_path() / link)) << path << ": " << link;
    }
  }
  EXPECT_GE(count, 5);
}

}  // namespace
}  // namespace tern::test
