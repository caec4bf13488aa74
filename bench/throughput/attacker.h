// An attacker of a server. It is a process of its own, so that its work is no part of the
// measurement.
#pragma once

#include "throughput/attacks.h"

#include <cstdint>
#include <string>
#include <sys/types.h>

namespace tern::bench {

class Attacker {
 public:
  /// Starts the process on `core`, at the lowest priority, and waits until its connections are
  /// open and it sends. Throws std::runtime_error when it cannot, and std::system_error.
  Attacker(const Attack& attack, const std::string& url, int core);
  /// Ends it.
  ~Attacker();
  Attacker(const Attacker&) = delete;
  Attacker& operator=(const Attacker&) = delete;

  /// Bytes that it gave to its sockets so far.
  std::uint64_t sent() const noexcept;
  /// How many of its connections the server has ended.
  std::uint64_t ended() const noexcept;

 private:
  struct Shared;

  Shared* shared_ = nullptr;  // with the other process
  pid_t pid_ = -1;
};

}  // namespace tern::bench
