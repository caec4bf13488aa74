// The scripted peer of a TestServer, and its end of the connection.
#pragma once

#include "tern/engine.h"
#include "tern/workspace.h"

#include "http/head.h"
#include "net/tcp.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace tern::server {

/// A client of HTTP until a 101 comes; then a client's Engine. It moves bytes only in move().
class TestConnection {
 public:
  using TimePoint = Engine::TimePoint;

  /// `request`: the bytes to send first. `head_only`: the answer has no body.
  TestConnection(net::Fd socket, std::string request, bool head_only);

  /// Writes what waits and reads what arrived. Returns whether a byte moved or TCP ended.
  bool move(TimePoint now);

  int status() const noexcept { return status_; }
  std::string_view header(std::string_view name) const noexcept;
  std::string body() const;
  bool ended() const noexcept { return state_ == State::ended; }
  std::optional<std::string> take();

  void send(Message message);
  void ping(std::string_view payload);
  void close(CloseCode code, std::string_view reason);
  void drop() noexcept;
  void send_bytes(std::string_view bytes);
  void stall(bool on) noexcept { stalled_ = on; }

 private:
  enum class State : std::uint8_t {
    head,   // the answer is to come
    body,   // it is no 101, and its body follows
    open,   // frames
    ended,  // TCP has ended
  };

  Engine& opened();
  bool write(TimePoint now);
  std::size_t write_some(std::span<const iovec> pieces, TimePoint now);
  bool read(TimePoint now);
  void take_head(std::span<std::byte>& input);
  void take_frames(std::span<std::byte> input, TimePoint now);
  void on_ended(TimePoint now, std::error_code error);
  void record_end();
  void end() noexcept;

  EngineOptions options_;  // the engine refers to it
  Workspace workspace_{};
  std::optional<net::TcpTransport> transport_{};
  std::string raw_{};  // to write ahead of what the engine writes
  http::HeadParser head_{};
  std::optional<Engine> engine_{};
  std::vector<std::pair<std::string, std::string>> fields_{};
  std::string body_{};  // as received
  std::deque<std::string> received_{};
  int status_ = 0;
  bool head_only_;
  bool stalled_ = false;
  bool server_ended_ = false;
  State state_ = State::head;
};

}  // namespace tern::server
