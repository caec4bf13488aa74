// The events that an engine returns: a message, a ping, the end.
#pragma once

#include "tern/message.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace tern {

/// The result of Engine::next(). It has 16 bytes, and is false if there is no event.
class Event {
 public:
  /// The kind of an event.
  enum class Kind : std::uint8_t {
    none,     ///< nothing more until the next feed
    request,  ///< server: request() waits for accept() or respond(), or first for read_body()
    body,     ///< server: request() has its body, and waits for respond()
    open,     ///< the handshake is done
    message,  ///< a whole data message
    ping,     ///< a ping; its pong is already queued, except after Engine::finish (§5.5.2)
    pong,     ///< a pong, also one without a ping (RFC 6455 §5.5.3)
    closed,   ///< the end; it comes exactly once. See close_info()
    working,  ///< no event yet, but more work: call next() again. A driver with other
              ///< connections may call stash() and go on in a later turn.
    pull,     ///< server: the body of a streamed answer goes on with Engine::pull()
  };

  constexpr Event() noexcept = default;
  constexpr explicit Event(Kind kind) noexcept : word_(place(kind)) {}
  /// `payload` of a message, a ping or a pong.
  Event(Kind kind, Message payload) noexcept
      : data_(payload.bytes().data()),
        word_((payload.size() & max_size) |
              static_cast<std::uint64_t>(payload.type()) << type_shift | place(kind)) {}

  constexpr Kind kind() const noexcept { return static_cast<Kind>(word_ >> kind_shift); }
  constexpr explicit operator bool() const noexcept { return kind() != Kind::none; }
  /// The message, or the payload of a ping or pong.
  /// Lifetime: into lent bytes while they are lent; else until next() or feed() of this engine.
  Message message() const noexcept {
    return {static_cast<MessageType>(word_ >> type_shift & type_bits),
            std::span<const std::byte>(data_, word_ & max_size)};
  }
  /// Returns true for a message behind which no byte was fed. While the engine is open, next() then
  /// returns none, so a driver can save that call. It may be false although nothing follows.
  constexpr bool is_last() const noexcept { return (word_ & last_bit) != 0; }

  /// For the engine: returns the same event, with is_last() true.
  constexpr Event as_last() const noexcept {
    Event event = *this;
    event.word_ |= last_bit;
    return event;
  }
  /// For the engine: returns the same event, with is_last() false.
  constexpr Event as_not_last() const noexcept {
    Event event = *this;
    event.word_ &= ~last_bit;
    return event;
  }

 private:
  static constexpr int type_shift = 48;
  static constexpr std::uint64_t type_bits = 0x7F;
  static constexpr std::uint64_t last_bit = std::uint64_t{1} << 55;
  static constexpr int kind_shift = 56;
  static constexpr std::uint64_t max_size = (std::uint64_t{1} << type_shift) - 1;
  static constexpr std::uint64_t place(Kind kind) noexcept {
    return static_cast<std::uint64_t>(kind) << kind_shift;
  }

  const std::byte* data_ = nullptr;
  // Kind, type and size. They are not bit-fields, because compilers then take them apart and put
  // them together again in every function that passes an event on.
  std::uint64_t word_ = 0;
};

static_assert(sizeof(Event) == 16);

}  // namespace tern
