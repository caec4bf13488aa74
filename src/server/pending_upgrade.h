// An upgrade that waits for its answer, on whatever thread that comes from.
#pragma once

#include "tern/http.h"
#include "tern/unique_function.h"

#include "connection/registry.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace tern::connection {
class LiveConnection;
}

namespace tern::server {

/// Thread: any. Its request is a copy: the connection may be gone before the answer comes.
class PendingUpgrade {
 public:
  using Answer = UniqueFunction<void(connection::LiveConnection&)>;

  /// Throws std::bad_alloc.
  PendingUpgrade(const Request& request, std::shared_ptr<connection::Registry> registry,
                 std::uint32_t slot, std::uint32_t generation);
  /// Nobody answered: 503.
  ~PendingUpgrade();
  PendingUpgrade(const PendingUpgrade&) = delete;
  PendingUpgrade& operator=(const PendingUpgrade&) = delete;

  const Request& request() const noexcept { return request_; }
  /// Runs `answer` on the loop, if it is the first and the connection still waits.
  void answer(Answer answer) noexcept;

 private:
  std::string bytes_{};
  std::vector<HeaderField> fields_{};
  Request request_{};
  std::shared_ptr<connection::Registry> registry_;
  std::uint32_t slot_;
  std::uint32_t generation_;
  std::atomic<bool> answered_{false};
};

}  // namespace tern::server
