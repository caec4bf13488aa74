// The server's side of the opening handshake of one connection.
#pragma once

#include "tern/connection.h"
#include "tern/engine.h"
#include "tern/http.h"

#include "connection/live_connection.h"

#include <string>
#include <string_view>
#include <system_error>

namespace tern::server {

/// Answers the request that a connection waits with, and counts and logs the answer. It has no
/// state of its own, so it is made where it is needed. An answer does nothing if the request was
/// answered before or the connection is over. Thread: the connection's loop.
class Handshake {
 public:
  explicit Handshake(connection::LiveConnection& connection) noexcept : connection_(connection) {}

  /// Constructs the session by `construct(void* memory)` and answers 101. If that throws, it
  /// answers 500.
  template <class F>
  void accept(const Accept& accept, const connection::SessionType& type, F&& construct) noexcept {
    if (!begin_answer()) return;
    if (!connection_.make_session(type, construct)) return respond_internal_error();
    answered(connection_.engine().accept(accept));
  }
  /// Refuses a request that is no proper upgrade, with the status that fits.
  void refuse() noexcept;
  void respond(const Response& response) noexcept;
  /// Reads the body of the request, or refuses it. Owner::on_head follows when it is there.
  void read_body() noexcept;
  /// Answers with this status and "Retry-After: 1". If there is no memory for the answer, the
  /// connection ends.
  void respond_later(int status) noexcept;
  /// Answers 500. If there is no memory for the answer, the connection ends.
  void respond_internal_error() noexcept;
  /// Answers 500 because the application's answer may not be sent, and logs `why`.
  void reject_answer(std::string_view why) noexcept;

  /// Counts and logs the refusal of the request, which was answered.
  void on_refused(std::error_code error) noexcept;

  /// Ends the connection during its handshake, without an answer. Its handshake no longer counts.
  void give_up(std::error_code why) noexcept;

 private:
  bool begin_answer() noexcept;
  void answered(std::error_code error) noexcept;
  std::string refusal_text(std::error_code error) const;

  connection::LiveConnection& connection_;
};

}  // namespace tern::server
