// HTTP on a client's connection: one request, interim answers that are skipped, one answer. The
// bytes behind the head of a 101 stay in the Inbound, because they are the first frames.
#include "engine/client_opening.h"

#include "base/base64.h"
#include "deflate/params.h"
#include "handshake/client.h"
#include "http/interim.h"

#include <array>
#include <span>

namespace tern::engine {
namespace {

constexpr std::size_t max_refusal_body = 1024;

// Whether the peer speaks TLS: its first record is an alert or a handshake (RFC 8446 §5.1).
bool looks_like_tls(const http::HeadParser& head, std::span<const std::byte> unread) noexcept {
  constexpr std::byte alert{21};
  constexpr std::byte handshake{22};
  return !head.started() && !unread.empty() &&
         (unread.front() == alert || unread.front() == handshake);
}

}  // namespace

ClientOpening::ClientOpening(const EngineOptions& options, Inbound& in, Outbound& out) noexcept
    : options_(&options), in_(&in), out_(&out) {
  head_.start(http::HeadParser::Kind::response, options.limits);
}

Result<void> ClientOpening::start(const ClientRequest& request, crypto::Random& random) {
  std::array<std::byte, 16> nonce;  // §4.1: 16 random bytes, in base64
  if (const std::error_code error = random.fill(nonce)) return Error(error, "request");
  key_ = base::base64_encode(nonce);
  protocols_ = request.protocols;
  timeout_ = request.timeout;
  std::string head;
  const auto offered = deflate::usable(options_->deflate);
  const std::string extensions = offered ? deflate::offer_text(*offered) : std::string();
  if (const auto errc = handshake::write_request(head, request, key_, extensions)) {
    return Error(*errc, "request: " + handshake::why_unfit(request));
  }
  out_->append_bytes(std::as_bytes(std::span(head)));
  return {};
}

OpeningStep ClientOpening::next(std::error_code input_end) {
  while (state_ == State::reading) {
    in_->skip(head_.feed(in_->unread()));
    if (head_.status() == http::HeadParser::Status::more) {
      return input_end ? end_early(input_end) : OpeningStep{};
    }
    if (head_.status() == http::HeadParser::Status::failed) {
      if (looks_like_tls(head_, in_->unread())) {
        explanation_ = "the server speaks TLS on this port: wss:// does, ws:// does not";
      }
      return {.kind = OpeningStep::Kind::end, .why = head_.error()};
    }
    response_ = head_.response();
    if (handshake::is_interim(response_.status)) {
      if (++interim_answers_ > http::max_interim_answers) {
        explanation_ = "the server sent too many interim answers";
        return {.kind = OpeningStep::Kind::end, .why = Errc::http_malformed};
      }
      head_.start(http::HeadParser::Kind::response, options_->limits);
      continue;
    }
    OpeningStep step = judge();
    if (state_ == State::done) return step;
  }
  body_.feed(in_->unread());
  in_->discard();
  if (body_.done() || input_end) return end_early(Errc::upgrade_refused);
  return {};
}

// Decides what the head of the final answer means.
OpeningStep ClientOpening::judge() {
  const auto offered = deflate::usable(options_->deflate);
  std::string_view protocol;
  OpeningStep step{.kind = OpeningStep::Kind::open};
  const auto errc =
      handshake::check_response(response_, key_, protocols_, protocol,
                                offered ? &*offered : nullptr, &step.agreement.deflate);
  if (errc == Errc::upgrade_refused) {
    state_ = State::refused;
    body_.start(response_, max_refusal_body);
    return {};
  }
  state_ = State::done;
  if (errc) return {.kind = OpeningStep::Kind::end, .why = *errc};
  step.agreement.protocol = protocol;
  return step;
}

OpeningStep ClientOpening::expire() { return end_early(Errc::handshake_timeout); }

// The connection ends before the answer is complete.
OpeningStep ClientOpening::end_early(std::error_code why) {
  if (state_ == State::refused) why = Errc::upgrade_refused;  // the body is cut, the head is not
  if (why == Errc::end_of_stream || why == Errc::connection_reset || why == Errc::tls_truncated) {
    const bool answered = head_.started() || response_.status != 0;  // the latter: an interim one
    explanation_ = answered ? "the server ended the connection in the middle of its answer"
                            : "the server ended the connection without an answer";
  }
  return {.kind = OpeningStep::Kind::drop, .why = why};
}

}  // namespace tern::engine
