// An upgrade that waits for its answer, which may come from any thread.
#pragma once

#include "tern/http.h"
#include "tern/unique_function.h"

#include "connection/registry.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace tern::server {

class Handshake;

/// The request is a copy, because the connection may be gone before the answer comes. Thread: any.
class PendingUpgrade {
 public:
  using Answer = UniqueFunction<void(Handshake&)>;

  /// Throws std::bad_alloc.
  PendingUpgrade(const Request& request, std::shared_ptr<connection::Registry> registry,
                 std::uint32_t slot, std::uint32_t generation, std::string body = {});
  /// Answers 503 if there was no answer.
  ~PendingUpgrade();
  PendingUpgrade(const PendingUpgrade&) = delete;
  PendingUpgrade& operator=(const PendingUpgrade&) = delete;

  const Request& request() const noexcept { return request_; }
  /// Runs `answer` on the loop, if it is the first answer and the connection still waits.
  void answer(Answer answer) noexcept;

 private:
  std::string bytes_{};
  std::string body_{};
  std::vector<HeaderField> fields_{};
  std::vector<PathParameter> parameters_{};
  ProxyHeader proxy_header_{};
  Request request_{};
  std::shared_ptr<connection::Registry> registry_;
  std::uint32_t slot_;
  std::uint32_t generation_;
  std::atomic<bool> answered_{false};
};

}  // namespace tern::server
