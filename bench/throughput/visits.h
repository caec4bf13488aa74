// The results of visits to servers, and the arithmetic that all comparisons share.
#pragma once

#include "throughput/load.h"
#include "throughput/upgrades.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace tern::bench {

/// The result of one visit for the end that is compared: the server, unless clients are compared.
struct Visit {
  double per_second = 0;
  double us_each = 0;     ///< of its CPU
  double other_busy = 0;  ///< share of the time; at 1 the other end was the limit
  std::size_t reply_bytes = 0;

  static Visit of(const LoadResult& result) {
    return {result.per_second(), result.server_us_each(), result.client_busy, result.reply_bytes};
  }
  static Visit of(const UpgradesResult& result) {
    return {result.per_second(), result.server_us_each(), result.client_busy, 0};
  }
};

using Visits = std::vector<Visit>;  // one a repetition

inline double rate_of(const Visit& visit) { return visit.per_second; }
inline double us_of(const Visit& visit) { return visit.us_each; }
inline double per_cpu_us_of(const Visit& visit) { return 1 / visit.us_each; }
inline double busy_of(const Visit& visit) { return visit.other_busy; }

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

template <class F>
double median_of(const Visits& visits, F&& field) {
  std::vector<double> values;
  for (const Visit& visit : visits) values.push_back(field(visit));
  return median(std::move(values));
}

/// The median of the ratios within a repetition. Above 1: better than the other one.
template <class F>
double median_ratio(const Visits& visits, const Visits& other, F&& goodness) {
  std::vector<double> values;
  for (std::size_t i = 0; i < visits.size(); ++i) {
    values.push_back(goodness(visits[i]) / goodness(other[i]));
  }
  return median(std::move(values));
}

/// From this share of the time on the other end was the limit.
inline constexpr double other_limit = 0.97;

/// " 64% ", " 98%*": the share of time in which the other end was busy, with a mark if it was the
/// limit.
inline std::string busy_text(const Visits& visits) {
  const double busy = median_of(visits, busy_of);
  char text[16];
  std::snprintf(text, sizeof text, "%5.0f%%%c", busy * 100, busy >= other_limit ? '*' : ' ');
  return text;
}

/// "123", "12.3k", "1.23M".
inline std::string count_text(double count) {
  char text[32];
  if (count >= 1e6) {
    std::snprintf(text, sizeof text, "%.2fM", count / 1e6);
  } else if (count >= 1e5) {
    std::snprintf(text, sizeof text, "%.0fk", count / 1e3);
  } else if (count >= 1e4) {
    std::snprintf(text, sizeof text, "%.1fk", count / 1e3);
  } else {
    std::snprintf(text, sizeof text, "%.0f", count);
  }
  return text;
}

}  // namespace tern::bench
