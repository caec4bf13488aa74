// The descriptors that systemd passes, as sd_listen_fds(3) describes them: LISTEN_FDS descriptors
// from 3 on, for the process LISTEN_PID alone, because a child process inherits the variables, too.
#include "net/inherited.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

namespace tern::net {

namespace {

constexpr int first_fd = 3;
constexpr int most_fds = 4096;  // a larger number can only be a mistake

int number_of(const char* text) noexcept {
  const std::string_view digits = text != nullptr ? text : "";
  int number = -1;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size();
  return whole && number >= 0 ? number : -1;
}

}  // namespace

std::vector<Inherited> inherited_of(const ListenVariables& variables, int pid) {
  if (number_of(variables.pid) != pid) return {};
  const int count = number_of(variables.fds);
  if (count <= 0 || count > most_fds) return {};
  std::string_view names = variables.names != nullptr ? variables.names : "";
  std::vector<Inherited> found;
  for (int i = 0; i < count; ++i) {
    const std::string_view name = names.substr(0, names.find(':'));
    names.remove_prefix(std::min(names.size(), name.size() + 1));
    found.push_back({.fd = first_fd + i, .name = std::string(name)});
  }
  return found;
}

std::vector<Inherited> inherited() {
  std::vector<Inherited> found = inherited_of({.pid = std::getenv("LISTEN_PID"),
                                               .fds = std::getenv("LISTEN_FDS"),
                                               .names = std::getenv("LISTEN_FDNAMES")},
                                              ::getpid());
  for (const Inherited& each : found) ::fcntl(each.fd, F_SETFD, FD_CLOEXEC);
  return found;
}

}  // namespace tern::net
