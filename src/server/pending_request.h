// The state behind an Upgrade or an Exchange: a request that waits for its answer. The answer may
// come from any thread.
#pragma once

#include "tern/http.h"
#include "tern/unique_function.h"

#include "connection/live_connection.h"
#include "connection/registry.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace tern::server {

class Handshake;

/// The request is a copy, because the connection may be gone before the answer comes. Thread: any.
class PendingRequest {
 public:
  using Answer = UniqueFunction<void(Handshake&)>;

  /// Watches the peer of `connection`. Throws std::bad_alloc.
  PendingRequest(const Request& request, connection::LiveConnection& connection,
                 std::string body = {});
  /// Answers 503 if there was no answer.
  ~PendingRequest();
  PendingRequest(const PendingRequest&) = delete;
  PendingRequest& operator=(const PendingRequest&) = delete;

  const Request& request() const noexcept { return request_; }
  /// Returns true while there is no answer and the peer has not left.
  bool is_open() const noexcept { return !answered_.load() && !peer_left_->load(); }
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
  connection::Registry::Place place_;
  // Shared with the connection, because the connection sets it and does not own this object.
  std::shared_ptr<std::atomic<bool>> peer_left_;
  std::atomic<bool> answered_{false};
};

}  // namespace tern::server
