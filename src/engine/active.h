// The state that an engine needs only while it has work. The engine borrows it from its Workspace,
// so an idle connection is small.
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
  /// The caller calls this before it appends to `out`. If nothing waits yet, the time in which the
  /// output can stall begins now.
  void will_write(Engine::TimePoint now) noexcept {
    if (out.empty()) stall.start(now);
  }

  /// Whether next() has something to report beside the bytes that were fed: an end, or the rest of
  /// a handshake.
  bool has_more_events() const noexcept {
    return eof || due != Event::Kind::none || error.value() != 0 || opening != nullptr;
  }
  /// The reason why no input follows the bytes that were fed. No error if more may follow.
  std::error_code input_end() const noexcept {
    return error || !eof ? error : make_error_code(Errc::end_of_stream);
  }
  /// Whether nothing is unread, waiting to be written or waiting to be reported, apart from the
  /// opening.
  bool has_nothing() const noexcept {
    return out.empty() && in.unread().empty() && !eof && due == Event::Kind::none &&
           error.value() == 0;
  }
  /// Whether nothing is unread, begun, handed out, waiting to be written or waiting to be reported.
  bool rests() const noexcept { return out.empty() && in.idle() && !has_more_events(); }

  /// The opening is over. A server's opening is kept for the next connection.
  [[gnu::cold]] void retire_opening() noexcept;

  Memory* memory;
  Active* next = nullptr;  // in the Workspace's list
  Inbound in;
  Outbound out;
  std::unique_ptr<Opening> opening{};  // also in the first call of next() after Kind::open
  CloseInfo close{};
  base::Patience stall{};   // begins when output begins to wait
  std::error_code error{};  // of the socket; reported after all input
  bool eof = false;
  Event::Kind due = Event::Kind::none;  // next() reports it before all that was fed
};

}  // namespace tern::engine
