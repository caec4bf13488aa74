// Reads the URL of a server from the line that it prints when it listens.
#include "throughput/server_process.h"

#include <filesystem>
#include <stdexcept>
#include <string_view>

namespace tern::bench {

ServerProcess::ServerProcess(const std::vector<std::string>& command, int core, bool realtime)
    : child_(command, core, realtime) {
  constexpr std::string_view prefix = "listening on ";
  for (;;) {
    const auto line = child_.line();
    if (!line) throw std::runtime_error(command[0] + " did not print its URL");
    if (!line->starts_with(prefix)) continue;
    url_ = line->substr(prefix.size(), line->find(' ', prefix.size()) - prefix.size());
    return;
  }
}

std::string beside_this_program(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").replace_filename(name).string();
}

}  // namespace tern::bench
