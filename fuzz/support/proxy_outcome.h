// Runs the client's side of a handshake with a proxy on an answer that is cut into pieces.
#pragma once

#include "client/proxy.h"
#include "support/http_heads.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace tern::fuzz {

struct ProxyOutcome {
  client::ProxyStatus status{};
  std::size_t took = 0;
  std::string sent{};
  std::string error{};
  int http_status = 0;
  std::string body{};

  bool operator==(const ProxyOutcome&) const = default;
};

/// Feeds `answer` in pieces of that size, and then the end of the stream if it `ends`. Checks that
/// an error is set exactly if the handshake failed.
template <class Handshake>
ProxyOutcome run_handshake(Handshake& handshake, std::string_view answer, std::size_t piece,
                           bool ends) {
  ProxyOutcome outcome;
  const auto send = [&] {
    outcome.sent += handshake.output();
    handshake.consume(handshake.output().size());
  };
  send();
  while (handshake.status() == client::ProxyStatus::more && outcome.took < answer.size()) {
    const ExactBlock block(answer.substr(outcome.took, piece));
    const std::size_t took = handshake.feed(block.bytes());
    require(took <= block.bytes().size());
    require(took == block.bytes().size() || handshake.status() != client::ProxyStatus::more);
    outcome.took += took;
    send();
  }
  if (ends) handshake.end_of_input();
  outcome.status = handshake.status();
  const bool failed = outcome.status == client::ProxyStatus::failed;
  require(failed == static_cast<bool>(handshake.error().code()));
  require(!ends || outcome.status != client::ProxyStatus::more);
  if (failed) {
    outcome.took = 0;  // the connection is of no more use
    outcome.error = handshake.error().message();
    outcome.http_status = handshake.error().http_status();
    outcome.body = handshake.error().body();
  }
  return outcome;
}

}  // namespace tern::fuzz
