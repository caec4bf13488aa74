// A fan-out that goes on beside a measurement.
#pragma once

#include "throughput/fan_load.h"

#include <chrono>
#include <sys/types.h>

namespace tern::bench {

/// A process of its own with a publisher and its subscribers. Its priority is below that of this
/// process.
class FanProcess {
 public:
  /// Starts it on `core` and waits until its subscribers are connected and have compared a first
  /// publication. It publishes nothing before begin(). `realtime`: with the lowest real-time
  /// priority instead of the lowest normal one. Throws std::runtime_error when it cannot, and
  /// std::system_error.
  FanProcess(const FanOptions& options, std::chrono::milliseconds interval, int core,
             bool realtime);
  /// Ends it.
  ~FanProcess();
  FanProcess(const FanProcess&) = delete;
  FanProcess& operator=(const FanProcess&) = delete;

  /// Lets it publish once every interval from now on.
  void begin();

 private:
  net::Fd start_{};
  pid_t pid_ = -1;
};

}  // namespace tern::bench
