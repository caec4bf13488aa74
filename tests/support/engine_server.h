// An echo server for one connection: Engine::server on a blocking socket.
#pragma once

#include "tern/engine.h"

#include "support/socket_peer.h"

#include <chrono>
#include <string>

namespace tern::test {

/// Echoes until the connection has ended; returns how it ended.
inline CloseInfo serve_echo(Socket& socket, const EngineOptions& options = {},
                            const Accept& accept = {}) {
  Workspace workspace;
  auto made = Engine::server(options, workspace);
  if (!made) return {};
  Engine& engine = *made;
  const auto write = [&] {
    while (!engine.output().empty()) {
      const iovec piece = engine.output().front();
      const std::string_view bytes(static_cast<const char*>(piece.iov_base), piece.iov_len);
      if (!socket.send(bytes)) return engine.feed_error(std::make_error_code(std::errc::io_error));
      engine.consume_output(bytes.size());
    }
  };
  while (!engine.finished()) {
    std::string bytes = socket.receive();
    engine.tick(std::chrono::steady_clock::now());
    bytes.empty() ? engine.feed_eof() : engine.feed(0, std::as_writable_bytes(std::span(bytes)));
    while (const Event event = engine.next()) {
      if (event.kind() == Event::Kind::request) engine.accept(accept);
      if (event.kind() == Event::Kind::message) engine.send(event.message());
      write();
    }
    write();
    engine.settle();
    engine.next();
  }
  return engine.close_info();
}

}  // namespace tern::test
