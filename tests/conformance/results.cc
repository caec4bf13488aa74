// Counts the cases that ended as expected, and keeps a line for each other one.
#include "conformance/results.h"

#include "conformance/cases.h"
#include "support/engine_table.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <sstream>

namespace tern::conformance {
namespace {

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream words(line);
  return {std::istream_iterator<std::string>(words), {}};
}

void keep(const std::string& name, const std::vector<std::string>& lines) {
  const std::filesystem::path folder = TERN_BIN_DIR "/../conformance";
  std::filesystem::create_directories(folder);
  std::ofstream out(folder / name);
  for (const std::string& line : lines) out << line << '\n';
}

std::string text_of(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}

}  // namespace

bool is_as_expected(const Script& script, const Observed& observed, Judgement judgement) {
  return judgement.verdict == Verdict::ok && judgement.close == CloseVerdict::ok &&
         observed.code == script.ending.codes.back() && observed.end == Observed::End::fin;
}

std::string result_line(const Case& each, std::string_view way, Role subject,
                        const Observed& observed, Judgement judgement) {
  std::string line = each.id + ' ' + std::string(way) + ' ' + test::name(subject) + ' ' +
                     to_string(judgement.verdict) + ' ' + to_string(judgement.close) + ' ';
  line += observed.code ? std::to_string(*observed.code) : "-";
  line += observed.end == Observed::End::fin     ? " fin"
          : observed.end == Observed::End::reset ? " reset"
                                                 : " open";
  if (each.informational) line += " after " + std::to_string(observed.events.size()) + " echoes";
  return line;
}

std::vector<std::string> committed_lines(std::string_view way, Role subject,
                                         std::string_view group) {
  std::ifstream file(TERN_SOURCE_DIR "/tests/conformance/results.txt");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> words = words_of(line);
    if (words.size() > 3 && words[1] == way && words[2] == test::name(subject) &&
        group_of(words[0]) == group) {
      lines.push_back(line);
    }
  }
  return lines;
}

void expect_results(std::string_view way, Role subject, const std::string& group,
                    const Runner& runner) {
  std::vector<std::string> exceptions;
  std::size_t cases = 0;
  for (const Case& each : all_cases()) {
    if (group_of(each.id) != group) continue;
    SCOPED_TRACE(each.id);
    ++cases;
    const Script script = each.script();
    const Observed observed = runner(each, script);
    EXPECT_EQ(observed.fault, "");
    const Judgement judgement = judge(each, script, observed, subject);
    const std::string line = result_line(each, way, subject, observed, judgement);
    if (!is_as_expected(script, observed, judgement)) exceptions.push_back(line);
    const bool good = judgement.verdict == Verdict::ok && judgement.close == CloseVerdict::ok;
    EXPECT_TRUE(good || each.informational) << line << '\n' << text_of(observed.events);
  }
  ASSERT_GT(cases, 0u) << "no case of group " << group;
  std::vector<std::string> lines = {group + ' ' + std::string(way) + ' ' + test::name(subject) +
                                    ' ' + std::to_string(cases - exceptions.size()) +
                                    " as expected"};
  lines.insert(lines.end(), exceptions.begin(), exceptions.end());
  keep(std::string(way) + '-' + test::name(subject) + '-' + group + ".txt", lines);
  EXPECT_EQ(text_of(lines), text_of(committed_lines(way, subject, group)))
      << "If this change is intended: scripts/conformance.sh --update";
}

}  // namespace tern::conformance
