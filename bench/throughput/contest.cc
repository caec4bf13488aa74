// Runs the visits in turns. An entrant that fails is left out of the row with its reason.
#include "throughput/contest.h"

#include "throughput/progress.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace tern::bench {
namespace {

std::string reason_against(const Entrant& entrant, std::string_view row) {
  for (const Gap& gap : entrant.gaps) {
    if (row.starts_with(gap.rows)) return std::string(gap.reason);
  }
  return {};
}

// Returns one line that may stand between quotes.
std::string line_of(std::string_view text) {
  std::string line(text.substr(0, text.find_first_of("\r\n")));
  std::ranges::replace(line, '"', '\'');
  return line;
}

}  // namespace

Contest::Contest(std::vector<Entrant> entrants, const CompareOptions& options)
    : options_(options), entrants_(std::move(entrants)) {}

std::vector<Standing> Contest::run_row(const std::string& name, const Visiting& visit) {
  std::vector<Standing> standings;
  std::vector<std::size_t> takes_part;
  for (std::size_t i = 0; i < entrants_.size(); ++i) {
    if (!name.starts_with(entrants_[i].rows)) continue;
    standings.push_back({.entrant = &entrants_[i], .left_out = reason_against(entrants_[i], name)});
    takes_part.push_back(i);
  }
  Progress progress;
  for (std::size_t i = 0; i < options_.repetitions; ++i) {
    progress.show(name + ": " + std::to_string(i + 1) + " of " +
                  std::to_string(options_.repetitions));
    for (std::size_t turn = 0; turn < takes_part.size(); ++turn) {
      const std::size_t at =
          (turn + i) % takes_part.size();  // so that each repetition starts with another one
      if (standings[at].left_out.empty()) visit_one(takes_part[at], standings[at], visit);
    }
  }
  return standings;
}

void Contest::visit_one(std::size_t at, Standing& standing, const Visiting& visit) {
  const Entrant& entrant = entrants_[at];
  try {
    const ServerProcess server(entrant.command, entrant.core, options_.realtime);
    standing.visits.push_back(visit(entrant, server));
  } catch (const std::exception& error) {
    if (!entrant.may_fail) throw;
    standing.left_out = line_of(error.what());
  }
}

void print_left_out(const std::string& row, const Standing& standing, bool json) {
  const char* const name = standing.entrant->name.c_str();
  const char* const reason = standing.left_out.c_str();
  if (json) {
    std::printf(R"({"workload":"%s","%s":"%s","left_out":"%s"})"
                "\n",
                row.c_str(), standing.entrant->client.empty() ? "server" : "client", name, reason);
  } else {
    std::printf("%-22s %-11s left out: %s\n", row.c_str(), name, reason);
  }
}

}  // namespace tern::bench
