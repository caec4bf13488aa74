// HTTP, up to the first frame: a server reads requests and answers them, in order, until one is
// accepted as an upgrade (RFC 6455 §4.2); a client has sent its request and reads the answer
// (§4.1). Bytes behind a head stay in the Inbound: they are the next request, or the first frames.
#include "base/base64.h"
#include "base/errc_kind.h"
#include "deflate/params.h"
#include "engine/guarded.h"
#include "engine/kept.h"
#include "engine/workspace.h"
#include "handshake/client.h"
#include "handshake/server.h"
#include "http/response.h"
#include "http/token.h"

#include <algorithm>
#include <array>

namespace tern {

using engine::Opening;

namespace {

constexpr std::size_t max_refusal_body = 1024;

// Whether the request asks for a WebSocket, be it in the right way or not.
bool asks_for_upgrade(const Opening& opening) noexcept {
  const auto& why_not = opening.upgrade_error;
  return !why_not || (*why_not != Errc::upgrade_required && *why_not != Errc::method_not_allowed);
}

// Hardly a request has the field: to see that must be cheap.
bool expects_continue(const Request& request) noexcept {
  const auto is_expect = [](const HeaderField& field) {
    return http::iequals(field.name, "Expect");
  };
  return std::ranges::any_of(request.headers(), is_expect) &&
         http::list_contains(request.headers(), "Expect", "100-continue");
}

// Whether an answer of TLS came: its first record is an alert or a handshake (RFC 8446 §5.1).
bool looks_like_tls(const http::HeadParser& head, std::span<const std::byte> unread) noexcept {
  constexpr std::byte alert{21};
  constexpr std::byte handshake{22};
  return !head.started() && !unread.empty() &&
         (unread.front() == alert || unread.front() == handshake);
}

Opening& opening_of(engine::Active& active, http::HeadParser::Kind kind, const Limits& limits) {
  if (!active.opening) {
    active.opening = std::make_unique<Opening>();
    active.opening->head.start(kind, limits);
  }
  return *active.opening;
}

}  // namespace

Result<void> Engine::start_request(const ClientRequest& request) {
  Opening& opening = opening_of(*active_, http::HeadParser::Kind::response, options_->limits);
  std::array<std::byte, 16> nonce;  // §4.1: 16 random bytes, in base64
  if (const std::error_code error = workspace_->memory().random().fill(nonce)) {
    return Error(error, "request");
  }
  opening.key = base::base64_encode(nonce);
  opening.protocols = request.protocols;
  std::string head;
  const auto offered = deflate::usable(options_->deflate);
  const std::string extensions = offered ? deflate::offer_text(*offered) : std::string();
  if (const auto errc = handshake::write_request(head, request, opening.key, extensions)) {
    return Error(*errc, "request: " + handshake::why_unfit(request));
  }
  active_->will_write(now_);
  active_->out.append_bytes(std::as_bytes(std::span(head)));
  return {};
}

void Engine::opened() noexcept {
  phase_ = Phase::open;
  active_->due = Event::Kind::open;
  clock_.restart(now_);
}

Event Engine::next_opening() {
  if (phase_ == Phase::refused) return next_refusal_body();
  if (holds_requests()) {
    active_->in.stash();
    if (!active_->error && active_->in.has_stash()) return {};
  } else if (phase_ == Phase::opening) {
    const Event event = role_ == Role::server ? next_request() : next_response();
    if (event || phase_ != Phase::opening) return event;
  } else {
    active_->in.stash();  // deciding: what came behind the request waits
  }
  if (active_->error) {
    end(CloseCode::abnormal, active_->error);
    drop();
  } else if (active_->eof) {
    end(CloseCode::abnormal, Errc::end_of_stream);  // a page may still be on its way out
    if (role_ == Role::client) drop();
  }
  if (has_ended() && role_ == Role::client) explain_end(active_->close.error);
  return next_end();
}

// The server may have ended TCP before its answer was complete.
void Engine::explain_end(std::error_code why) {
  if (!base::is_end_of_tcp(why) || active_->opening == nullptr) return;
  Opening& opening = *active_->opening;
  const bool answered = opening.head.started() || opening.response.status != 0;  // 1xx
  opening.explanation = answered ? "the server ended the connection in the middle of its answer"
                                 : "the server ended the connection without an answer";
}

std::string_view Engine::explanation() const noexcept {
  return active_ && active_->opening ? active_->opening->explanation : std::string_view();
}

// ---- server

// A peer that asks for pages and reads none of them would fill our memory. So the next request
// waits until the answers before it are written, but for a remainder.
bool Engine::holds_requests() const noexcept {
  return phase_ == Phase::opening && role_ == Role::server && active_ &&
         active_->out.queued_bytes() > options_->limits.low_water_bytes;
}

Event Engine::next_request() {
  Opening& opening = opening_of(*active_, http::HeadParser::Kind::request, options_->limits);
  active_->in.skip(opening.head.feed(active_->in.unread()));
  switch (opening.head.status()) {
    case http::HeadParser::Status::more:
      return {};
    case http::HeadParser::Status::failed:
      refuse(opening.head.error());
      return next_end();
    case http::HeadParser::Status::done:
      break;
  }
  opening.request = opening.head.request();
  if (const auto errc = handshake::check_request(opening.request)) {
    refuse(*errc);
    return next_end();
  }
  const auto security = options_->secure ? handshake::Security::tls : handshake::Security::plain;
  opening.upgrade_error =
      handshake::check_upgrade(opening.request, options_->allowed_origins, security);
  phase_ = Phase::deciding;
  return Event(Event::Kind::request);
}

const Request& Engine::request() const noexcept {
  static const Request none{};
  return active_ && active_->opening ? active_->opening->request : none;
}

std::error_code Engine::upgrade_error() const noexcept {
  if (phase_ != Phase::deciding) return Errc::closed;
  const auto& errc = active_->opening->upgrade_error;
  return errc ? make_error_code(*errc) : std::error_code();
}

std::error_code Engine::accept(const Accept& accept) noexcept {
  if (phase_ != Phase::deciding) return Errc::closed;
  std::error_code error = upgrade_error();
  guarded([&] {
    const Request& request = active_->opening->request;
    std::string head;
    std::optional<deflate::Acceptance> compression;
    if (!error) {
      const auto protocol = handshake::choose_protocol(request, accept.protocols);
      const auto wanted = deflate::usable(accept.deflate ? accept.deflate : options_->deflate);
      if (wanted) compression = deflate::accept_offer(request.headers(), *wanted);
      // RFC 9110 §7.8: 100 comes before 101, if it is expected.
      if (expects_continue(request)) head = "HTTP/1.1 100 Continue\r\n\r\n";
      const auto errc =
          handshake::write_accept(head, request, protocol, accept.headers,
                                  compression ? deflate::answer_text(*compression) : "",
                                  workspace_->memory().date_line(now_));
      if (errc) {
        error = *errc;
        active_->opening->explanation = http::why_unfit(accept.headers);
      } else if (!protocol.empty()) {
        keep().protocol = protocol;
      }
    }
    if (error) {
      refuse(static_cast<Errc>(error.value()));
      return;
    }
    if (accept.limits || accept.deflate) {
      auto own = std::make_unique<EngineOptions>(*options_);
      if (accept.limits) own->limits = *accept.limits;
      if (accept.deflate) own->deflate = *accept.deflate;
      keep().options = std::move(own);
      options_ = kept_->options.get();
      active_->in.start(role_, options_->limits);
    }
    if (compression) agree(compression->agreed);
    active_->will_write(now_);
    active_->out.append_bytes(std::as_bytes(std::span(head)));
    opened();
  });
  if (!error && phase_ != Phase::open) error = close_info().error;
  return error;
}

std::error_code Engine::respond(const Response& response) noexcept {
  if (phase_ != Phase::deciding) return Errc::closed;
  std::error_code error;
  guarded([&] {
    const Request& request = active_->opening->request;
    // HTTP/1.0 closes by default (RFC 9112 §9.3).
    const bool close = response.code() >= 400 || asks_for_upgrade(*active_->opening) ||
                       request.minor_version() == 0 ||
                       http::list_contains(request.headers(), "Connection", "close");
    if (!answer(response, {}, close)) {
      error = Errc::invalid_header;
      active_->opening->explanation = http::why_unfit(response);
      refuse(Errc::invalid_header);
    }
  });
  return error;
}

// Every refusal ends the connection: nothing behind it is parsed.
std::error_code Engine::refuse(Errc why) {
  Opening& opening = *active_->opening;
  const auto security = options_->secure ? handshake::Security::tls : handshake::Security::plain;
  std::string text = handshake::explain(why, opening.request, security);
  if (text != make_error_code(why).message()) opening.explanation = std::move(text);
  answer(handshake::refusal(why, opening.request, security), handshake::refusal_fields(why), true);
  active_->close.error = why;
  return why;
}

// False, and nothing was done, when the response is not fit to be sent.
bool Engine::answer(const Response& response, std::span<const HeaderField> own_fields, bool close) {
  Opening& opening = *active_->opening;
  const bool head_only = opening.request.method() == "HEAD";
  std::string head;
  if (!http::write_response(head, response, own_fields, close,
                            workspace_->memory().date_line(now_))) {
    return false;
  }
  active_->will_write(now_);
  active_->out.append_bytes(std::as_bytes(std::span(head)));
  if (!head_only && http::has_content(response.code())) {
    active_->out.append_body(response.shared_body());
  }
  if (close) {
    end(CloseCode::abnormal, {});
    return true;
  }
  phase_ = Phase::opening;
  between_requests_ = active_->in.unread().empty();
  clock_.restart(now_);
  opening.request = {};
  opening.head.start(http::HeadParser::Kind::request, options_->limits);
  return true;
}

// ---- client

Event Engine::next_response() {
  Opening& opening = *active_->opening;
  for (;;) {
    active_->in.skip(opening.head.feed(active_->in.unread()));
    if (opening.head.status() == http::HeadParser::Status::more) return {};
    if (opening.head.status() == http::HeadParser::Status::failed) {
      if (looks_like_tls(opening.head, active_->in.unread())) {
        opening.explanation = "the server speaks TLS on this port: wss:// does, ws:// does not";
      }
      end(CloseCode::abnormal, opening.head.error());
      return next_end();
    }
    opening.response = opening.head.response();
    if (!handshake::is_interim(opening.response.status)) break;
    opening.head.start(http::HeadParser::Kind::response, options_->limits);
  }
  std::string_view protocol;
  const auto offered = deflate::usable(options_->deflate);
  std::optional<DeflateAgreement> agreed;
  const auto errc = handshake::check_response(opening.response, opening.key, opening.protocols,
                                              protocol, offered ? &*offered : nullptr, &agreed);
  if (!errc) {
    if (!protocol.empty()) keep().protocol = protocol;
    if (agreed) agree(*agreed);
    opened();
    return Event(std::exchange(active_->due, Event::Kind::none));
  }
  if (*errc != Errc::upgrade_refused) {
    end(CloseCode::abnormal, *errc);
    return next_end();
  }
  phase_ = Phase::refused;
  opening.body.start(opening.response, max_refusal_body);
  return next_refusal_body();
}

Event Engine::next_refusal_body() {
  Opening& opening = *active_->opening;
  opening.body.feed(active_->in.unread());
  active_->in.discard();
  if (opening.body.done() || active_->eof || active_->error) {
    end(CloseCode::abnormal, Errc::upgrade_refused);
    drop();
  }
  return next_end();
}

const ResponseHead& Engine::response() const noexcept {
  static const ResponseHead none{};
  return active_ && active_->opening ? active_->opening->response : none;
}

std::string_view Engine::response_body() const noexcept {
  return active_ && active_->opening ? active_->opening->body.text() : std::string_view();
}

}  // namespace tern
