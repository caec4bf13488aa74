// The server's side of a connection before it speaks WebSocket.
#pragma once

#include "tern/engine.h"
#include "tern/http.h"
#include "tern/options.h"

#include "engine/inbound.h"
#include "engine/opening_step.h"
#include "engine/outbound.h"
#include "engine/pulled_body.h"
#include "handshake/origin.h"
#include "http/framing.h"
#include "http/head.h"
#include "http/request_body.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace tern::engine {

/// Reads requests and writes their answers in order (RFC 9112 §9.3.2), until one request is
/// accepted as an upgrade (RFC 6455 §4.2) or an answer ends the connection. It has no clock:
/// limit() is the time that it gives the peer, and the engine calls expire(). Each function that
/// may write takes the Date field for the answer, see http::write_response, and throws
/// std::bad_alloc.
class ServerOpening {
 public:
  /// Forgets everything but its memory, and waits for a request. `idle`: an answer was given
  /// before. Lifetime: options, `in` and `out` outlive the use of this object.
  void start(const EngineOptions& options, Inbound& in, Outbound& out, bool idle) noexcept;

  /// Input arrived. Returns true if it begins a request after an answer.
  bool begin_request() noexcept;
  /// Reads on. `input_end` is why no input follows: Errc::end_of_stream, an error of the socket, or
  /// nothing.
  OpeningStep next(std::error_code input_end, std::string_view date_line);
  /// Returns false if more input cannot be used now, see Engine::wants_input.
  bool wants_input() const noexcept;
  /// Returns true while input waits unread: for a decision, or until the answers before it are
  /// written. A peer that requests pages and does not read them would fill our memory otherwise.
  bool holds_input() const noexcept;

  /// Returns true after OpeningStep::Kind::request or body, until accept(), respond() or
  /// read_body().
  bool is_deciding() const noexcept {
    return state_ == State::deciding || state_ == State::answering;
  }
  /// Returns true after an answer, until a byte of the next request comes.
  bool is_idle() const noexcept { return state_ == State::idle; }
  /// Returns true if limit() counts from the moment at which all output is written.
  bool counts_from_written() const noexcept { return !is_deciding() && state_ != State::receiving; }
  /// Lifetime of its views: until it is answered.
  const Request& request() const noexcept { return request_; }
  /// Returns why accept() would refuse, or nothing. RFC 6455 §4.2.1.
  std::optional<Errc> upgrade_error() const noexcept {
    return has_unread_body() ? Errc::request_with_body : upgrade_error_;
  }
  /// Judges the request by how its client reached the proxy in front, see Engine::reached. Throws
  /// std::bad_alloc.
  void reached(Reached how);

  /// Returns whether the request has a body that read_body() was not called for.
  bool has_unread_body() const noexcept {
    return framing_.kind != http::BodyFraming::Kind::none && !received_;
  }
  /// Reads the body before the answer. Refuses it at once if its length is above the limit.
  OpeningStep read_body(std::string_view date_line);
  /// Moves the body out of the request.
  std::string take_body() noexcept;
  /// From now on the request waits for its answer within timeouts.answer.
  void wait_for_answer() noexcept { state_ = State::answering; }
  /// Returns true after wait_for_answer(), until respond().
  bool is_answering() const noexcept { return state_ == State::answering; }
  /// Answers 101, or refuses: then `why` of the step is the reason.
  OpeningStep accept(const Accept& accept, std::string_view date_line);
  /// Answers in plain HTTP, or begins to if the body is pulled. If a field of `response` may not be
  /// sent, it answers 500, and `why` is Errc::invalid_header.
  OpeningStep respond(const Response& response, std::string_view date_line);

  /// Returns whether pull() has work: an answer is not complete, and few of its bytes wait.
  bool wants_pull() const noexcept;
  /// Appends the next part of the answer's body. Does nothing if !wants_pull(). Throws what the
  /// source of the body throws; then the caller ends the connection.
  OpeningStep pull();

  /// Returns how long the peer may take now, counted from the last byte that moved the clock.
  Timeouts::Duration limit(const Timeouts& timeouts) const noexcept;
  /// That time is over.
  OpeningStep expire(std::string_view date_line);
  /// The application closes the connection.
  OpeningStep close(std::string_view date_line);

  /// See Engine::explanation.
  std::string_view explanation() const noexcept { return explanation_; }

 private:
  enum class State : std::uint8_t {
    idle,       // an answer was given, and no byte of the next request has come
    reading,    // the head of a request is to come
    deciding,   // the head is complete and waits for its answer or for read_body()
    receiving,  // the body of request_ is to come
    answering,  // request_ is complete, and the application answers it later
    sending,    // body_ is pulled
    done,       // 101, or an answer that ends the connection, was given
  };

  OpeningStep judge(std::string_view date_line);
  Request shown(const Request& received) const noexcept;
  handshake::Site site() const noexcept;
  OpeningStep next_head(std::string_view date_line);
  OpeningStep next_body(std::string_view date_line);
  OpeningStep refuse(Errc why, std::string_view date_line);
  void answer_unavailable(std::string_view date_line);
  bool write(const Response& response, std::span<const HeaderField> own_fields, State next,
             std::string_view date_line);
  void show_body(std::string_view body) noexcept;
  void release_body() noexcept;
  void begin_body(const Response& response, State next);
  void answered(State next);
  bool asks_for_upgrade() const noexcept;

  const EngineOptions* options_ = nullptr;
  Inbound* in_ = nullptr;
  Outbound* out_ = nullptr;
  http::HeadParser head_{};
  Request request_{};
  std::unique_ptr<Reached> reached_{};  // by the client of request_, through a proxy
  http::BodyFraming framing_{};
  std::unique_ptr<http::RequestBody> received_{};  // from read_body() to the answer
  std::optional<Errc> upgrade_error_{};
  std::string explanation_{};
  std::unique_ptr<PulledBody> body_{};  // while state_ is sending
  State state_ = State::reading;
  State after_body_ = State::idle;
};

}  // namespace tern::engine
