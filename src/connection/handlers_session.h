#pragma once

#include "tern/connection.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tern::connection {

/// The session that calls plain functions, which several connections share.
struct HandlersSession {
  Handlers* handlers;

  void on_open(Connection& conn) {
    if (handlers->on_open) handlers->on_open(conn);
  }
  void on_message(Connection& conn, Message message) { handlers->on_message(conn, message); }
  void on_drain(Connection& conn) {
    if (handlers->on_drain) handlers->on_drain(conn);
  }
  void on_gap(Connection& conn, std::string_view topic, std::uint64_t missed) {
    if (handlers->on_gap) handlers->on_gap(conn, topic, missed);
  }
  void on_subscribed(Connection& conn, std::string_view topic, const Subscribed& begun) {
    if (handlers->on_subscribed) handlers->on_subscribed(conn, topic, begun);
  }
  void on_ping(Connection& conn, std::span<const std::byte> payload) {
    if (handlers->on_ping) handlers->on_ping(conn, payload);
  }
  void on_pong(Connection& conn, std::span<const std::byte> payload) {
    if (handlers->on_pong) handlers->on_pong(conn, payload);
  }
  void on_close(Connection& conn, const CloseInfo& info) {
    if (handlers->on_close) handlers->on_close(conn, info);
  }
};

}  // namespace tern::connection
