// The exit codes of the command. They are those of curl where curl has one.
#pragma once

#include "tern/client.h"

namespace command {

/// Why the command ends. A signal ends it with 128 and the number of the signal.
enum ExitCode : int {
  done = 0,
  other = 1,
  usage = 2,
  wrong_url = 3,
  proxy_not_resolved = 5,
  host_not_resolved = 6,
  not_connected = 7,
  http_status = 22,
  timed_out = 28,
  tls_handshake = 35,
  too_many_redirects = 47,
  no_answer = 52,
  connection_lost = 56,
  own_certificate = 58,
  certificate_refused = 60,
  proxy_refused = 97,
  closed_with_code = 110,
  peer_broke_protocol = 111,
};

/// The code for an attempt that failed at `stage`. connect() fails at Stage::prepare.
ExitCode exit_code(const tern::Error& failure, tern::Stage stage) noexcept;
/// The code for the end of an open connection. `asked` is the code of our Close frame.
ExitCode exit_code(const tern::CloseInfo& end, tern::CloseCode asked) noexcept;

}  // namespace command
