// HTTP CONNECT. Credentials go out with the first request, because a proxy that asked for them
// would cost a round trip. Only Basic is supported; a proxy that wants another scheme is named in
// the error.

#include "client/http_connect.h"

#include "base/base64.h"
#include "http/authority.h"
#include "http/interim.h"
#include "http/response.h"
#include "http/token.h"

#include <algorithm>

namespace tern::client {
namespace {

constexpr std::size_t max_refusal_body = 1024;  // as for an upgrade that a server refuses

// The limit for the parts of an answer that have no other limit: interim answers, and the framing
// of chunks.
constexpr std::size_t max_more_bytes = std::size_t{64} << 10;

std::size_t most_bytes(const Limits& limits) noexcept {
  return std::min(limits.max_head_bytes, SIZE_MAX - max_more_bytes) + max_more_bytes;
}

// RFC 7617 §2.
std::string basic(const Credentials& credentials) {
  const std::string text = credentials.name + ':' + credentials.password;
  return "Basic " + base::base64_encode(std::as_bytes(std::span(text)));
}

bool offers_basic(const ResponseHead& answer) noexcept {
  return std::ranges::any_of(answer.fields, [](const HeaderField& field) {
    return http::iequals(field.name, "Proxy-Authenticate") &&
           http::iequals(field.value.substr(0, field.value.find(' ')), "Basic");
  });
}

}  // namespace

HttpConnect::HttpConnect(const ProxyServer& proxy, std::string_view host, std::uint16_t port,
                         std::string_view user_agent, const Limits& limits)
    : proxy_(proxy), limits_(limits), left_(most_bytes(limits)) {
  const std::string authority = http::format_authority(host, port);
  request_ = "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n";
  bool valid = user_agent.empty() || http::append_field(request_, "User-Agent", user_agent);
  if (proxy.credentials) {
    valid &= http::append_field(request_, "Proxy-Authorization", basic(*proxy.credentials));
  }
  request_ += "\r\n";
  head_.start(http::HeadParser::Kind::response, limits_);
  if (!valid) fail("the User-Agent may not be sent");
}

std::size_t HttpConnect::feed(std::span<const std::byte> input) {
  std::size_t taken = 0;
  while (status_ == ProxyStatus::more && taken < input.size()) {
    const auto rest = input.subspan(taken);
    const std::size_t size = take(rest.first(std::min(rest.size(), left_)));
    taken += size;
    left_ -= size;
    if (left_ == 0 && status_ == ProxyStatus::more) {
      body_ ? refuse() : fail("the proxy's answer is too long");
    }
  }
  return taken;
}

std::size_t HttpConnect::take(std::span<const std::byte> input) {
  if (body_) {
    body_->feed(input);
    if (body_->done()) refuse();
    return input.size();
  }
  const std::size_t taken = head_.feed(input);
  if (head_.status() == http::HeadParser::Status::failed) {
    fail("the proxy's answer is no HTTP: " + make_error_code(head_.error()).message());
  } else if (head_.status() == http::HeadParser::Status::done) {
    on_head();
  }
  return taken;
}

// A 2xx has no body, whatever its fields say (RFC 9110 §9.3.6).
void HttpConnect::on_head() {
  const ResponseHead answer = head_.response();
  if (http::is_interim(answer.status)) {
    if (++interim_answers_ > http::max_interim_answers) {
      return fail("the proxy sent too many interim answers");
    }
    head_.start(http::HeadParser::Kind::response, limits_);
  } else if (answer.status >= 200 && answer.status < 300) {
    status_ = ProxyStatus::done;
  } else {
    body_.emplace().start(answer, max_refusal_body);
    if (body_->done()) refuse();
  }
}

void HttpConnect::end_of_input() {
  if (status_ != ProxyStatus::more) return;
  if (body_) return refuse();
  fail("the proxy closed the connection before it answered");
}

void HttpConnect::refuse() {
  const ResponseHead answer = head_.response();
  Error::Refusal refusal{.status = answer.status, .fields = {}, .body = std::string(body_->text())};
  for (const HeaderField& field : answer.fields) {
    refusal.fields.emplace_back(field.name, field.value);
  }
  std::string stage = proxy_.name();
  const bool wants_credentials = answer.status == 407;
  if (wants_credentials && !offers_basic(answer)) {
    stage += " (which does not offer Basic authentication, the only one that tern supports)";
  }
  status_ = ProxyStatus::failed;
  error_ = Error(wants_credentials ? Errc::proxy_auth_required : Errc::proxy_refused, stage,
                 std::move(refusal));
}

void HttpConnect::fail(std::string_view why) {
  status_ = ProxyStatus::failed;
  error_ = Error::described(Errc::proxy_failed, proxy_.name() + ": " + std::string(why));
}

}  // namespace tern::client
