// The options of `tern connect`, which its command line sets.
#pragma once

#include "tern/client.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace command {

/// The form of messages in stdin and on stdout.
enum class Encoding : std::uint8_t { plain, hex, base64 };

/// The behaviour after all of stdin has been sent.
enum class AtEof : std::uint8_t {
  close,  ///< sends Close, and prints what still arrives
  wait,   ///< the same after a time without messages
  stay,   ///< waits for the server to close
  exit,   ///< sends Close, and prints nothing more
};

/// The options of one run.
struct ConnectOptions {
  std::string url{};  ///< without user information
  tern::DialOptions dial{};

  std::vector<std::string> first_messages{};  ///< of each connection; decoded
  tern::MessageType type = tern::MessageType::text;
  Encoding encoding = Encoding::plain;
  char separator = '\n';
  std::optional<std::size_t> count{};  ///< of messages to receive

  AtEof at_eof = AtEof::close;
  std::chrono::nanoseconds wait{};  ///< of AtEof::wait
  tern::CloseCode close_code = tern::CloseCode::normal;
  std::string close_reason{};

  bool retry = false;
  std::size_t retries = 0;  ///< in a row; 0: no bound
  std::optional<std::chrono::nanoseconds> retry_max{};

  std::optional<std::chrono::nanoseconds> max_time{};
  std::optional<std::chrono::nanoseconds> idle{};
  std::optional<std::chrono::nanoseconds> ping{};

  std::string output_file{};  ///< empty: stdout
  std::string write_out{};
  bool show_control = false;
  bool json = false;
  bool timestamps = false;
  bool verbose = false;
  bool quiet = false;
};

}  // namespace command
