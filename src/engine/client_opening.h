// The client's side of a connection before it speaks WebSocket.
#pragma once

#include "tern/engine.h"
#include "tern/http.h"
#include "tern/options.h"

#include "crypto/random.h"
#include "engine/inbound.h"
#include "engine/opening_step.h"
#include "engine/outbound.h"
#include "http/body.h"
#include "http/head.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace tern::engine {

/// Writes the request and reads the answer (RFC 6455 §4.1). If the answer is not 101, it reads the
/// first KiB of the body too.
/// Lifetime: options, `in` and `out` outlive it.
class ClientOpening {
 public:
  ClientOpening(const EngineOptions& options, Inbound& in, Outbound& out) noexcept;

  /// Writes the request. Errors: url_invalid, invalid_header, random_unavailable. Throws
  /// std::bad_alloc.
  Result<void> start(const ClientRequest& request, crypto::Random& random);
  /// Reads on. `input_end` is why no input follows: Errc::end_of_stream, an error of the socket, or
  /// nothing. Throws std::bad_alloc.
  OpeningStep next(std::error_code input_end);
  bool wants_input() const noexcept { return !in_->has_stash(); }

  /// The time from start() to the server's 101.
  Timeouts::Duration limit() const noexcept {
    return timeout_.value_or(options_->timeouts.handshake);
  }
  /// The deadline has come. Throws std::bad_alloc.
  OpeningStep expire();

  /// The head of the answer. Lifetime of its views: this object.
  const ResponseHead& response() const noexcept { return response_; }
  /// The part of a refusal's body that came. Lifetime: until next().
  std::string_view response_body() const noexcept { return body_.text(); }
  /// See Engine::explanation.
  std::string_view explanation() const noexcept { return explanation_; }

 private:
  enum class State : std::uint8_t {
    reading,  // the head of the answer is to come
    refused,  // the head is not a 101; its body is to come
    done,
  };

  OpeningStep judge();
  OpeningStep end_early(std::error_code why);

  const EngineOptions* options_;
  Inbound* in_;
  Outbound* out_;
  http::HeadParser head_{};
  std::string key_{};                            // of the request
  std::vector<std::string> protocols_{};         // of the request
  std::optional<Timeouts::Duration> timeout_{};  // of the request
  ResponseHead response_{};
  http::BodyReader body_{};
  std::string explanation_{};
  unsigned interim_answers_ = 0;  // that were skipped
  State state_ = State::reading;
};

}  // namespace tern::engine
