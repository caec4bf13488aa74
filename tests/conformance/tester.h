// The tester runs a script against a subject and records the result. It judges only bytes: a frame
// that no peer may ever write is a fault.
#pragma once

#include "conformance/link.h"
#include "conformance/script.h"

#include <optional>
#include <string>

namespace tern::conformance {

/// The record of a case.
struct Observed {
  enum class End { none, fin, reset };

  Events events{};             ///< as in Script::expected
  std::size_t compressed = 0;  ///< compressed messages of the subject
  std::string fault{};         ///< the first forbidden bytes of the subject
  bool subject_first = false;  ///< its Close frame or its end of TCP came before our Close frame
  bool tester_closed = false;  ///< we sent a Close frame
  bool subject_closed = false;
  std::optional<int> code{};  ///< of the subject's Close frame
  End end = End::none;        ///< the way in which the subject ended TCP
  bool early_fin = false;     ///< the subject, a client, ended TCP before the server did (§7.1.1)
  bool gave_up = false;  ///< the tester ended the connection, because the subject did not in time
};

/// Runs the script to the end of the connection.
Observed run(const Script& script, Link& link);

}  // namespace tern::conformance
