// Counts the clients of each machine, because a balancer knows no more of them.
#include "scale_model/placement.h"

#include "scale_model/random.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace tern::bench {
namespace {

double seconds_of(const RollingDeploy& deploy) noexcept {
  return deploy.machines * (deploy.spread + deploy.wait + deploy.boot);
}

// The clients of a machine are only a number, because a balancer does not know them.
std::uint32_t choose(Balancer balancer, const std::vector<std::size_t>& counts,
                     std::uint32_t draining, Random& random) {
  const auto machines = static_cast<std::uint32_t>(counts.size());
  if (balancer == Balancer::random) {
    const std::uint32_t other = random.below(machines - 1);
    return other < draining ? other : other + 1;
  }
  std::uint32_t least = draining == 0 ? 1 : 0;
  for (std::uint32_t i = least + 1; i < machines; ++i) {
    if (i != draining && counts[i] < counts[least]) least = i;
  }
  return least;
}

}  // namespace

Placement place_at_random(std::size_t topics, std::size_t members, std::uint32_t machines) {
  Random random(topics * 31 + machines);
  std::vector<std::size_t> counts(machines);
  std::vector<std::size_t> last(machines);  // the last topic with a subscriber there, from 1
  Placement result;
  std::uint64_t interested = 0;
  for (std::size_t topic = 1; topic <= topics; ++topic) {
    for (std::size_t i = 0; i < members; ++i) {
      const std::uint32_t machine = random.below(machines);
      ++counts[machine];
      ++result.placed;
      if (last[machine] == topic) continue;
      last[machine] = topic;
      ++interested;
    }
  }
  result.interested = static_cast<double>(interested) / static_cast<double>(topics);
  result.largest = static_cast<double>(*std::ranges::max_element(counts)) * machines /
                   static_cast<double>(result.placed);
  return result;
}

std::string_view name_of(Balancer balancer) noexcept {
  return balancer == Balancer::random ? "random" : "least connections";
}

RollingResult roll(const RollingDeploy& deploy) {
  Random random(deploy.machines);
  std::vector<std::size_t> counts(deploy.machines);
  for (std::size_t i = 0; i < deploy.clients; ++i) ++counts[i % deploy.machines];
  std::size_t largest = *std::ranges::max_element(counts);
  std::uint64_t moves = 0;
  for (std::uint32_t draining = 0; draining < deploy.machines; ++draining) {
    while (counts[draining] > 0) {
      --counts[draining];
      const std::uint32_t to = choose(deploy.balancer, counts, draining, random);
      largest = std::max(largest, ++counts[to]);
      ++moves;
    }
  }
  RollingResult result{.seconds = seconds_of(deploy)};
  for (const std::size_t each : counts) result.clients += each;
  const auto clients = static_cast<double>(deploy.clients);
  result.moves = static_cast<double>(moves) / clients;
  result.largest = static_cast<double>(largest) * deploy.machines / clients;
  return result;
}

RollingResult rolling_formula(const RollingDeploy& deploy) {
  const double machines = deploy.machines;
  RollingResult result{.seconds = seconds_of(deploy), .clients = deploy.clients};
  if (deploy.balancer == Balancer::random) {
    const double growth = machines / (machines - 1);
    result.moves = (std::pow(growth, machines) - 1) / growth;
    result.largest = std::pow(growth, machines - 1);
  } else {
    result.moves = 1 + 1 / machines;
    result.largest = machines / (machines - 1);
  }
  return result;
}

}  // namespace tern::bench
