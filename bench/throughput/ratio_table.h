// The table of servers beside the ceiling.
#pragma once

#include "throughput/field.h"
#include "throughput/visits.h"

#include <span>
#include <string>

namespace tern::bench {

/// The better of two ratios to the ceiling: of the rates, and of the messages for each second of
/// CPU.
double better_ratio(const Visits& visits, const Visits& ceiling);

class RatioTable {
 public:
  /// JSON: one object a row, and no head. `notes` stand behind the head's own, whole lines.
  RatioTable(bool json, std::string notes = {});

  /// A row for each but the first, who is the ceiling; the head before the first row.
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
