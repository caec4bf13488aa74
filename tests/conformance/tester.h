// The tester: runs a script against a subject and writes down what happened. It judges nothing but
// the octets: what no peer may ever write is a fault.
#pragma once

#include "conformance/link.h"
#include "conformance/script.h"

#include <optional>
#include <string>

namespace tern::conformance {

/// What happened.
struct Observed {
  enum class End { none, fin, reset };

  Events events{};             ///< as in Script::expected
  std::size_t compressed = 0;  ///< messages of the subject that came compressed
  std::string fault{};         ///< the first thing the subject wrote that it may not
  bool subject_first = false;  ///< its Close frame, or its end of TCP, came before our Close frame
  bool tester_closed = false;  ///< we sent a Close frame
  bool subject_closed = false;
  std::optional<int> code{};  ///< of the subject's Close frame
  End end = End::none;        ///< of TCP, as the subject did it
  bool early_fin = false;     ///< a client that ended TCP before we, the server, did (§7.1.1)
  bool gave_up = false;       ///< we had to end the connection: the subject did not in time
};

/// Runs the script to the end of the connection.
Observed run(const Script& script, Link& link);

}  // namespace tern::conformance
