// A session: the object of the application for each connection, or plain functions.
#pragma once

#include "tern/close.h"
#include "tern/message.h"
#include "tern/topics.h"
#include "tern/unique_function.h"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <type_traits>

namespace tern {

class Connection;

/// Your object for each connection. It is constructed when the upgrade is accepted and destroyed
/// right after on_close. It must have on_message. It may have on_open(conn), on_drain(conn),
/// on_gap(conn, topic, missed), on_subscribed(conn, topic, subscribed), on_ping(conn, payload),
/// on_pong(conn, payload) and on_close(conn, info). A member of such a name that cannot be called
/// like this is an error of the compiler, because it would never be called. An exception that
/// leaves a handler closes this connection with 1011.
///
/// on_gap(Connection&, std::string_view topic, std::uint64_t missed) tells that the peer was too
/// slow and so many publications were skipped, with Overflow::reject. It comes when the queue is
/// short again, before on_drain. It also tells that the bridge of the topic may have lost some
/// (Server::on_bridge_gap), with 0 if it does not know how many.
///
/// on_subscribed(Connection&, std::string_view topic, const Subscribed&) tells the true beginning
/// of a subscription that was Subscribed::pending, once. The publications that
/// SubscribeOptions::from asked for follow it. If `recovered` is false, on_gap follows, too.
///
/// on_ping receives the payload of each ping of the peer, which tern has answered already.
/// on_pong receives that of each pong: the answer to Connection::ping, to a ping of the keepalive,
/// or one that answers nothing. Both come in the order of the messages, and like on_message not
/// while the connection is paused and not after close() or the peer's Close frame. The payload is a
/// std::span<const std::byte>. Lifetime: until the handler returns. RFC 6455 §5.5.2, §5.5.3.
template <class S>
concept Session = std::is_class_v<S> && requires(S session, Connection& conn, Message message) {
  session.on_message(conn, message);
};

/// A session of plain functions, without state. on_message is required.
/// Thread: all connections of a route share its functions, and all workers call them at the same
/// time. Functions given to Upgrade::accept belong to one connection and are called on its loop.
struct Handlers {
  UniqueFunction<void(Connection&)> on_open{};
  UniqueFunction<void(Connection&, Message)> on_message{};
  UniqueFunction<void(Connection&)> on_drain{};
  UniqueFunction<void(Connection&, std::string_view, std::uint64_t)> on_gap{};
  UniqueFunction<void(Connection&, std::string_view, const Subscribed&)> on_subscribed{};
  UniqueFunction<void(Connection&, std::span<const std::byte>)> on_ping{};
  UniqueFunction<void(Connection&, std::span<const std::byte>)> on_pong{};
  UniqueFunction<void(Connection&, const CloseInfo&)> on_close{};
};

namespace connection {

/// Plain functions that call a Session's members; null for a member that it does not have.
struct SessionType {
  static constexpr std::size_t inline_bytes = 16;

  std::size_t size;
  std::size_t alignment;
  bool is_large;  // a connection has no room for it inside
  void (*destroy)(void*) noexcept;
  void (*on_open)(void*, Connection&);
  void (*on_message)(void*, Connection&, Message);
  void (*on_drain)(void*, Connection&);
  void (*on_gap)(void*, Connection&, std::string_view, std::uint64_t);
  void (*on_subscribed)(void*, Connection&, std::string_view, const Subscribed&);
  void (*on_ping)(void*, Connection&, std::span<const std::byte>);
  void (*on_pong)(void*, Connection&, std::span<const std::byte>);
  void (*on_close)(void*, Connection&, const CloseInfo&);
};

// Checks whether S has a member of this name, of any kind. Only then the name is ambiguous in a
// class that inherits it both from S and from OptionalHandlers. A final class is checked directly.
struct OptionalHandlers {
  void on_open();
  void on_drain();
  void on_gap();
  void on_subscribed();
  void on_ping();
  void on_pong();
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
concept NamesOnGap = (requires { &S::on_gap; }) || (!requires { &N::on_gap; });
template <class S, class N = typename Named<S>::type>
concept NamesOnSubscribed = (requires { &S::on_subscribed; }) || (!requires { &N::on_subscribed; });
template <class S, class N = typename Named<S>::type>
concept NamesOnPing = (requires { &S::on_ping; }) || (!requires { &N::on_ping; });
template <class S, class N = typename Named<S>::type>
concept NamesOnPong = (requires { &S::on_pong; }) || (!requires { &N::on_pong; });
template <class S, class N = typename Named<S>::type>
concept NamesOnClose = (requires { &S::on_close; }) || (!requires { &N::on_close; });

template <class S>
inline constexpr bool is_large_session = sizeof(S) > SessionType::inline_bytes ||
                                         alignof(S) > alignof(void*);

template <Session S>
constexpr void add_control_handlers(SessionType& type) noexcept {
  if constexpr (requires(S s, Connection & conn, std::span<const std::byte> payload) {
                  s.on_ping(conn, payload);
                }) {
    type.on_ping = [](void* s, Connection& conn, std::span<const std::byte> payload) {
      static_cast<S*>(s)->on_ping(conn, payload);
    };
  } else {
    static_assert(!NamesOnPing<S>,
                  "this session's on_ping would never be called: it must be public and take "
                  "(tern::Connection&, std::span<const std::byte>)");
  }
  if constexpr (requires(S s, Connection & conn, std::span<const std::byte> payload) {
                  s.on_pong(conn, payload);
                }) {
    type.on_pong = [](void* s, Connection& conn, std::span<const std::byte> payload) {
      static_cast<S*>(s)->on_pong(conn, payload);
    };
  } else {
    static_assert(!NamesOnPong<S>,
                  "this session's on_pong would never be called: it must be public and take "
                  "(tern::Connection&, std::span<const std::byte>)");
  }
}

template <Session S>
constexpr void add_subscribed_handler(SessionType& type) noexcept {
  if constexpr (requires(S s, Connection & conn, std::string_view topic, const Subscribed& begun) {
                  s.on_subscribed(conn, topic, begun);
                }) {
    type.on_subscribed = [](void* s, Connection& conn, std::string_view topic,
                            const Subscribed& begun) {
      static_cast<S*>(s)->on_subscribed(conn, topic, begun);
    };
  } else {
    static_assert(!NamesOnSubscribed<S>,
                  "this session's on_subscribed would never be called: it must be public and take "
                  "(tern::Connection&, std::string_view, const tern::Subscribed&)");
  }
}

template <Session S>
constexpr void add_queue_handlers(SessionType& type) noexcept {
  if constexpr (requires(S s, Connection & conn) { s.on_drain(conn); }) {
    type.on_drain = [](void* s, Connection& conn) { static_cast<S*>(s)->on_drain(conn); };
  } else {
    static_assert(!NamesOnDrain<S>,
                  "this session's on_drain would never be called: it must be public and take "
                  "(tern::Connection&)");
  }
  if constexpr (requires(S s, Connection & conn, std::string_view topic, std::uint64_t missed) {
                  s.on_gap(conn, topic, missed);
                }) {
    type.on_gap = [](void* s, Connection& conn, std::string_view topic, std::uint64_t missed) {
      static_cast<S*>(s)->on_gap(conn, topic, missed);
    };
  } else {
    static_assert(!NamesOnGap<S>,
                  "this session's on_gap would never be called: it must be public and take "
                  "(tern::Connection&, std::string_view, std::uint64_t)");
  }
}

template <Session S>
constexpr SessionType make_session_type() noexcept {
  SessionType type{sizeof(S),
                   alignof(S),
                   is_large_session<S>,
                   [](void* s) noexcept { static_cast<S*>(s)->~S(); },
                   nullptr,
                   nullptr,
                   nullptr,
                   nullptr,
                   nullptr,
                   nullptr,
                   nullptr,
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
  add_queue_handlers<S>(type);
  add_subscribed_handler<S>(type);
  add_control_handlers<S>(type);
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

// Any of the functions may be missing. Without on_message the first message throws, and that is
// logged.
template <>
constexpr SessionType make_session_type<Handlers>() noexcept {
  return {sizeof(Handlers),
          alignof(Handlers),
          is_large_session<Handlers>,
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
          [](void* s, Connection& conn, std::string_view topic, std::uint64_t missed) {
            if (auto& on_gap = static_cast<Handlers*>(s)->on_gap) on_gap(conn, topic, missed);
          },
          [](void* s, Connection& conn, std::string_view topic, const Subscribed& begun) {
            auto& on_subscribed = static_cast<Handlers*>(s)->on_subscribed;
            if (on_subscribed) on_subscribed(conn, topic, begun);
          },
          [](void* s, Connection& conn, std::span<const std::byte> payload) {
            if (auto& on_ping = static_cast<Handlers*>(s)->on_ping) on_ping(conn, payload);
          },
          [](void* s, Connection& conn, std::span<const std::byte> payload) {
            if (auto& on_pong = static_cast<Handlers*>(s)->on_pong) on_pong(conn, payload);
          },
          [](void* s, Connection& conn, const CloseInfo& info) {
            if (auto& on_close = static_cast<Handlers*>(s)->on_close) on_close(conn, info);
          }};
}

/// The table of a session class. Its address identifies the class.
template <Session S>
inline constexpr SessionType session_type = make_session_type<S>();

}  // namespace connection

}  // namespace tern
