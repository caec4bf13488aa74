// From the values of the flags to the options.
#pragma once

#include "connect/options.h"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace command {

using Seconds = std::optional<std::chrono::nanoseconds>;

/// The values of flags that are put together when all flags are known.
struct FlagValues {
  std::string url{};
  std::vector<std::string> headers{};
  std::vector<std::string> messages{};
  std::string origin{};
  std::string user{};
  std::string close{};
  std::optional<std::string> proxy{};
  std::optional<std::string> no_proxy{};
  std::string proxy_user{};
  std::string proxy_ca{};
  std::string retries{};  // see set_retries()
  Seconds connect_timeout{};
  Seconds pong_timeout{};
  int max_redirects = 10;
  std::size_t max_message = std::size_t{64} << 20;
  bool follow = false;
  bool compress = false;
  bool ipv4 = false;
  bool ipv6 = false;
  bool binary = false;
  bool hex = false;
  bool base64 = false;
  bool null = false;
  bool one = false;
  bool no_close = false;
  bool exit_on_eof = false;
  Seconds wait{};
};

/// Completes the options. Throws CLI::ValidationError, which names the flag that is wrong.
void fill(ConnectOptions& options, const FlagValues& values);
/// Throws CLI::ValidationError if there are arguments that no flag takes.
void refuse_extras(const std::vector<std::string>& arguments, const FlagValues& values);

}  // namespace command
