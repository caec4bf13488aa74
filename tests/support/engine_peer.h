// An engine and its driver, on virtual sockets and in virtual time. The driver follows the contract
// of Engine exactly. It checks these rules in every test and fuzzer: one closed event and none
// after it, output that a strict receiver accepts, no iovec that is left over, deadlines that move.
#pragma once

#include "tern/engine.h"

#include "support/upgrade_text.h"
#include "support/wire.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::test {

using namespace std::chrono_literals;

inline void require(bool condition, const char* what, const std::string& detail = {}) {
  if (condition) return;
  std::fprintf(stderr, "engine: %s %s\n", what, detail.c_str());
  std::abort();
}

/// A CloseInfo that can be compared.
struct Ending {
  int code = 1006;
  std::string reason{};
  std::error_code error{};
  bool clean = false;
  bool by_peer = false;
  bool opened = true;

  bool operator==(const Ending&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Ending& ending) {
  return out << ending.code << " '" << ending.reason << "' " << ending.error.message()
             << (ending.clean ? " clean" : "") << (ending.by_peer ? " by_peer" : "")
             << (ending.opened ? " opened" : "");
}

enum class Start { established, handshake };

class Peer {
 public:
  using Strings = std::vector<std::string>;
  static constexpr std::size_t all = static_cast<std::size_t>(-1);

  /// An engine of this role; `established` skips the handshake, `handshake` waits for it.
  explicit Peer(Role role, EngineOptions options = {}, Start start = Start::established,
                ClientRequest request = {.host = "example.org", .target = "/echo"},
                const Agreement& agreement = {})
      : us(role),
        them(role == Role::server ? Role::client : Role::server),
        options_(std::move(options)),
        reader_(role),
        framing_(start == Start::established) {
    auto made = framing_               ? Engine::established(role, agreement, options_, workspace_)
                : role == Role::server ? Engine::server(options_, workspace_)
                                       : Engine::client(request, options_, workspace_);
    require(static_cast<bool>(made), "cannot be made");
    engine_.emplace(*std::move(made));
    require(engine().deadline() == Engine::TimePoint::min(),
            "deadline() does not require the first tick");
    turn();
    if (framing_) events_.clear();  // Kind::open
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  const Role us;
  const Role them;
  Engine& engine() { return *engine_; }
  /// The engine after advance() to the current time, for calls outside of a turn.
  Engine& at_now() {
    engine().advance(now_);
    return engine();
  }

  // ---- the behaviour of the driver
  bool echo = true;                        ///< sends back each message
  std::size_t writable = all;              ///< bytes that the socket takes from now on
  std::size_t write_step = all;            ///< bytes of one write
  std::size_t stash_every = 0;             ///< stops and stashes after this many events
  bool accepts = true;                     ///< accepts each request
  bool reads_bodies = false;               ///< reads the body of each request that has one
  std::optional<PeerProgress> delivery{};  ///< the delivery that the driver reports, if any
  std::function<void(Event)> on_event;     ///< called for each event, before the actions above

  /// How often next() stopped because one call had done enough work.
  int working = 0;
  /// The text of the exception that the body of an answer threw.
  std::string body_failure{};

  // ---- input

  /// Feeds bytes in reads of at most `piece`.
  void receive(std::string_view bytes, std::size_t piece = all) {
    do {
      const std::size_t size = std::min(piece, bytes.size());
      socket_in_.append(bytes.substr(0, size));
      bytes.remove_prefix(size);
      turn();
    } while (!bytes.empty());
  }
  void receive(const Frame& frame) { receive(wire(them, frame)); }
  void receive(const std::vector<Frame>& frames) { receive(wire(them, frames)); }
  /// The peer's FIN, after all earlier input.
  void receive_eof() {
    eof_ = true;
    turn();
  }
  void receive_error(std::error_code error) {
    engine().feed_error(error);
    turn();
  }
  /// Runs the usual handshake to its end.
  void upgrade(std::string_view more = {}) {
    receive(us == Role::server ? upgrade_request(more) : upgrade_answer(head_, more));
  }

  /// One turn: advance, feed, next, write, settle, and then tick if something is due.
  void turn() {
    engine().advance(now_);
    work();
    if (engine().deadline() <= now_) {
      delivery ? engine().tick(now_, *delivery) : engine().tick(now_);
      work();
    }
    check();
  }

  /// Lets time pass. Ticks come only when deadline() requires them.
  void wait(Timeouts::Duration duration) {
    const auto until = now_ + duration;
    for (int ticks = 0; !dead() && engine().deadline() <= until; ++ticks) {
      require(ticks < 1000, "deadline() stands still");
      now_ = std::max(now_, engine().deadline());
      turn();
    }
    now_ = until;
  }
  Engine::TimePoint now() const { return now_; }
  /// The time until the next tick is due; max if none is.
  Timeouts::Duration due() {
    const auto deadline = engine().deadline();
    if (deadline == Engine::TimePoint::max()) return Timeouts::Duration::max();
    return deadline - now_;
  }

  // ---- results

  /// The events since the last call: "open", "request GET /", "text Hello", "ping x", "closed".
  Strings events() { return std::exchange(events_, {}); }
  /// The frames written since the last call: "text Hello", "close 1000".
  Strings frames() {
    Strings result;
    for (const Frame& frame : reader_.frames()) result.push_back(to_string(frame));
    reader_.forget();
    return result;
  }
  /// All bytes written before the first frame.
  const std::string& head() const { return head_; }
  /// All bytes written so far.
  const std::string& written() const { return written_; }
  const FrameReader& reader() const { return reader_; }
  bool saw_closed() const { return saw_closed_; }
  /// Bytes that wait in the socket because the engine does not want them.
  std::size_t unread() const { return socket_in_.size(); }
  /// Whether the driver has closed the socket.
  bool dead() { return engine_->finished(); }
  Ending ending() {
    require(saw_closed_, "has not ended");
    const CloseInfo& info = engine().close_info();
    return {static_cast<int>(info.code),
            info.reason,
            info.error,
            info.clean,
            info.by_peer,
            info.opened};
  }

  /// Writes as many bytes as the socket takes.
  void flush() {
    for (;;) {
      const auto out = engine().output();
      require(out.size() <= 256, "more than 256 pieces");
      const std::size_t most = std::min(write_step, writable);
      std::string bytes;
      for (const iovec& piece : out) {
        require(piece.iov_len > 0, "an empty piece");
        const std::size_t size = std::min(piece.iov_len, most - bytes.size());
        bytes.append(static_cast<const char*>(piece.iov_base), size);
      }
      if (bytes.empty()) break;
      engine().consume_output(bytes.size());
      if (writable != all) writable -= bytes.size();
      take(bytes);
    }
  }

 private:
  bool readable() { return !socket_in_.empty() && engine().wants_input() && !dead(); }
  bool ended() { return eof_ && socket_in_.empty() && !dead(); }

  void work() {
    do {
      if (readable()) {
        feed();
      } else if (ended()) {
        engine().feed_eof();
        eof_ = false;
      }
      pull();
      flush();
      engine().settle();
      lent_.reset();
      pull();  // the last write may end the connection
      if (saw_closed_ && !engine().wants_input()) socket_in_.clear();  // lingering
    } while (readable() || ended());
  }

  // One read: the bytes that fit go to the room of the engine, the rest to a block of exactly its
  // size.
  void feed() {
    const std::span<std::byte> room = engine().read_room();
    const std::size_t in_room = std::min(room.size(), socket_in_.size());
    if (in_room > 0) std::memcpy(room.data(), socket_in_.data(), in_room);
    const std::size_t rest = socket_in_.size() - in_room;
    lent_.reset(new std::byte[rest]);
    if (rest > 0) std::memcpy(lent_.get(), socket_in_.data() + in_room, rest);
    socket_in_.clear();
    engine().feed(in_room, {lent_.get(), rest});
  }

  void pull() {
    bool was_last = false;
    for (std::size_t count = 1;; ++count) {
      const Event event = engine().next();
      if (!event) break;
      require(!was_last, "an event after the last");
      require(!saw_closed_, "an event after closed");
      if (event.kind() == Event::Kind::working) {
        ++working;
      } else if (event.kind() == Event::Kind::pull) {
        pull_body();
      } else {
        events_.push_back(describe(event));
      }
      if (event.kind() == Event::Kind::closed) saw_closed_ = true;
      if (on_event) on_event(event);
      if (event.kind() == Event::Kind::request && reads_bodies && engine().has_unread_body()) {
        engine().read_body();
      } else if (event.kind() == Event::Kind::request && accepts) {
        engine().accept();
      }
      if (event.kind() == Event::Kind::message && echo) engine().send(event.message());
      if (stash_every != 0 && count % stash_every == 0) {
        flush();
        engine().stash();
        engine().stash();  // idempotent
        engine().settle();
        lent_.reset();
      }
      was_last = event.is_last() && engine().is_open();
      if (was_last && (goes_by_last_ = !goes_by_last_)) return;  // every other time
    }
    require(!engine().next(), "an event after none");
  }

  void pull_body() {
    try {
      engine().pull();
    } catch (const std::exception& exception) {
      body_failure = exception.what();
    }
  }

  std::string describe(const Event& event) {
    const std::string payload = shown(event.message().text());
    const std::string behind = payload.empty() ? "" : ' ' + payload;
    switch (event.kind()) {
      case Event::Kind::request:
        return "request " + std::string(engine().request().method()) + ' ' +
               std::string(engine().request().target());
      case Event::Kind::body:
        return "body " + shown(engine().request().body());
      case Event::Kind::open:
        return "open";
      case Event::Kind::message:
        return (event.message().is_text() ? "text" : "binary") + behind;
      case Event::Kind::ping:
        return "ping" + behind;
      case Event::Kind::pong:
        return "pong" + behind;
      default:
        return "closed";
    }
  }

  void take(std::string_view bytes) {
    written_ += bytes;
    if (const auto deflate = engine().deflate(); deflate && deflate->window_bits != 0) {
      reader_.take_compressed(deflate->window_bits, deflate->takeover);
    }
    if (framing_) {
      reader_.feed(bytes);
      return;
    }
    head_ += bytes;
    const std::size_t start = us == Role::client ? 0 : head_.find("HTTP/1.1 101 ");
    const std::size_t end = start == head_.npos ? start : head_.find("\r\n\r\n", start);
    if (end == head_.npos) return;
    framing_ = true;
    const std::string frames = head_.substr(end + 4);
    head_.resize(end + 4);
    reader_.feed(frames);
  }

  void check() {
    require(reader_.fault().empty(), "wrote", reader_.fault());
    require(!dead() || (engine().output().empty() && saw_closed_), "finished() too early");
    require(!engine().output().empty() == (engine().queued_bytes() > 0), "queued_bytes() is wrong");
    require(!saw_closed_ || !engine().is_open(), "open after closed");
  }

  EngineOptions options_;
  Workspace workspace_{};
  std::optional<Engine> engine_{};
  Engine::TimePoint now_ = Engine::TimePoint() + std::chrono::hours(1);
  std::unique_ptr<std::byte[]> lent_{};
  std::string socket_in_{};
  bool eof_ = false;
  bool goes_by_last_ = false;
  bool saw_closed_ = false;
  Strings events_{};
  FrameReader reader_;
  bool framing_;
  std::string head_{};
  std::string written_{};
};

}  // namespace tern::test
