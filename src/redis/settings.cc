// Checks the options before a connection is made, because Redis refuses some of them only in the
// middle of a script.
#include "redis/settings.h"

#include <utility>

namespace tern::redis {
namespace {

constexpr std::chrono::milliseconds longest_connect = std::chrono::seconds(5);
// Redis refuses what overflows, and only after a script has begun.
constexpr std::size_t most_kept = 1'000'000'000;
constexpr std::chrono::milliseconds longest_age = std::chrono::hours(24 * 36'500);

std::string_view problem_of(const Options& options) noexcept {
  if (options.prefix.empty()) return "redis: the prefix is empty";
  if (options.database < 0) return "redis: the database is negative";
  const auto connect = options.connect_timeout;
  if (connect.count() <= 0 || connect > longest_connect) {
    return "redis: connect_timeout is not between 1 ms and 5 s";
  }
  if (!options.history) return {};
  if (options.history->count == 0) return "redis: history.count is 0";
  if (options.history->count > most_kept) return "redis: history.count is over 1000000000";
  if (options.history->age.count() <= 0) return "redis: history.age is not positive";
  if (options.history->position_age < options.history->age) {
    return "redis: history.position_age is shorter than history.age";
  }
  if (options.history->position_age > longest_age) {
    return "redis: history.position_age is over 100 years";
  }
  return {};
}

}  // namespace

Result<Settings> Settings::from(const Options& options) {
  if (const auto problem = problem_of(options); !problem.empty()) {
    return Error::described(Errc::options_invalid, problem);
  }
  auto addresses = parse_addresses(options.address);
  if (!addresses) return addresses.error();
  for (Address& each : *addresses) {
    if (each.username.empty() && each.password.empty()) {
      each.username = options.username;
      each.password = options.password;
    }
    if (each.database == 0) each.database = options.database;
  }
  return Settings{.addresses = *std::move(addresses),
                  .prefix = options.prefix,
                  .payload = options.payload,
                  .history = options.history,
                  .connect_timeout = options.connect_timeout};
}

}  // namespace tern::redis
