// Runs programs as users do: it starts them, reads their lines, sends signals, and checks exit
// codes. Every wait is for an event (output or the end) and has a hard deadline that fails the
// test.
#pragma once

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <string>
#include <string_view>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern char** environ;

namespace tern::test {

using namespace std::chrono_literals;

/// The longest time for any wait. It is generous, because sanitizers and busy machines are slow.
constexpr auto patience = 120s;

/// Milliseconds until `deadline`, for poll(); 0 if it has passed.
inline int until(std::chrono::steady_clock::time_point deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return left.count() < 0 ? 0 : static_cast<int>(left.count());
}

/// A running program. The destructor kills it if it still runs, and reaps it.
class Process {
 public:
  /// Starts the program with these arguments; the first one is searched in PATH. It runs in
  /// `directory`. `input` is its standard input, which the caller closes; -1: /dev/null.
  explicit Process(std::vector<std::string> words, const std::string& directory = ".",
                   int input = -1)
      : name_(words.front()) {
    std::array<int, 2> out{};
    std::array<int, 2> err{};
    if (::pipe2(out.data(), O_CLOEXEC) != 0 || ::pipe2(err.data(), O_CLOEXEC) != 0) {
      ADD_FAILURE() << "pipe2: errno " << errno;
      return;
    }
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    if (input >= 0) {
      ::posix_spawn_file_actions_adddup2(&actions, input, 0);
    } else {
      ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    }
    ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    ::posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    ::posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
    // As from a shell, no signal is blocked or ignored.
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const int failure =
        ::posix_spawnp(&pid_, name_.c_str(), &actions, &attributes, argv.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(out[1]);
    ::close(err[1]);
    streams_[0].fd = out[0];
    streams_[1].fd = err[0];
    if (failure != 0) {
      pid_ = -1;
      ADD_FAILURE() << name_ << " cannot be started: errno " << failure;
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (pid_ > 0 && !ended_) {
      ::kill(-pid_, SIGKILL);  // and its child processes
      ::waitpid(pid_, nullptr, 0);
    }
    for (Stream& stream : streams_) close(stream);
  }

  /// The next line of its standard output; the test fails if none comes.
  std::string line() { return next_line(streams_[0]); }
  /// The next line of its standard error.
  std::string error_line() { return next_line(streams_[1]); }
  /// Reads lines of standard output until one contains `part`; returns that line.
  std::string line_with(std::string_view part) {
    for (;;) {
      std::string found = line();
      if (found.empty() || found.find(part) != found.npos) return found;
    }
  }

  void signal(int signo) const { ::kill(pid_, signo); }
  pid_t pid() const { return pid_; }

  /// Waits for the end of the program and returns the exit code, or minus the signal that killed
  /// it. `most` is the longest time that it may take; a compiler takes more time than our programs.
  int exit_code(std::chrono::seconds most = patience) {
    if (pid_ <= 0) return -1;
    const auto deadline = std::chrono::steady_clock::now() + most;
    while (streams_[0].fd >= 0 || streams_[1].fd >= 0) {
      if (!read_some(deadline)) return -1;
    }
    if (ended_) return code_;
    pollfd end{static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)), POLLIN, 0};
    const int ready = ::poll(&end, 1, until(deadline));
    ::close(end.fd);
    if (ready != 1) {
      ADD_FAILURE() << name_ << " does not end";
      return -1;
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    ended_ = true;
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return code_;
  }

  /// All output so far, including lines that were read.
  const std::string& out() const { return streams_[0].text; }
  const std::string& err() const { return streams_[1].text; }

 private:
  struct Stream {
    int fd = -1;
    std::string text{};
    std::size_t read = 0;  // the end of the lines that were returned
  };

  static void close(Stream& stream) {
    if (stream.fd >= 0) ::close(stream.fd);
    stream.fd = -1;
  }

  // Waits for output or for its end. Returns false and fails the test at the deadline.
  bool read_some(std::chrono::steady_clock::time_point deadline) {
    std::array<pollfd, 2> waits = {{{streams_[0].fd, POLLIN, 0}, {streams_[1].fd, POLLIN, 0}}};
    const int ready = ::poll(waits.data(), waits.size(), until(deadline));
    if (ready < 0 && errno == EINTR) return true;
    if (ready <= 0) {
      ADD_FAILURE() << name_ << " is silent; so far:\n" << out() << err();
      return false;
    }
    for (std::size_t i = 0; i < waits.size(); ++i) {
      if (waits[i].revents == 0) continue;
      std::array<char, 65536> buffer;
      const ssize_t size = ::read(streams_[i].fd, buffer.data(), buffer.size());
      if (size > 0) {
        streams_[i].text.append(buffer.data(), static_cast<std::size_t>(size));
      } else {
        close(streams_[i]);
      }
    }
    return true;
  }

  std::string next_line(Stream& stream) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
      const std::size_t end = stream.text.find('\n', stream.read);
      if (end != stream.text.npos) {
        std::string found = stream.text.substr(stream.read, end - stream.read);
        stream.read = end + 1;
        return found;
      }
      if (stream.fd < 0) {
        ADD_FAILURE() << name_ << " ended without another line:\n" << out() << err();
        return {};
      }
      if (!read_some(deadline)) return {};
    }
  }

  std::string name_;
  pid_t pid_ = -1;
  bool ended_ = false;
  int code_ = -1;
  std::array<Stream, 2> streams_{};
};

/// A program of this tree. TERN_PROGRAMS is another directory of programs, for scripts/mutants.sh.
inline std::string program(const std::string& name) {
  const char* const programs = std::getenv("TERN_PROGRAMS");
  return std::string(programs != nullptr ? programs : TERN_BIN_DIR) + "/" + name;
}

/// build/bin/echo_server. Port 0: the system chooses one.
class EchoServer : public Process {
 public:
  explicit EchoServer(const std::vector<std::string>& flags = {}, std::uint16_t port = 0)
      : Process(words(flags, port)) {
    const std::string listening = line();
    const std::string start = "listening on ";
    const std::string end = "/echo";
    if (!listening.starts_with(start) || !listening.ends_with(end)) {
      ADD_FAILURE() << "not where it listens: " << listening;
      return;
    }
    url_ = listening.substr(start.size());
    const std::string where = url_.substr(0, url_.size() - end.size());
    port_ = static_cast<std::uint16_t>(std::stoi(where.substr(where.rfind(':') + 1)));
    base_ = where;
  }

  /// The URL that the program printed, e.g. "ws://127.0.0.1:43210/echo".
  const std::string& url() const { return url_; }
  /// The same URL with another path.
  std::string url(const std::string& path) const { return base_ + path; }
  std::uint16_t port() const { return port_; }

 private:
  static std::vector<std::string> words(const std::vector<std::string>& flags, std::uint16_t port) {
    std::vector<std::string> all = {program("echo_server"), "--port", std::to_string(port)};
    all.insert(all.end(), flags.begin(), flags.end());
    return all;
  }

  std::string url_{};
  std::string base_{};
  std::uint16_t port_ = 0;
};

}  // namespace tern::test
