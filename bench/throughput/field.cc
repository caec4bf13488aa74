#include "throughput/field.h"

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

// One line that may stand between quotes.
std::string line_of(std::string_view text) {
  std::string line(text.substr(0, text.find_first_of("\r\n")));
  std::ranges::replace(line, '"', '\'');
  return line;
}

}  // namespace

Field::Field(std::vector<Entrant> entrants, const CompareOptions& options)
    : options_(options), entrants_(std::move(entrants)), processes_(entrants_.size()) {}

std::vector<Standing> Field::run_row(const std::string& name, const Visiting& visit) {
  std::vector<Standing> standings;
  for (const Entrant& entrant : entrants_) {
    standings.push_back({.entrant = &entrant, .left_out = reason_against(entrant, name)});
  }
  Progress progress;
  for (std::size_t i = 0; i < options_.repetitions; ++i) {
    progress.show(name + ": " + std::to_string(i + 1) + " of " +
                  std::to_string(options_.repetitions));
    for (std::size_t turn = 0; turn < entrants_.size(); ++turn) {
      const std::size_t at = (turn + i) % entrants_.size();  // nobody is always the first
      if (standings[at].left_out.empty()) visit_one(at, standings[at], visit);
    }
  }
  return standings;
}

void Field::visit_one(std::size_t at, Standing& standing, const Visiting& visit) {
  const Entrant& entrant = entrants_[at];
  try {
    if (processes_[at] == nullptr) {
      processes_[at] =
          std::make_unique<ServerProcess>(entrant.command, entrant.core, options_.realtime);
    }
    standing.visits.push_back(visit(entrant, *processes_[at]));
    if (entrant.fresh) processes_[at].reset();
  } catch (const std::exception& error) {
    if (!entrant.may_fail) throw;
    standing.left_out = line_of(error.what());
    processes_[at].reset();  // the next row begins with a new one
  }
}

void print_left_out(const std::string& row, const Standing& standing, bool json) {
  std::printf(json ? R"({"workload":"%s","server":"%s","left_out":"%s"})"
                     "\n"
                   : "%-22s %-11s left out: %s\n",
              row.c_str(), standing.entrant->name.c_str(), standing.left_out.c_str());
}

}  // namespace tern::bench
