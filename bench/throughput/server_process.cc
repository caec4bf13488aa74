#include "throughput/server_process.h"

#include "throughput/system.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <signal.h>
#include <stdexcept>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>

namespace tern::bench {
namespace {

// In the child, between fork and exec.
[[noreturn]] void become(std::vector<char*> arguments, int output, int core, bool realtime) {
  ::dup2(output, STDOUT_FILENO);
  pin_to_core(core);
  if (realtime) set_realtime();
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

// The word after `prefix` at the start of a complete line.
std::string word_after(std::string_view text, std::string_view prefix) {
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    const std::string_view line = text.substr(0, end);
    if (line.starts_with(prefix)) {
      const std::string_view rest = line.substr(prefix.size());
      return std::string(rest.substr(0, rest.find(' ')));
    }
    text.remove_prefix(end + 1);
  }
  return {};
}

}  // namespace

ServerProcess::ServerProcess(const std::vector<std::string>& command, int core, bool realtime) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);

  std::array<int, 2> ends;
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno("pipe2");
  output_ = net::Fd(ends[0]);
  net::Fd theirs(ends[1]);
  pid_ = ::fork();
  if (pid_ < 0) throw_errno("fork");
  if (pid_ == 0) become(std::move(arguments), theirs.get(), core, realtime);
  theirs.reset();

  std::string text;
  std::array<char, 512> buffer;
  while (url_.empty()) {
    const ssize_t got = ::read(output_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      stop();
      throw std::runtime_error(command[0] + " did not say where it listens");
    }
    text.append(buffer.data(), static_cast<std::size_t>(got));
    url_ = word_after(text, "listening on ");
  }
}

ServerProcess::~ServerProcess() { stop(); }

void ServerProcess::stop() noexcept {
  if (pid_ < 0) return;
  ::kill(pid_, SIGTERM);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

std::string beside_this_program(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").replace_filename(name).string();
}

}  // namespace tern::bench
