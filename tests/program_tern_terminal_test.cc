// `tern connect` on a terminal: the prompt, escaped payloads, Ctrl-C and Ctrl-D.

#include "support/running_server.h"
#include "support/tern_command.h"

#include <cstdlib>
#include <gtest/gtest.h>
#include <pty.h>
#include <string>
#include <termios.h>
#include <utmp.h>

namespace tern::test {
namespace {

// The command on a terminal of its own, which is its stdin, stdout and stderr.
class TernOnTerminal {
 public:
  explicit TernOnTerminal(const Words& arguments) {
    EXPECT_EQ(::openpty(&keyboard_, &terminal_, nullptr, nullptr, nullptr), 0);
    ::tcgetattr(terminal_, &settings_);
    flags_ = ::fcntl(terminal_, F_GETFL);
    Words words = tern_words(arguments);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::login_tty(terminal_);
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
  }
  TernOnTerminal(const TernOnTerminal&) = delete;
  TernOnTerminal& operator=(const TernOnTerminal&) = delete;
  ~TernOnTerminal() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(keyboard_);
    ::close(terminal_);
  }

  void type(std::string_view keys) const {
    ASSERT_EQ(::write(keyboard_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  /// Reads until the screen shows this text, behind what was read before; returns what was read.
  std::string until_shown(std::string_view text) {
    std::string seen;
    while (!seen.ends_with(text)) {
      pollfd shown{keyboard_, POLLIN, 0};
      char c = 0;
      if (::poll(&shown, 1, 60'000) != 1 || ::read(keyboard_, &c, 1) != 1) {
        ADD_FAILURE() << "no '" << text << "' but: " << seen;
        break;
      }
      seen += c;
    }
    return seen;
  }
  /// Reads all that is shown until the command has ended.
  std::string rest() {
    ::close(std::exchange(terminal_, -1));
    std::string seen;
    for (char c = 0; ::read(keyboard_, &c, 1) == 1;) seen += c;
    return seen;
  }
  int exit_code() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  /// Whether the settings and the flags of the terminal are as they were.
  bool is_as_it_was() const {
    termios now{};
    ::tcgetattr(terminal_, &now);
    return now.c_lflag == settings_.c_lflag && now.c_iflag == settings_.c_iflag &&
           now.c_oflag == settings_.c_oflag && ::fcntl(terminal_, F_GETFL) == flags_;
  }

 private:
  int keyboard_ = -1;
  int terminal_ = -1;
  int flags_ = 0;
  termios settings_{};
  pid_t pid_ = -1;
};

class Echo {
 public:
  Echo() {
    running_.server.route("/echo", echo());
    url = "ws://127.0.0.1:" + std::to_string(running_.start()) + "/echo";
  }
  std::string url{};

 private:
  RunningServer running_{};
};

const std::string erased = "\r\x1B[K";

TEST(TernConnectTerminal, PromptsPrintsAndEndsWithCtrlD) {
  const Echo server;
  TernOnTerminal tern({server.url});
  EXPECT_EQ(tern.until_shown("> "), "> ");
  tern.type("Hello\n");
  tern.until_shown("Hello\r\n");  // the terminal shows the keys
  const std::string shown = tern.until_shown(erased + "Hello\r\n> ");
  EXPECT_NE(shown.find("> "), std::string::npos);
  tern.type("\x04");
  EXPECT_EQ(tern.exit_code(), 0);
  EXPECT_TRUE(tern.is_as_it_was());
  EXPECT_EQ(tern.rest(), erased) << "the prompt is removed";
}

TEST(TernConnectTerminal, CtrlCCloses) {
  std::promise<std::string> close;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    FrameSource frames(socket);
    const Frame frame = frames.next();
    close.set_value(to_string(frame));
    socket.send(frame);
  });
  TernOnTerminal tern({peer.url()});
  tern.until_shown("> ");
  tern.type("\x03");
  EXPECT_EQ(tern.exit_code(), 130);
  EXPECT_EQ(close.get_future().get(), "close 1000");
  EXPECT_TRUE(tern.is_as_it_was());
}

// The server answers no Close frame, and the second key ends the command.
TEST(TernConnectTerminal, CtrlCTwiceEndsAtOnce) {
  std::promise<void> closing;
  ScriptedPeer peer([&](Socket& socket) {
    socket.upgrade();
    FrameSource(socket).next();
    closing.set_value();
    socket.receive_end();
  });
  TernOnTerminal tern({peer.url()});
  tern.until_shown("> ");
  tern.type("\x03");
  closing.get_future().wait();
  tern.type("\x03");
  EXPECT_EQ(tern.exit_code(), 130);
}

TEST(TernConnectTerminal, PayloadsCannotControlIt) {
  const auto script = [](Socket& socket) {
    socket.upgrade();
    socket.send(text("a\nb\t\x1B[2J\x7F\xC2\x9B|\xC3\xA9"));
    socket.send(binary(std::string("\0\x1B[2J", 5)));
    socket.send(closing(4001, "\x1B[2J"));
    socket.receive_end();
  };
  ScriptedPeer peer(script);
  TernOnTerminal tern({"--no-close", peer.url()});
  const std::string shown = tern.rest();
  EXPECT_EQ(tern.exit_code(), 110);
  for (const std::string part :
       {"a\\nb\\t\\x1b[2J\\x7f\\xc2\\x9b|\xC3\xA9\r\n",
        "00000000  00 1b 5b 32 4a                                    |..[2J|\r\n",
        "the server closed with 4001 \"\\x1b[2J\"\r\n"}) {
    EXPECT_NE(shown.find(part), std::string::npos) << part << " is not in\n" << shown;
  }
  ScriptedPeer again(script);
  TernOnTerminal json({"--no-close", "-q", "--json", again.url()});
  const std::string lines = json.rest();
  EXPECT_NE(lines.find("\"data\":\"a\\nb\\t\\u001b[2J\\u007f\\u009b|\\u00e9\"}"), std::string::npos)
      << lines;
  EXPECT_EQ(lines.find('\x1B'), std::string::npos) << "JSON has no prompt";
  EXPECT_EQ(json.exit_code(), 110);
}

// Other processes share the pipe: its flags stay as they are.
TEST(TernConnectTerminal, FlagsOfAPipeStayAsTheyAre) {
  const Echo server;
  Pipe input;
  const int flags = ::fcntl(input.read_end(), F_GETFL);
  Process tern(tern_words({"-1", server.url}), ".", input.read_end());
  input.write("Hello\n");
  input.close_write();
  EXPECT_EQ(tern.exit_code(), 0);
  EXPECT_EQ(tern.out(), "Hello\n");
  EXPECT_EQ(::fcntl(input.read_end(), F_GETFL), flags);
}

}  // namespace
}  // namespace tern::test
