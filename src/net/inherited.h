#pragma once

#include <string>
#include <vector>

namespace tern::net {

/// A descriptor that the service manager passed to this process.
struct Inherited {
  int fd = -1;
  std::string name{};
};

/// The variables of sd_listen_fds(3); null if one is not set.
struct ListenVariables {
  const char* pid = nullptr;
  const char* fds = nullptr;
  const char* names = nullptr;
};

/// Returns the descriptors that the variables name for the process `pid`; none if they are for
/// another process or malformed. A descriptor without a name has the name "". Throws
/// std::bad_alloc.
std::vector<Inherited> inherited_of(const ListenVariables& variables, int pid);

/// Returns those of this process, and makes them close on exec. Throws std::bad_alloc.
std::vector<Inherited> inherited();

}  // namespace tern::net
