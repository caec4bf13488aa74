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
  std::vector<std::string> lines;
  for (const Case& each : all_cases()) {
    if (group_of(each.id) != group) continue;
    SCOPED_TRACE(each.id);
    const Script script = each.script();
    const Observed observed = runner(each, script);
    EXPECT_EQ(observed.fault, "");
    const Judgement judgement = judge(each, script, observed, subject);
    lines.push_back(result_line(each, way, subject, observed, judgement));
    const bool good = judgement.verdict == Verdict::ok && judgement.close == CloseVerdict::ok;
    EXPECT_TRUE(good || each.informational) << lines.back() << '\n' << text_of(observed.events);
  }
  ASSERT_FALSE(lines.empty()) << "no case of group " << group;
  keep(std::string(way) + '-' + test::name(subject) + '-' + group + ".txt", lines);
  EXPECT_EQ(text_of(lines), text_of(committed_lines(way, subject, group)))
      << "if this is what it shall be: scripts/conformance.sh --update";
}

}  // namespace tern::conformance
