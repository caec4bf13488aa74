// `tern connect` as a process, and the servers that it talks to.
#pragma once

#include "support/process.h"
#include "support/socket_peer.h"

#include <array>
#include <csignal>
#include <cstddef>
#include <functional>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tern::test {

using Words = std::vector<std::string>;

/// The words of `tern connect` with these arguments, without a proxy of the environment.
inline Words tern_words(const Words& arguments) {
  Words words = {"env", "-u",        "http_proxy",    "-u",     "all_proxy",
                 "-u",  "ALL_PROXY", program("tern"), "connect"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

/// The two ends of a pipe.
class Pipe {
 public:
  Pipe() {
    EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0);
    std::signal(SIGPIPE, SIG_IGN);  // a write reports that the command has ended
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_read();
    close_write();
  }

  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }
  void close_read() { close(ends_[0]); }
  void close_write() { close(ends_[1]); }
  /// Writes all of it. The reader must read it.
  void write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t size = ::write(ends_[1], bytes.data(), bytes.size());
      ASSERT_GT(size, 0) << "errno " << errno;
      bytes.remove_prefix(static_cast<std::size_t>(size));
    }
  }

 private:
  static void close(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }

  std::array<int, 2> ends_{-1, -1};
};

/// The command with a pipe as its stdin.
class Tern {
 public:
  explicit Tern(const Words& arguments, const std::string& directory = ".")
      : process_(tern_words(arguments), directory, input_.read_end()) {
    input_.close_read();
  }

  void type(std::string_view text) const { input_.write(text); }
  int input() const { return input_.write_end(); }
  void end_input() { input_.close_write(); }
  Process* operator->() { return &process_; }

 private:
  Pipe input_{};
  Process process_;
};

/// The result of a whole run.
struct Outcome {
  int code = -1;
  std::string out{};
  std::string err{};
};

/// Runs the command with `input` as its stdin, at most 64 KiB.
inline Outcome run_tern(const Words& arguments, std::string_view input = {}) {
  Tern tern(arguments);
  tern.type(input);
  tern.end_input();
  const int code = tern->exit_code();
  return {code, tern->out(), tern->err()};
}

/// Answers the Close frame of the client, and discards all frames before it.
inline void answer_close(Socket& socket) {
  FrameSource frames(socket);
  Frame frame = frames.next();
  while (frame.opcode != 8 && frame.opcode != 15) frame = frames.next();
  if (frame.opcode == 8) socket.send(frame);
}

/// The frames that the command sends with these arguments and the URL behind them, as text. The
/// server answers the Close frame.
inline Words frames_of(Words arguments, std::string_view input = {}, int code = 0) {
  Words seen;
  Outcome outcome;
  {
    ScriptedPeer peer([&](Socket& socket) {
      socket.upgrade();
      FrameSource frames(socket);
      for (Frame frame = frames.next(); frame.opcode != 15; frame = frames.next()) {
        seen.push_back(to_string(frame));
        if (frame.opcode == 8) return void(socket.send(frame));
      }
    });
    arguments.push_back(peer.url());
    outcome = run_tern(arguments, input);
  }
  EXPECT_EQ(outcome.code, code) << outcome.err;
  return seen;
}

/// The request head that the command sends with these arguments and the URL behind them.
inline std::string request_of(Words arguments) {
  std::promise<std::string> head;
  ScriptedPeer peer([&](Socket& socket) {
    head.set_value(socket.upgrade());
    answer_close(socket);
  });
  arguments.push_back(peer.url());
  const Outcome outcome = run_tern(arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  if (outcome.code != 0) return {};
  return head.get_future().get();
}

}  // namespace tern::test
