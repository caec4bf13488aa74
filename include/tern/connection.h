// A connection on a loop, for the handlers that run on it; and Handle, for all other code.
#pragma once

#include "tern/close.h"
#include "tern/http.h"
#include "tern/loop.h"
#include "tern/message.h"
#include "tern/options.h"
#include "tern/round_trip.h"
#include "tern/session.h"
#include "tern/topics.h"
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

class Handle;

namespace connection {
class Registry;
}  // namespace connection

/// One WebSocket connection, owned by its loop. No function here calls your code back.
/// Lifetime: from on_open (or the session's constructor) until on_close has returned.
/// Thread: its loop's; in other threads use handle().
class Connection {
 public:
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Queues a message, which is written at the end of the turn. `options` allow or forbid to
  /// compress it, if compression was agreed on. With `congested` wait for on_drain before you send
  /// much more. If more than limits.max_queued_bytes are queued, the connection is closed with
  /// 1008; limits.overflow can change that. Errors: `not_utf8`, because text that is not UTF-8 is
  /// not sent (SendOptions::check_text); the first one of a connection is logged. RFC 6455 §5.6.
  SendStatus send(Message message, SendOptions options = {}) noexcept;
  /// Queues a message that many connections share. A large one is not copied.
  SendStatus send(const SharedMessage& message, SendOptions options = {}) noexcept;
  /// Sends a ping of at most 125 bytes before the queued messages. RFC 6455 §5.5.2.
  void ping(std::span<const std::byte> payload = {}) noexcept;

  /// Subscribes to a topic of this server. Its publications reach the peer from the moment when
  /// the handler has returned, so an answer that the handler sends goes first. A second call for
  /// the same topic replaces the first subscription; if it fails, the first one stays. The
  /// subscription ends with the connection.
  /// Errors: closed, unless the connection is open; topic_invalid, see is_topic_name();
  /// too_many_subscriptions; too_many_topics; topics_unavailable on a client; no_memory.
  SubscribeResult subscribe(std::string_view topic, SubscribeOptions options = {}) noexcept;
  /// Ends a subscription: no publication reaches the peer any more, except those that are queued
  /// already. Returns false if there is none.
  bool unsubscribe(std::string_view topic) noexcept;
  /// Publishes a message to all subscribers of a topic, except this connection. See
  /// Server::publish.
  PublishStatus publish(std::string_view topic, Message message, SendOptions options = {}) noexcept;
  /// The same without the look-up by name.
  PublishStatus publish(const Topic& topic, Message message, SendOptions options = {}) noexcept;

  /// Queues a Close frame behind the messages that were sent. No message is delivered afterwards;
  /// the loop calls on_close once. A reason over 123 bytes is cut at a character. A code that may
  /// not be sent becomes 1011 and is logged. Later calls do nothing. RFC 6455 §5.5.1, §7.1.2.
  void close(CloseCode code = CloseCode::normal, std::string_view reason = {}) noexcept;
  /// Like close(), but the messages that the peer sends before its own Close frame are delivered.
  /// Use it after the last question, so that the answers still come. Pings are not answered any
  /// more. timeouts.close starts again with every byte that is received, and stands still while the
  /// connection is paused. close() afterwards ends the delivery. RFC 6455 §5.5.1.
  void finish(CloseCode code = CloseCode::normal, std::string_view reason = {}) noexcept;
  /// Ends TCP at once, without a Close frame. The loop calls on_close once.
  void terminate() noexcept;

  /// Stops on_message, on_ping and on_pong until resume(). Nothing is read either, so that the peer
  /// slows down. Meanwhile the silence and pong clocks stand still. Idempotent.
  void pause() noexcept;
  /// Undoes pause(). The loop delivers the messages, not this call. Idempotent.
  void resume() noexcept;

  /// Returns whether send() accepts messages: on_open has come and the end has not begun.
  bool is_open() const noexcept;
  /// The number of bytes that were accepted and that the system has not taken yet.
  std::size_t queued_bytes() const noexcept;
  /// The subprotocol that was agreed on; empty if none. Lifetime: the connection.
  std::string_view protocol() const noexcept;
  /// The agreement on compression; absent if messages are not compressed. RFC 7692 §7.
  std::optional<DeflateAgreement> deflate() const noexcept;
  /// Returns the time from pings of the keepalive (Timeouts::silence) to their pongs; nothing
  /// before the first pong. A connection on which the peer sends all the time sends no such ping.
  /// The loop reads its clock once a turn, so a time is exact to the length of a turn, and it
  /// includes the time for which a handler blocks the loop. A ping that waits when pause() is
  /// called does not count, nor do the pongs of ping(). Thread: the connection's loop.
  std::optional<RoundTrip> rtt() const noexcept;
  /// A client's connection: the server's 101, while the session is constructed and until on_open
  /// has returned. Null afterwards, because an open connection does not keep it, and on a server.
  /// Copy the fields that you need later. Lifetime: until on_open has returned. RFC 6455 §4.2.2.
  const ResponseHead* response() const noexcept;
  /// The peer's address, as "192.0.2.7:51234", or "unix:" and the path of its socket. On a server
  /// behind trusted proxies it is the client's, like Request::remote_address(). Each call may be a
  /// system call. Throws std::bad_alloc.
  std::string remote_address() const;
  /// The loop of the connection. Lifetime: until the server runs again or is destroyed.
  Loop& loop() noexcept;
  /// Returns a handle for other threads, and for code that may run after on_close.
  Handle handle() const noexcept;

  /// Runs `function` on the loop, once after `delay` or every `interval`, until on_close has
  /// returned. So the function may use the session and the Connection. Throws std::bad_alloc.
  TimerId after(Loop::Duration delay, UniqueFunction<void(Connection&)> function);
  TimerId every(Loop::Duration interval, UniqueFunction<void(Connection&)> function);
  /// Cancels a timer of this connection. Returns false if there is no such timer any more.
  bool cancel(TimerId timer) noexcept;

  /// The session. It must be of exactly this type; a check ends the process otherwise.
  template <class S>
  S& session() noexcept;

 protected:
  Connection() noexcept = default;
  ~Connection() = default;

 private:
  void* session_of(const connection::SessionType& type) noexcept;
};

/// Reaches a connection from any thread. Copyable, comparable, hashable; a default-constructed one
/// reaches nothing. It does nothing when the connection has ended. Calls of one thread keep their
/// order. Thread: any.
class Handle {
 public:
  Handle() noexcept = default;

  /// Copies the message and sends it on the loop.
  /// Errors: false if nothing will be sent, because the loop has ended, its mailbox is full
  /// (max_posted and max_posted_bytes of LoopOptions and ServerOptions), memory is out, or the text
  /// is not UTF-8 (SendOptions::check_text).
  bool send(Message message, SendOptions options = {}) const noexcept;
  bool send(SharedMessage message, SendOptions options = {}) const noexcept;
  /// Like Connection::close, on the loop. Errors: false if the loop has ended, its mailbox is full
  /// or memory is out.
  bool close(CloseCode code = CloseCode::normal, std::string_view reason = {}) const noexcept;
  /// Runs `function` on the loop if the connection still exists then. Errors: false as for close().
  bool post(UniqueFunction<void(Connection&)> function) const noexcept;

  /// Returns whether both reach the same connection.
  bool operator==(const Handle& other) const noexcept = default;
  /// An order for sets and maps. It has no other meaning.
  std::strong_ordering operator<=>(const Handle& other) const noexcept;
  /// A hash for unordered containers.
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

template <class S>
S& Connection::session() noexcept {
  return *static_cast<S*>(session_of(connection::session_type<S>));
}

}  // namespace tern

template <>
struct std::hash<tern::Handle> {
  std::size_t operator()(const tern::Handle& handle) const noexcept { return handle.hash(); }
};
