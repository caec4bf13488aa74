// The parts of a program whose instructions scripts/guard.sh counts.
#pragma once

#include <array>
#include <cstddef>

namespace tern::bench {

/// A number of batches. The script counts the instructions of each part.
struct Part {
  const char* name;
  std::size_t depth;  // messages of a batch
  std::size_t batches;
  int sign;  // of its messages in the sum of its workload
};

/// Returns the parts of a workload with one message in a batch and of one with sixteen, and the
/// part that ends the program. Each workload has a warm-up of `warm_up` batches, which does not
/// count. The next two parts have one and two times `few` batches, and only their difference
/// counts.
constexpr std::array<Part, 7> parts_of(const char* by_one, const char* by_sixteen,
                                       std::size_t warm_up, std::size_t few) {
  return {{{by_one, 1, warm_up, 0},
           {by_one, 1, few, -1},
           {by_one, 1, 2 * few, 1},
           {by_sixteen, 16, warm_up, 0},
           {by_sixteen, 16, few, -1},
           {by_sixteen, 16, 2 * few, 1},
           {"end", 0, 0, 0}}};
}

}  // namespace tern::bench
