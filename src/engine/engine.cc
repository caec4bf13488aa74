// The states of a connection, in both roles:
//
//   opening ──▶ open ──▶ closing ──▶ ended ──▶ closed
//      └─────────┴────────────────────▲
//
// In `opening` the peers speak HTTP, and a ServerOpening or ClientOpening has the state. `ended`
// means that close_info() is complete and Kind::closed is the next event. `closed` means that it
// was reported. In both, output may still wait: an answer that refuses, or a Close frame.
//
// The functions of Engine are spread over the files of this room: construction, input, frames and
// the turn are here; opening.cc has HTTP, closing.cc the end, sending.cc output, keepalive.cc time.
#include "tern/engine.h"

#include "base/assert.h"
#include "engine/guarded.h"
#include "engine/kept.h"
#include "engine/workspace.h"

#include <new>
#include <utility>

namespace tern {
namespace {

const CloseInfo& no_memory_info() noexcept {
  static const CloseInfo info{.error = Errc::no_memory, .opened = true};
  return info;
}

const CloseInfo& no_info() noexcept {
  static const CloseInfo info{};
  return info;
}

}  // namespace

Result<Engine> Engine::server(const EngineOptions& options, Workspace& workspace) noexcept {
  return Engine(Role::server, options, workspace);
}

Result<Engine> Engine::client(const ClientRequest& request, const EngineOptions& options,
                              Workspace& workspace) noexcept {
  Engine engine(Role::client, options, workspace);
  try {
    engine.activate();
    engine.active_->will_write(engine.now_);
    crypto::Random& random = workspace.memory().random();
    const auto started = engine.client_opening()->start(request, random);
    if (!started) return started.error();
    return engine;
  } catch (const std::bad_alloc&) {
    return Errc::no_memory;
  }
}

Result<Engine> Engine::established(Role role, const Agreement& agreement,
                                   const EngineOptions& options, Workspace& workspace) noexcept {
  Engine engine(role, options, workspace);
  try {
    engine.phase_ = Phase::open;
    engine.activate();
    engine.adopt(agreement);
    engine.opened();
    return engine;
  } catch (const std::bad_alloc&) {
    return Errc::no_memory;
  }
}

// ---- the block

[[gnu::hot]] void Engine::activate() {
  if (active_) return;
  active_.reset(workspace_->memory().take_active());
  active_->in.start(role_, options_->limits);
  active_->out.start(role_);
  active_->stall.start(now_);
  if (deflate_) take_compressed();
  if (phase_ == Phase::opening) [[unlikely]]
    start_opening();
}

// Returns an empty block to the workspace. put_back() clears nothing, because an empty block has
// nothing to clear; give_back() clears the block of a connection that ends.
[[gnu::hot]] void Engine::rest() noexcept {
  if (phase_ == Phase::open && active_ && active_->rests()) {
    workspace_->memory().put_back(active_.release());
  } else if (phase_ == Phase::opening) [[unlikely]] {
    rest_between_requests();
  }
}

// ---- the state that is kept without a block

engine::Kept& Engine::keep() {
  if (!kept_) kept_.reset(new engine::Kept);
  return *kept_;
}

void Engine::adopt(const Agreement& agreement) {
  if (!agreement.protocol.empty()) keep().protocol = agreement.protocol;
  if (!agreement.deflate) return;
  if (agreement.deflate->takeover || agreement.deflate->peer_takeover) keep();
  deflate_ = agreement.deflate;
  take_compressed();
}

void Engine::take_compressed() noexcept {
  active_->in.take_compressed(deflate_->peer_window_bits,
                              deflate_->peer_takeover ? &kept_->inflater : nullptr);
}

// ---- in

[[gnu::hot]] std::span<std::byte> Engine::read_room() noexcept {
  std::span<std::byte> room;
  if (active_ && (delivers() || phase_ == Phase::closing)) {
    guarded([&] { room = active_->in.read_room(); });
  }
  return room;
}

// Bytes came, so the peer lives.
inline void Engine::restart_silence() noexcept {
  clock_.restart(now_);
  if (keepalive_ != Keepalive::paused) keepalive_ = Keepalive::listening;
}

[[gnu::hot]] void Engine::feed(std::size_t in_room, std::span<std::byte> lent) noexcept {
  if (in_room + lent.size() == 0) return;
  if (phase_ == Phase::open) [[likely]] {
    restart_silence();
  } else if (has_ended() || peer_has_closed()) {
    return;
  } else if (phase_ == Phase::finishing) {
    clock_.restart(now_);
  } else if (phase_ == Phase::opening && begin_request()) {
    clock_.restart(now_);  // the deadline of a request head starts at its first byte
  }
  guarded([&] {
    activate();
    active_->in.feed(in_room, lent);
  });
}

void Engine::feed_eof() noexcept {
  stop_awaiting_fin();
  if (has_ended()) return;
  guarded([&] {
    activate();
    active_->eof = true;
  });
}

void Engine::feed_error(std::error_code error) noexcept {
  stop_awaiting_fin();
  if (has_ended()) return drop();
  guarded([&] {
    activate();
    active_->error = error;
  });
}

[[gnu::hot]] Event Engine::next() noexcept {
  if (phase_ == Phase::open && active_ && !active_->has_more_events()) {
    const Event event = active_->in.next_whole();
    if (event.kind() == Event::Kind::message) return event;
  }
  return next_of_any_kind();
}

Event Engine::next_of_any_kind() noexcept {
  Event event;
  guarded([&] { event = next_event(); });
  if (phase_ == Phase::ended) event = next_end();
  if (!event) rest();
  return event;
}

inline Event Engine::next_event() {
  if (!active_) return {};
  switch (phase_) {
    case Phase::opening:
      return next_opening();
    case Phase::open:
    case Phase::finishing:
    case Phase::closing:
      return next_frame();
    case Phase::ended:
    case Phase::closed:
      active_->in.clear();  // ends the view of the last message
      break;
  }
  return next_end();
}

inline Event Engine::next_frame() {
  if (active_->due != Event::Kind::none) {
    return Event(std::exchange(active_->due, Event::Kind::none));
  }
  if (active_->opening) [[unlikely]]
    active_->retire_opening();
  while (!peer_has_closed()) {
    const Event event = active_->in.next();
    switch (event.kind()) {  // behind close(), only the peer's Close frame is an event
      case Event::Kind::message:
        return active_->has_more_events() ? event.as_not_last() : event;
      case Event::Kind::ping:
        if (phase_ == Phase::open) append_control(true, event.message().bytes());
        return event;
      case Event::Kind::pong:
        on_pong(event.message());
        return event;
      case Event::Kind::working:
        return event;
      case Event::Kind::closed:
        if (const Errc errc = active_->in.error(); errc != Errc{}) {
          fail(errc);
          return next_end();
        }
        on_peer_close(event.message());
        if (has_ended()) return next_end();
        break;
      default:  // all is read
        if (active_->error) {
          end(CloseCode::abnormal, active_->error);
          drop();
        } else if (active_->eof) {
          end(CloseCode::abnormal, Errc::end_of_stream);
          drop();
        }
        return next_end();
    }
  }
  if (active_->error && !active_->out.empty()) {  // our answer cannot be written any more
    active_->close.error = active_->error;
    phase_ = Phase::ended;
    drop();
  }
  return next_end();
}

void Engine::stash() noexcept {
  if (!active_) return;
  if (phase_ == Phase::open && active_->due == Event::Kind::none) active_->opening.reset();
  guarded([&] { active_->in.stash(); });
}

[[gnu::hot]] bool Engine::wants_input() const noexcept {
  // Bytes behind the peer's Close frame are thrown away.
  if (close_frames_ == CloseFrames::both_await_fin) return true;
  if (has_ended()) return false;
  if (!active_) return true;
  if (active_->eof || active_->error || peer_has_closed()) return false;
  if (phase_ == Phase::opening && role_ == Role::server) return server_opening()->wants_input();
  return !active_->in.has_stash();
}

bool Engine::has_stash() const noexcept {
  if (!active_ || !active_->in.has_stash()) return false;
  return phase_ != Phase::opening || role_ == Role::client || !server_opening()->holds_input();
}

void Engine::reading(bool on) noexcept {
  if (on == (keepalive_ != Keepalive::paused)) return;
  keepalive_ = on ? Keepalive::listening : Keepalive::paused;
  if (!on) round_trip_.forget();  // otherwise the pause would count
  if (delivers()) clock_.restart(now_);
}

// ---- queries

std::string_view Engine::protocol() const noexcept {
  return kept_ ? std::string_view(kept_->protocol) : std::string_view();
}

std::optional<DeflateAgreement> Engine::deflate() const noexcept { return deflate_; }

const CloseInfo& Engine::close_info() const noexcept {
  if (active_) return active_->close;
  return has_ended() ? no_memory_info() : no_info();  // end() got no block to write to
}

bool Engine::finished() const noexcept {
  return has_ended() && close_frames_ != CloseFrames::both_await_fin &&
         (!active_ || active_->out.empty());
}

}  // namespace tern
