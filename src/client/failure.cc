// The text of a failed handshake names the stage, the URL, the reason and, where one is known, the
// remedy.
#include "client/failure.h"

#include "base/errc_kind.h"

#include <string>
#include <utility>

namespace tern::client {

bool ended_in_tls(std::error_code why, const net::Transport* transport) noexcept {
  return base::is_tls_failure(why) || (transport != nullptr && !transport->is_ready());
}

Error handshake_error(const Engine& engine, std::string_view url, const net::Transport* transport) {
  const std::error_code code = engine.close_info().error;
  Error::Refusal refusal;
  if (code == Errc::upgrade_refused) {
    const ResponseHead& response = engine.response();
    refusal.status = response.status;
    for (const HeaderField& field : response.fields) {
      refusal.fields.emplace_back(field.name, field.value);
    }
    refusal.body = engine.response_body();
  }
  std::string stage(ended_in_tls(code, transport) ? "TLS " : "upgrade ");
  stage += url;
  const std::string explanation = transport ? transport->explanation() : std::string();
  if (!explanation.empty()) stage.append(": ").append(explanation);
  const std::string_view said = engine.explanation();
  if (!said.empty()) stage.append(": ").append(said);
  if (code == Errc::end_of_stream && !said.empty()) {
    // A TLS server ends the connection like this if it does not get a TLS handshake.
    if (url.starts_with("ws://")) stage += "; if it serves TLS on this port, dial wss://";
    return Error::described(code, stage);
  }
  return Error(code, stage, std::move(refusal));
}

}  // namespace tern::client
