// Maps errors and ends to exit codes. Scripts depend on them, so a code never changes its meaning.
#include "exit_code.h"

namespace command {
namespace {

using tern::Errc;
using tern::Stage;

// All other codes of tern are faults of the peer: it broke RFC 6455 or the grammar of HTTP.
ExitCode of_attempt(Errc code, Stage stage) noexcept {
  switch (code) {
    case Errc::url_invalid:
      return wrong_url;
    case Errc::options_invalid:
    case Errc::invalid_header:
      return usage;
    case Errc::tls_options_invalid:
    case Errc::tls_own_certificate_refused:
      return own_certificate;
    case Errc::name_not_resolved:
      return stage == Stage::proxy ? proxy_not_resolved : host_not_resolved;
    case Errc::handshake_timeout:
    case Errc::timed_out:
    case Errc::write_stalled:
      return timed_out;
    case Errc::tls_certificate_refused:
      return certificate_refused;
    case Errc::tls_failed:
      return tls_handshake;
    case Errc::tls_truncated:
      return stage == Stage::upgrade ? no_answer : tls_handshake;
    case Errc::proxy_refused:
    case Errc::proxy_auth_required:
    case Errc::proxy_failed:
      return proxy_refused;
    case Errc::upgrade_refused:
    case Errc::redirect_refused:
      return http_status;
    case Errc::too_many_redirects:
      return too_many_redirects;
    case Errc::end_of_stream:
      return no_answer;
    case Errc::connection_reset:
      return connection_lost;
    case Errc::no_memory:
    case Errc::random_unavailable:
    case Errc::stopped:
    case Errc::closed:
    case Errc::already_running:
      return other;
    default:
      return peer_broke_protocol;
  }
}

ExitCode of_end(Errc code) noexcept {
  switch (code) {
    case Errc::tls_own_certificate_refused:
      return own_certificate;
    case Errc::end_of_stream:
    case Errc::connection_reset:
    case Errc::tls_failed:
    case Errc::tls_truncated:
      return connection_lost;
    case Errc::pong_timeout:
    case Errc::close_timeout:
    case Errc::write_stalled:
      return timed_out;
    case Errc::terminated:
    case Errc::handler_threw:
    case Errc::no_memory:
    case Errc::random_unavailable:
    case Errc::peer_too_slow:
      return other;
    default:
      return peer_broke_protocol;
  }
}

}  // namespace

ExitCode exit_code(const tern::Error& failure, Stage stage) noexcept {
  const std::error_code code = failure.code();
  if (code.category() == tern::error_category()) {
    return of_attempt(static_cast<Errc>(code.value()), stage);
  }
  if (stage == Stage::prepare) return own_certificate;  // only files are opened there
  return stage < Stage::tls ? not_connected : connection_lost;
}

ExitCode exit_code(const tern::CloseInfo& end, tern::CloseCode asked) noexcept {
  if (!end.clean) {
    if (!end.error) return connection_lost;
    if (end.error.category() != tern::error_category()) return connection_lost;
    return of_end(static_cast<Errc>(end.error.value()));
  }
  switch (end.code) {
    case tern::CloseCode::normal:
    case tern::CloseCode::going_away:
    case tern::CloseCode::no_status:
      return done;
    default:
      return !end.by_peer && end.code == asked ? done : closed_with_code;
  }
}

}  // namespace command
