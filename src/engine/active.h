// What an engine needs only while something is going on: borrowed from its Workspace, so that an
// idle connection is small.
#pragma once

#include "tern/engine.h"

#include "engine/inbound.h"
#include "engine/outbound.h"
#include "http/body.h"
#include "http/head.h"

#include <cstddef>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace tern::engine {

/// The opening handshake in progress.
struct Opening {
  http::HeadParser head{};
  Request request{};                     // server
  std::optional<Errc> upgrade_error{};   // server: why accept() would refuse
  std::string key{};                     // client: what we sent
  std::vector<std::string> protocols{};  // client: what we offered
  ResponseHead response{};               // client
  std::string explanation{};             // why it failed, for people
  http::BodyReader body{};               // client: the first KiB of a refusal's
};

struct Active {
  explicit Active(Memory& owner);
  /// Comes before whatever is appended to `out`: what waits from now on can stall from now on.
  void will_write(Engine::TimePoint now) noexcept {
    if (out.empty()) stall.start(now);
  }

  /// Whether next() has to report more than what was fed: an end, or the rest of a handshake.
  bool has_more_to_tell() const noexcept {
    return eof || due != Event::Kind::none || error.value() != 0 || opening != nullptr;
  }
  /// Nothing is unread, begun, handed out or to be written or told.
  bool rests() const noexcept { return out.empty() && in.idle() && !has_more_to_tell(); }

  Memory* memory;
  Active* next = nullptr;  // in the Workspace's list
  Inbound in;
  Outbound out;
  std::unique_ptr<Opening> opening{};
  CloseInfo close{};
  base::Patience stall{};   // from when the output began to wait
  std::error_code error{};  // of the socket; told once all input is
  bool eof = false;
  Event::Kind due = Event::Kind::none;  // what next() reports before anything that was fed
};

}  // namespace tern::engine
