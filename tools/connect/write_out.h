// The text of -W: figures of the run, for scripts.
#pragma once

#include "tern/stage.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace command {

/// The figures of one run.
struct Figures {
  std::string url{};  ///< without its query
  std::string protocol{};
  std::string remote_ip{};
  std::string close_reason{};
  int http_code = 0;   ///< of the last answer; 0: none
  int close_code = 0;  ///< of the last connection; 0: none was open
  int exit_code = 0;
  std::size_t attempts = 0;
  std::uint64_t messages_received = 0;
  std::uint64_t messages_sent = 0;
  std::uint64_t bytes_received = 0;  ///< of payloads
  std::uint64_t bytes_sent = 0;
  double rtt = 0;            ///< seconds of the last round trip; 0: none was measured
  tern::StageTimes times{};  ///< of the last attempt
  double time_total = 0;     ///< seconds
};

/// The names of the variables, for --help.
std::string write_out_variables();
/// Throws std::invalid_argument if the format has an unknown variable.
void check_write_out(std::string_view format);
/// Replaces %{variable}, %%, \n, \r, \t and \\.
std::string write_out(std::string_view format, const Figures& figures);

}  // namespace command
