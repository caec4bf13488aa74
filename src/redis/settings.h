#pragma once

#include "tern/redis.h"

#include "redis/address.h"

#include <string>
#include <string_view>
#include <vector>

namespace tern::redis {

/// The options of a bridge, checked.
struct Settings {
  std::vector<Address> addresses{};
  std::string prefix{};
  Payload payload = Payload::raw;
  std::optional<History> history{};
  std::chrono::milliseconds connect_timeout{};

  /// Errors: Errc::options_invalid. Throws std::bad_alloc.
  static Result<Settings> from(const Options& options);

  std::string channel_of(std::string_view topic) const { return prefix + std::string(topic); }
  std::string stream_of(std::string_view topic) const {
    return prefix + "history:" + std::string(topic);
  }
  std::string position_of(std::string_view topic) const {
    return prefix + "position:" + std::string(topic);
  }
};

}  // namespace tern::redis
