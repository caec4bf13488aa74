// A connection on a loop, as its handlers see it; and Handle, its twin for everybody else.
#pragma once

#include "tern/close.h"
#include "tern/loop.h"
#include "tern/message.h"
#include "tern/options.h"
#include "tern/unique_function.h"

#include <chrono>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace tern {

class Connection;
class Handle;

namespace connection {
class Registry;
struct SessionType;
}  // namespace connection

/// One WebSocket connection, owned by its loop. Nothing you call here calls you back.
/// Lifetime: from on_open (or the session's constructor) until on_close has returned.
/// Thread: its loop's; elsewhere use handle().
class Connection {
 public:
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Queues a message; it is written at the end of the turn. Text that is not UTF-8 is not sent:
  /// `not_utf8`, and the first one of a connection is logged (RFC 6455 §5.6,
  /// SendOptions::check_text). `congested`: wait for on_drain before sending much more. A peer that
  /// lets more than limits.max_queued_bytes pile up is closed with 1008, unless limits.overflow
  /// says otherwise. `options` say whether it may be compressed, where that was agreed on.
  SendStatus send(Message message, SendOptions options = {}) noexcept;
  /// Queues a message that is shared by many connections: not copied when large.
  SendStatus send(const SharedMessage& message, SendOptions options = {}) noexcept;
  /// Sends a ping of at most 125 bytes ahead of queued messages. RFC 6455 §5.5.2.
  void ping(std::span<const std::byte> payload = {}) noexcept;

  /// Queues a Close frame behind what was sent and stops delivering messages; on_close follows,
  /// from the loop, once. A reason over 123 bytes is cut at a character; a code that may not be
  /// sent becomes 1011 and is logged. Later calls do nothing. RFC 6455 §5.5.1, §7.1.2.
  void close(CloseCode code = CloseCode::normal, std::string_view reason = {}) noexcept;
  /// Ends TCP at once, without a Close frame; on_close follows, from the loop, once.
  void terminate() noexcept;

  /// No on_message from now on until resume(), and nothing is read, so that the peer slows down.
  /// Meanwhile the silence and pong clocks stand still. Idempotent.
  void pause() noexcept;
  /// Undoes pause(). Messages follow from the loop, not from this call. Idempotent.
  void resume() noexcept;

  /// Accepts messages: on_open came and the end has not begun.
  bool is_open() const noexcept;
  /// Bytes accepted and not yet given to the system.
  std::size_t queued_bytes() const noexcept;
  /// The subprotocol agreed upon; empty: none. Lifetime: the connection.
  std::string_view protocol() const noexcept;
  /// What was agreed on about compression; nothing: messages are not compressed. RFC 7692 §7.
  std::optional<DeflateAgreement> deflate() const noexcept;
  /// The peer as "192.0.2.7:51234"; asks the system each time.
  std::string remote_address() const;
  /// The loop it lives on. Lifetime: until the server runs again or is destroyed.
  Loop& loop() noexcept;
  /// For other threads, and for whatever outlives the handler.
  Handle handle() const noexcept;

  /// Runs `function` once after `delay`, or every `interval`, on the loop, as long as the
  /// connection lives: `this` of a session and the Connection are safe in it.
  TimerId after(Loop::Duration delay, UniqueFunction<void(Connection&)> function);
  TimerId every(Loop::Duration interval, UniqueFunction<void(Connection&)> function);
  /// Forgets a timer of this connection. False when there is none of this id (any more).
  bool cancel(TimerId timer) noexcept;

  /// The session, which must be of exactly this type (checked).
  template <class S>
  S& session() noexcept;

 protected:
  Connection() noexcept = default;
  ~Connection() = default;

 private:
  void* session_of(const connection::SessionType& type) noexcept;
};

/// A connection from anywhere: copyable, comparable, hashable, default-constructible (to nothing).
/// A connection that has ended is a silent target. Thread: any; calls of one thread keep their
/// order.
class Handle {
 public:
  Handle() noexcept = default;

  /// Copies the message and sends it from the loop.
  /// Errors: false when nothing will be sent, because the loop has ended, its mailbox is full
  /// (max_posted and max_posted_bytes of LoopOptions and ServerOptions), memory is out, or the text
  /// is not UTF-8 (SendOptions::check_text).
  bool send(Message message, SendOptions options = {}) const noexcept;
  bool send(SharedMessage message, SendOptions options = {}) const noexcept;
  /// As Connection::close, from the loop. False as above.
  bool close(CloseCode code = CloseCode::normal, std::string_view reason = {}) const noexcept;
  /// Runs `function` on the loop if the connection lives then. False as above.
  bool post(UniqueFunction<void(Connection&)> function) const noexcept;

  /// Whether both stand for the same connection.
  bool operator==(const Handle& other) const noexcept = default;
  /// An order without meaning, for sets and maps.
  std::strong_ordering operator<=>(const Handle& other) const noexcept;
  /// For unordered ones.
  std::size_t hash() const noexcept;

  /// For tern's own rooms.
  Handle(std::shared_ptr<connection::Registry> registry, std::uint32_t slot,
         std::uint32_t generation) noexcept
      : registry_(std::move(registry)), slot_(slot), generation_(generation) {}

 private:
  std::shared_ptr<connection::Registry> registry_{};
  std::uint32_t slot_ = 0;
  std::uint32_t generation_ = 0;
};

/// Your object per connection: constructed when the upgrade is accepted, destroyed right after
/// on_close. on_message is required; on_open(conn), on_drain(conn) and on_close(conn, info) are
/// found when they are there. One that cannot be called like that is an error of the compiler,
/// because it would never be called. An exception that leaves one closes this connection with 1011.
template <class S>
concept Session = std::is_class_v<S> && requires(S session, Connection& conn, Message message) {
  session.on_message(conn, message);
};

/// A session without state: plain functions. on_message is required.
/// Thread: those of a route are shared by all its connections and called from all workers at the
/// same time; those given to Upgrade::accept belong to one connection and are called on its loop.
struct Handlers {
  UniqueFunction<void(Connection&)> on_open{};
  UniqueFunction<void(Connection&, Message)> on_message{};
  UniqueFunction<void(Connection&)> on_drain{};
  UniqueFunction<void(Connection&, const CloseInfo&)> on_close{};
};

namespace connection {

/// The plain functions that stand for a Session's members; null where it has none.
struct SessionType {
  std::size_t size;
  std::size_t alignment;
  void (*destroy)(void*) noexcept;
  void (*on_open)(void*, Connection&);
  void (*on_message)(void*, Connection&, Message);
  void (*on_drain)(void*, Connection&);
  void (*on_close)(void*, Connection&, const CloseInfo&);
};

// Whether S has a member of this name, of whatever kind: only then the name is ambiguous in a class
// that inherits it from S and from here as well. A final class is asked directly.
struct OptionalHandlers {
  void on_open();
  void on_drain();
  void on_close();
};
template <class S>
struct Derived : S, OptionalHandlers {};
template <class S>
using Named = std::conditional_t<std::is_final_v<S>, std::type_identity<OptionalHandlers>,
                                 std::type_identity<Derived<S>>>;
template <class S, class N = typename Named<S>::type>
concept NamesOnOpen = (requires { &S::on_open; }) || (!requires { &N::on_open; });
template <class S, class N = typename Named<S>::type>
concept NamesOnDrain = (requires { &S::on_drain; }) || (!requires { &N::on_drain; });
template <class S, class N = typename Named<S>::type>
concept NamesOnClose = (requires { &S::on_close; }) || (!requires { &N::on_close; });

template <Session S>
constexpr SessionType make_session_type() noexcept {
  SessionType type{sizeof(S), alignof(S), [](void* s) noexcept { static_cast<S*>(s)->~S(); },
                   nullptr,   nullptr,    nullptr,
                   nullptr};
  type.on_message = [](void* s, Connection& conn, Message message) {
    static_cast<S*>(s)->on_message(conn, message);
  };
  if constexpr (requires(S s, Connection & conn) { s.on_open(conn); }) {
    type.on_open = [](void* s, Connection& conn) { static_cast<S*>(s)->on_open(conn); };
  } else {
    static_assert(!NamesOnOpen<S>,
                  "this session's on_open would never be called: it must be public and take "
                  "(tern::Connection&)");
  }
  if constexpr (requires(S s, Connection & conn) { s.on_drain(conn); }) {
    type.on_drain = [](void* s, Connection& conn) { static_cast<S*>(s)->on_drain(conn); };
  } else {
    static_assert(!NamesOnDrain<S>,
                  "this session's on_drain would never be called: it must be public and take "
                  "(tern::Connection&)");
  }
  if constexpr (requires(S s, Connection & conn, const CloseInfo& info) {
                  s.on_close(conn, info);
                }) {
    type.on_close = [](void* s, Connection& conn, const CloseInfo& info) {
      static_cast<S*>(s)->on_close(conn, info);
    };
  } else {
    static_assert(!NamesOnClose<S>,
                  "this session's on_close would never be called: it must be public and take "
                  "(tern::Connection&, const tern::CloseInfo&)");
  }
  return type;
}

// Any of them may be missing. Without on_message the first message throws, which is logged.
template <>
constexpr SessionType make_session_type<Handlers>() noexcept {
  return {sizeof(Handlers),
          alignof(Handlers),
          [](void* s) noexcept { static_cast<Handlers*>(s)->~Handlers(); },
          [](void* s, Connection& conn) {
            if (auto& on_open = static_cast<Handlers*>(s)->on_open) on_open(conn);
          },
          [](void* s, Connection& conn, Message message) {
            auto& on_message = static_cast<Handlers*>(s)->on_message;
            if (!on_message) throw std::bad_function_call();
            on_message(conn, message);
          },
          [](void* s, Connection& conn) {
            if (auto& on_drain = static_cast<Handlers*>(s)->on_drain) on_drain(conn);
          },
          [](void* s, Connection& conn, const CloseInfo& info) {
            if (auto& on_close = static_cast<Handlers*>(s)->on_close) on_close(conn, info);
          }};
}

/// One table for each session class; its address names the class.
template <Session S>
inline constexpr SessionType session_type = make_session_type<S>();

}  // namespace connection

template <class S>
S& Connection::session() noexcept {
  return *static_cast<S*>(session_of(connection::session_type<S>));
}

}  // namespace tern

template <>
struct std::hash<tern::Handle> {
  std::size_t operator()(const tern::Handle& handle) const noexcept { return handle.hash(); }
};
