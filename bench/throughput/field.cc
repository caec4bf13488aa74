#include "throughput/field.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace tern::bench {
namespace {

// On a terminal; without a name it wipes away what was shown.
void show_progress(const std::string& name, std::size_t repetition, std::size_t of) {
  if (::isatty(STDERR_FILENO) == 0) return;
  if (name.empty()) {
    std::fputs("\r\033[K", stderr);
  } else {
    std::fprintf(stderr, "\r\033[K%s: %zu of %zu", name.c_str(), repetition + 1, of);
  }
}

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
    : options_(options), entrants_(std::move(entrants)) {}

std::vector<Standing> Field::run_row(const std::string& name, const Visiting& visit) {
  std::vector<Standing> standings;
  std::vector<std::size_t> takes_part;
  for (std::size_t i = 0; i < entrants_.size(); ++i) {
    if (!name.starts_with(entrants_[i].rows)) continue;
    standings.push_back({.entrant = &entrants_[i], .left_out = reason_against(entrants_[i], name)});
    takes_part.push_back(i);
  }
  for (std::size_t i = 0; i < options_.repetitions; ++i) {
    show_progress(name, i, options_.repetitions);
    for (std::size_t turn = 0; turn < takes_part.size(); ++turn) {
      const std::size_t at = (turn + i) % takes_part.size();  // nobody is always the first
      if (standings[at].left_out.empty()) visit_one(takes_part[at], standings[at], visit);
    }
  }
  show_progress("", 0, 0);
  return standings;
}

void Field::visit_one(std::size_t at, Standing& standing, const Visiting& visit) {
  const Entrant& entrant = entrants_[at];
  try {
    const ServerProcess server(entrant.command, server_core, options_.realtime);
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
