// HTTP on a server's connection. The bytes behind a head stay in the Inbound, because they are the
// next request or, after a 101, the first frames. A refusal ends the connection, so that nothing
// behind a faulty head is parsed: two parties that read such a head differently would disagree
// about where the next request begins (request smuggling).
#include "engine/server_opening.h"

#include "deflate/params.h"
#include "handshake/server.h"
#include "http/response.h"
#include "http/token.h"

#include <algorithm>
#include <utility>

namespace tern::engine {
namespace {

// The most bytes that may wait behind a request that is not answered yet.
constexpr std::size_t max_held_bytes = std::size_t{64} << 10;
// The most bytes of a body that may wait when more of it is pulled.
constexpr std::size_t max_pulled_ahead = std::size_t{64} << 10;

constexpr std::string_view interim = "HTTP/1.1 100 Continue\r\n\r\n";

// Few requests have the field, so the quick check comes first.
bool expects_continue(const Request& request) noexcept {
  const auto is_expect = [](const HeaderField& field) {
    return http::iequals(field.name, "Expect");
  };
  return std::ranges::any_of(request.headers(), is_expect) &&
         http::list_contains(request.headers(), "Expect", "100-continue");
}

}  // namespace

void ServerOpening::start(const EngineOptions& options, Inbound& in, Outbound& out,
                          bool idle) noexcept {
  options_ = &options;
  in_ = &in;
  out_ = &out;
  head_.start(http::HeadParser::Kind::request, options.limits);
  request_ = {};
  framing_ = {};
  received_.reset();
  body_.reset();
  reached_.reset();
  upgrade_error_.reset();
  explanation_.clear();
  state_ = idle ? State::idle : State::reading;
}

bool ServerOpening::begin_request() noexcept {
  if (state_ != State::idle) return false;
  state_ = State::reading;
  return true;
}

// ---- requests

OpeningStep ServerOpening::next(std::error_code input_end, std::string_view date_line) {
  const bool failed = input_end && input_end != Errc::end_of_stream;
  if (wants_pull() && !failed) return {.kind = OpeningStep::Kind::pull};
  if (holds_input()) {
    in_->stash();
    // The answer is sent in spite of a FIN, even if the application gives it later.
    const bool answers = state_ == State::sending || is_answering();
    if (answers && !failed) return {};
    // Whole requests that came before a FIN are answered.
    if (!is_deciding() && in_->has_stash() && !failed) return {};
  } else {
    OpeningStep step = state_ == State::receiving ? next_body(date_line) : next_head(date_line);
    if (step.kind != OpeningStep::Kind::wait) return step;
  }
  if (failed) return {.kind = OpeningStep::Kind::drop, .why = input_end};
  if (input_end) return {.kind = OpeningStep::Kind::end, .why = input_end};
  return {};
}

// The request as the client sees it.
Request ServerOpening::shown(const Request& received) const noexcept {
  Request::Parts parts = received.parts();
  parts.secure = options_->secure;
  if (reached_ != nullptr) {
    parts.host = reached_->host;
    parts.secure = reached_->secure.value_or(parts.secure);
  }
  return Request(parts);
}

handshake::Site ServerOpening::site() const noexcept {
  using handshake::Security;
  const Security own = options_->secure ? Security::tls : Security::plain;
  if (reached_ == nullptr) return own;
  const Security untold = options_->secure ? Security::tls : Security::unknown;
  const Security told = reached_->secure.value_or(false) ? Security::tls : Security::plain;
  return {reached_->secure ? told : untold, reached_->may_lack_port};
}

void ServerOpening::reached(Reached how) {
  reached_ = std::make_unique<Reached>(std::move(how));
  request_ = shown(request_);
  upgrade_error_ = handshake::check_upgrade(request_, options_->allowed_origins, site());
}

OpeningStep ServerOpening::next_head(std::string_view date_line) {
  in_->skip(head_.feed(in_->unread()));
  switch (head_.status()) {
    case http::HeadParser::Status::more:
      return {};
    case http::HeadParser::Status::failed:
      return refuse(head_.error(), date_line);
    case http::HeadParser::Status::done:
      break;
  }
  return judge(date_line);
}

OpeningStep ServerOpening::judge(std::string_view date_line) {
  reached_.reset();
  request_ = shown(head_.request());
  if (const auto errc = handshake::check_request(request_, framing_)) {
    return refuse(*errc, date_line);
  }
  upgrade_error_ = handshake::check_upgrade(request_, options_->allowed_origins, site());
  state_ = State::deciding;
  return {.kind = OpeningStep::Kind::request};
}

bool ServerOpening::wants_input() const noexcept {
  if (is_deciding()) return in_->unread().size() < max_held_bytes;
  return !in_->has_stash() && !holds_input();
}

bool ServerOpening::holds_input() const noexcept {
  if (state_ == State::receiving) return false;  // a body is bounded, and makes no output
  return is_deciding() || state_ == State::sending ||
         out_->queued_bytes() > options_->limits.low_water_bytes;
}

// ---- bodies

OpeningStep ServerOpening::read_body(std::string_view date_line) {
  received_ = std::make_unique<http::RequestBody>(framing_, options_->limits);
  if (received_->status() == http::RequestBody::Status::failed) {
    return refuse(received_->error(), date_line);
  }
  state_ = State::receiving;
  // A client that has begun with its body does not wait for 100 (RFC 9110 §10.1.1), and a client of
  // HTTP/1.0 does not know it.
  if (request_.minor_version() != 0 && in_->unread().empty() && expects_continue(request_)) {
    out_->append_bytes(std::as_bytes(std::span(interim)));
  }
  return {};
}

OpeningStep ServerOpening::next_body(std::string_view date_line) {
  in_->skip(received_->feed(in_->unread()));
  switch (received_->status()) {
    case http::RequestBody::Status::more:
      return {};
    case http::RequestBody::Status::failed:
      return refuse(received_->error(), date_line);
    case http::RequestBody::Status::done:
      break;
  }
  state_ = State::deciding;
  show_body(received_->text());
  return {.kind = OpeningStep::Kind::body};
}

void ServerOpening::show_body(std::string_view body) noexcept {
  Request::Parts parts = request_.parts();
  parts.body = body;
  request_ = Request(parts);
}

std::string ServerOpening::take_body() noexcept {
  if (!received_ || state_ == State::receiving) return {};
  show_body({});
  return received_->take();
}

// The answer may be pulled for a long time, and it does not need the body any more.
void ServerOpening::release_body() noexcept {
  framing_ = {};
  if (!received_) return;
  show_body({});
  received_.reset();
}

// ---- answers

OpeningStep ServerOpening::accept(const Accept& accept, std::string_view date_line) {
  if (const auto errc = upgrade_error()) return refuse(*errc, date_line);
  const std::string_view protocol = handshake::choose_protocol(request_, accept.protocols);
  const auto wanted = deflate::usable(accept.deflate ? accept.deflate : options_->deflate);
  std::optional<deflate::Acceptance> compression;
  if (wanted) compression = deflate::accept_offer(request_.headers(), *wanted);
  std::string head;
  // RFC 9110 §7.8: 100 comes before 101, if it is expected.
  if (expects_continue(request_)) head = interim;
  const auto errc = handshake::write_accept(
      head, request_, protocol, accept.headers,
      compression ? deflate::answer_text(*compression) : std::string(), date_line);
  if (errc) {
    explanation_ = http::why_unfit(accept.headers);
    return refuse(*errc, date_line);
  }
  OpeningStep step{.kind = OpeningStep::Kind::open};
  step.agreement.protocol = protocol;
  if (compression) step.agreement.deflate = compression->agreed;
  out_->append_bytes(std::as_bytes(std::span(head)));
  state_ = State::done;
  return step;
}

OpeningStep ServerOpening::respond(const Response& response, std::string_view date_line) {
  // HTTP/1.0 closes by default (RFC 9112 §9.3). A body that was not read would be taken for the
  // next request.
  const bool closes = response.code() >= 400 || asks_for_upgrade() || has_unread_body() ||
                      request_.minor_version() == 0 || !options_->keep_alive ||
                      http::list_contains(request_.headers(), "Connection", "close");
  if (!write(response, {}, closes ? State::done : State::idle, date_line)) {
    explanation_ = http::why_unfit(response);
    return refuse(Errc::invalid_header, date_line);
  }
  if (state_ == State::done) return {.kind = OpeningStep::Kind::end};
  return {};
}

// Returns whether the request asks for a WebSocket, even if it does so in a wrong way.
bool ServerOpening::asks_for_upgrade() const noexcept {
  return !upgrade_error_ ||
         (*upgrade_error_ != Errc::upgrade_required && *upgrade_error_ != Errc::method_not_allowed);
}

OpeningStep ServerOpening::refuse(Errc why, std::string_view date_line) {
  std::string text = handshake::explain(why, request_, site());
  if (text != make_error_code(why).message()) explanation_ = std::move(text);
  static_cast<void>(write(handshake::refusal(why, request_, site()), handshake::refusal_fields(why),
                          State::done, date_line));
  return {.kind = OpeningStep::Kind::end, .why = why};
}

// 503 with Retry-After: the application has no answer, and the peer is not to blame (RFC 9110
// §15.6.4).
void ServerOpening::answer_unavailable(std::string_view date_line) {
  static_cast<void>(write(Response::status(503), handshake::refusal_fields(Errc::overloaded),
                          State::done, date_line));
}

// Returns false, and does nothing, if the response may not be sent.
bool ServerOpening::write(const Response& response, std::span<const HeaderField> own_fields,
                          State next, std::string_view date_line) {
  std::string head;
  if (!http::write_response(head, response, own_fields, next == State::done, date_line,
                            request_.minor_version())) {
    return false;
  }
  const bool has_body = request_.method() != "HEAD" && http::has_content(response.code());
  out_->append_bytes(std::as_bytes(std::span(head)));
  release_body();
  if (has_body && response.source() != nullptr) {
    begin_body(response, next);
  } else {
    if (has_body) out_->append_body(response.shared_body(), response.body_file());
    answered(next);
  }
  return true;
}

// An answer was given as a whole.
void ServerOpening::answered(State next) {
  state_ = next;
  if (next == State::done) return;
  if (!in_->unread().empty()) state_ = State::reading;  // the next request has begun already
  request_ = {};
  head_.start(http::HeadParser::Kind::request, options_->limits);
}

// ---- bodies that are pulled

void ServerOpening::begin_body(const Response& response, State next) {
  body_ = std::make_unique<PulledBody>(response.source(),
                                       http::body_form(response, request_.minor_version()));
  after_body_ = next;
  state_ = State::sending;
  if (!body_->complete()) return;
  body_.reset();
  answered(next);
}

bool ServerOpening::wants_pull() const noexcept {
  return state_ == State::sending &&
         out_->queued_bytes() <= std::min(options_->limits.low_water_bytes, max_pulled_ahead);
}

OpeningStep ServerOpening::pull() {
  if (!wants_pull()) return {};
  body_->pull(*out_);
  if (!body_->complete()) return {};
  body_.reset();
  answered(after_body_);
  if (state_ == State::done) return {.kind = OpeningStep::Kind::end};
  return {};
}

// ---- time

Timeouts::Duration ServerOpening::limit(const Timeouts& timeouts) const noexcept {
  if (state_ == State::deciding) return timeouts.handshake;
  if (state_ == State::receiving) return timeouts.body;
  if (state_ == State::answering) return timeouts.answer;
  // The time for the next request begins when the answer is written.
  if (state_ == State::sending || !out_->empty()) return Timeouts::Duration::max();
  return state_ == State::idle ? timeouts.http_idle : timeouts.handshake;
}

OpeningStep ServerOpening::expire(std::string_view date_line) {
  if (is_deciding()) {
    answer_unavailable(date_line);
    return {.kind = OpeningStep::Kind::end, .why = Errc::handshake_timeout};
  }
  // 408, RFC 9110 §15.5.9
  if (state_ == State::receiving) return refuse(Errc::body_timeout, date_line);
  if (head_.started()) return refuse(Errc::handshake_timeout, date_line);
  const Errc why = state_ == State::idle ? Errc::timed_out : Errc::handshake_timeout;
  return {.kind = OpeningStep::Kind::end, .why = why};
}

OpeningStep ServerOpening::close(std::string_view date_line) {
  if (is_deciding() || state_ == State::receiving) {
    answer_unavailable(date_line);
    return {.kind = OpeningStep::Kind::end};
  }
  if (state_ == State::sending) {
    after_body_ = State::done;
    return {};
  }
  // An answer that is queued is written to its end.
  if (!out_->empty()) return {.kind = OpeningStep::Kind::end};
  return {.kind = OpeningStep::Kind::drop, .why = Errc::closed};
}

}  // namespace tern::engine
