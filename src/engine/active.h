// What an engine needs only while something is going on: borrowed from its Workspace, so that an
// idle connection is small.
#pragma once

#include "tern/engine.h"

#include "engine/client_opening.h"
#include "engine/inbound.h"
#include "engine/outbound.h"
#include "engine/server_opening.h"

#include <memory>
#include <system_error>
#include <variant>

namespace tern::engine {

/// HTTP before the first frame.
using Opening = std::variant<ServerOpening, ClientOpening>;

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
  /// Why no input follows what was fed; nothing while more may follow.
  std::error_code input_end() const noexcept {
    return error || !eof ? error : make_error_code(Errc::end_of_stream);
  }
  /// Nothing is unread, begun, handed out or to be written or told.
  bool rests() const noexcept { return out.empty() && in.idle() && !has_more_to_tell(); }

  Memory* memory;
  Active* next = nullptr;  // in the Workspace's list
  Inbound in;
  Outbound out;
  std::unique_ptr<Opening> opening{};  // also in the first call of next() after Kind::open
  CloseInfo close{};
  base::Patience stall{};   // from when the output began to wait
  std::error_code error{};  // of the socket; told once all input is
  bool eof = false;
  Event::Kind due = Event::Kind::none;  // what next() reports before anything that was fed
};

}  // namespace tern::engine
