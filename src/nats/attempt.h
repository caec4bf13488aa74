#pragma once

#include "tern/error.h"

#include "nats/session.h"
#include "nats/settings.h"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <nats/nats.h>

// One attempt to connect that can be given up.

namespace tern::nats {

struct DestroyConnection {
  void operator()(natsConnection* connection) const noexcept { natsConnection_Destroy(connection); }
};
using ConnectionPtr = std::unique_ptr<natsConnection, DestroyConnection>;

/// A connection, and the options that it shares its certificates with.
struct Connected {
  ConnectionPtr connection{};
  std::shared_ptr<natsOptions> options{};
};

/// Connects in a thread of its own, because natsConnection_Connect() looks up names and makes the
/// TLS handshake without a limit of time. An attempt that is given up goes on in its thread until
/// the system ends it, and then its connection is closed.
class Attempts {
 public:
  Attempts();
  Attempts(const Attempts&) = delete;
  Attempts& operator=(const Attempts&) = delete;

  /// Connects, or fails after `most`, after interrupt(), or at once if 4 attempts that were given
  /// up still go on.
  Result<Connected> connect(const Options& options, const ServerUrl& server,
                            const std::shared_ptr<Session>& session,
                            std::chrono::milliseconds most);
  /// Gives up the attempt that goes on; if there is none, does nothing. Thread: any.
  void interrupt() noexcept;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace tern::nats
