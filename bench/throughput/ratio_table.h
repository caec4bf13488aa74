// The table of servers and their ratios to the ceiling.
#pragma once

#include "throughput/contest.h"
#include "throughput/visits.h"

#include <span>
#include <string>

namespace tern::bench {

/// Returns the larger of two ratios to the ceiling: of the rates, and of the messages for each
/// second of CPU.
double better_ratio(const Visits& visits, const Visits& ceiling);

class RatioTable {
 public:
  /// With `json`, each row is one object and there is no head. `notes` are whole lines and follow
  /// the head's own notes.
  RatioTable(bool json, std::string notes = {});

  /// Prints a row for each standing but the first, which is the ceiling. The first call prints the
  /// head.
  void print(const std::string& workload, std::span<const Standing> standings);

 private:
  void print_head();
  void print_row(const std::string& workload, const Standing& standing,
                 const Visits& ceiling) const;

  bool json_;
  std::string notes_;
  bool head_printed_ = false;
};

}  // namespace tern::bench
