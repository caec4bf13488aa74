// Servers that are visited in turn, and what the visits brought: what all comparisons share.
#pragma once

#include "throughput/load.h"
#include "throughput/server_process.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tern::bench {

inline constexpr int server_core = 0;
inline constexpr int client_core = 1;

/// What one visit of one server brought.
struct Visit {
  double per_second = 0;
  double us_each = 0;  ///< of the server's CPU
  double client_busy = 0;
  std::size_t reply_bytes = 0;

  static Visit of(const LoadResult& result) {
    return {result.per_second(), result.server_us_each(), result.client_busy, result.reply_bytes};
  }
};

using Visits = std::vector<Visit>;  // one a repetition

struct Contestant {
  std::string name;
  std::unique_ptr<ServerProcess> process;
  bool echoes_content = true;
};

inline double rate_of(const Visit& visit) { return visit.per_second; }
inline double us_of(const Visit& visit) { return visit.us_each; }
inline double per_cpu_us_of(const Visit& visit) { return 1 / visit.us_each; }
inline double busy_of(const Visit& visit) { return visit.client_busy; }

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

/// Above 1: better than the other in the same repetition.
template <class F>
double median_ratio(const Visits& visits, const Visits& other, F&& goodness) {
  std::vector<double> values;
  for (std::size_t i = 0; i < visits.size(); ++i) {
    values.push_back(goodness(visits[i]) / goodness(other[i]));
  }
  return median(std::move(values));
}

/// Shows on a terminal how far a row has come; without a name it wipes that away.
inline void show_progress(const std::string& name, std::size_t repetition, std::size_t of) {
  if (::isatty(STDERR_FILENO) == 0) return;
  if (name.empty()) {
    std::fputs("\r\033[K", stderr);
  } else {
    std::fprintf(stderr, "\r\033[K%s: %zu of %zu", name.c_str(), repetition + 1, of);
  }
}

/// Visits every contestant in turn, so often; what came of it, in their order.
inline std::vector<Visits> visit_in_turn(const std::string& name,
                                         const std::vector<Contestant>& contestants,
                                         std::size_t repetitions,
                                         const std::function<Visit(const Contestant&)>& visit) {
  std::vector<Visits> visits(contestants.size());
  for (std::size_t i = 0; i < repetitions; ++i) {
    show_progress(name, i, repetitions);
    for (std::size_t turn = 0; turn < contestants.size(); ++turn) {
      const std::size_t at = (turn + i) % contestants.size();  // nobody is always the first
      visits[at].push_back(visit(contestants[at]));
    }
  }
  show_progress("", 0, 0);
  return visits;
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
