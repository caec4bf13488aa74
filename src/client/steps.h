// The steps of an attempt to connect, without I/O. Two drivers follow them: dial() with poll, and
// LoopAttempt on a loop.
#pragma once

#include "tern/dial.h"
#include "tern/error.h"
#include "tern/stage.h"

#include "client/route.h"
#include "http/url.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

namespace tern::client {

/// One step of an attempt.
enum class Step : std::uint8_t {
  find_route,      ///< choose the way; it comes before first_step()
  take_socket,     ///< use the given socket
  connect_unix,    ///< connect to the Unix socket
  resolve,         ///< look up the name of the first hop
  race,            ///< connect to one of its addresses
  secure_proxy,    ///< put TLS to the proxy around the socket
  resolve_target,  ///< look up the server's name for a proxy that takes only addresses
  tunnel,          ///< make the proxy connect to the server
  secure,          ///< put TLS to the server around it
  upgrade,         ///< the opening handshake; the last step
};

/// Returns the first step on this route.
Step first_step(const Route& route) noexcept;
/// Returns the step after `done`, which is not the last. `secure`: the URL is wss.
Step step_after(Step done, const Route& route, bool secure) noexcept;
/// Returns the stage to which the failure of a step belongs.
Stage stage_of(Step step, const Route& route) noexcept;
/// Returns the failure of a step with a text that names the proxy, if the step was on the way to
/// it. The address alone would read as that of the server. Throws std::bad_alloc.
Error failure_of(Error failure, Step step, const Route& route);

/// Measures the stages of one attempt.
class StageClock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit StageClock(TimePoint began) noexcept : began_(began) {}

  /// This step was done now. `Step::upgrade`: the 101 has arrived.
  void done(Step step, TimePoint now) noexcept;
  /// TLS with the server was done at this time; nothing: it is not done.
  void secured(std::optional<TimePoint> when) noexcept;
  /// The steps begin again at another URL.
  void again() noexcept { times_ = {}; }
  const StageTimes& times() const noexcept { return times_; }

 private:
  TimePoint began_;
  StageTimes times_{};
};

/// A URL and its options, which redirects change.
class Destination {
 public:
  /// `options` must hold for `url`, see check_options().
  Destination(http::Url url, std::shared_ptr<const DialOptions> options) noexcept
      : url_(std::move(url)), options_(std::move(options)) {}

  const http::Url& url() const noexcept { return url_; }
  const DialOptions& options() const noexcept { return *options_; }

  /// Returns whether `failure`, which ended an attempt, is a redirect that the options want to be
  /// followed. Then url() and options() are those of the next attempt.
  /// Errors: why the redirect may not be followed. Throws std::bad_alloc.
  Result<bool> follow(const Error& failure);

 private:
  http::Url url_;
  std::shared_ptr<const DialOptions> options_;
  int followed_ = 0;
};

}  // namespace tern::client
