// docs/conformance.md lists each rule with its code and its tests. These tests check that all names
// in it exist: each file, each word in that file, each test, and each case of the suite. They also
// check that a row exists for each section of an RFC that the name of a test contains.
//
// A row of its tables is | section | rule | where | tests |. "where" has one or more code spans of
// a path and a word in that file ("src/frame/header.cc: check_byte_0"). "tests" has code spans
// "Suite.Name", or "case 5.19" for a case of tests/conformance.

#include "conformance/cases.h"
#include "support/markdown.h"
#include "support/source_tree.h"

#include <algorithm>
#include <filesystem>
#include <gtest/gtest.h>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace tern::test {
namespace {

struct Row {
  std::size_t line = 0;
  std::string rfc{};      // "6455", from the heading above
  std::string section{};  // "5.2"
  std::vector<std::string> where{};
  std::vector<std::string> tests{};
};

// The sections of RFC 6455 with rules for an endpoint. Each must have a row.
const std::vector<std::string> sections_of_6455 = {
    "3",     "4.1",   "4.2.1", "4.2.2", "4.3",   "4.4",   "5.1",   "5.2",   "5.3", "5.4",
    "5.5",   "5.5.1", "5.5.2", "5.5.3", "5.6",   "5.7",   "5.8",   "6.1",   "6.2", "7.1.1",
    "7.1.2", "7.1.3", "7.1.4", "7.1.5", "7.1.6", "7.1.7", "7.2.1", "7.2.2", "7.3", "7.4.1",
    "7.4.2", "8.1",   "9.1",   "10.2",  "10.3",  "10.4",  "10.7"};

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream rest(line.substr(1));
  for (std::string cell; std::getline(rest, cell, '|');) {
    const std::size_t first = cell.find_first_not_of(' ');
    const std::size_t last = cell.find_last_not_of(' ');
    cells.push_back(first == cell.npos ? "" : cell.substr(first, last - first + 1));
  }
  return cells;
}

std::vector<std::string> code_spans(const std::string& cell) {
  std::vector<std::string> spans;
  static const std::regex span("`([^`]+)`");
  for (std::sregex_iterator at(cell.begin(), cell.end(), span), end; at != end; ++at) {
    spans.push_back((*at)[1]);
  }
  return spans;
}

std::vector<Row> rows_of(const std::string& document) {
  std::vector<Row> rows;
  std::istringstream lines(document);
  std::string rfc;
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    static const std::regex heading("^## .*RFC ([0-9]+).*$");
    std::smatch found;
    if (std::regex_match(line, found, heading)) rfc = found[1];
    if (line.starts_with("## ") && found.empty()) rfc.clear();
    if (!line.starts_with('|') || line.starts_with("|---") || line.starts_with("| § ")) continue;
    const std::vector<std::string> cells = cells_of(line);
    if (cells.size() != 4) {
      ADD_FAILURE() << "docs/conformance.md:" << number << ": not four cells";
      continue;
    }
    rows.push_back({number, rfc, cells[0], code_spans(cells[2]), code_spans(cells[3])});
  }
  return rows;
}

// "Suite.Name" of every test.
std::set<std::string> tests_of(const SourceTree& tree) {
  std::set<std::string> names;
  static const std::regex test(R"(\bTEST(_F|_P)?\(\s*(\w+),\s*(\w+)\s*\))");
  for (const auto& [path, content] : tree) {
    for (std::sregex_iterator at(content.begin(), content.end(), test), end; at != end; ++at) {
      names.insert((*at)[2].str() + '.' + (*at)[3].str());
    }
  }
  return names;
}

std::string complaint_of_where(const std::filesystem::path& root, const std::string& where) {
  const std::size_t colon = where.find(": ");
  if (colon == where.npos) return where + ": no word behind the path";
  const std::filesystem::path path = root / where.substr(0, colon);
  if (!std::filesystem::is_regular_file(path)) return where + ": no such file";
  if (file_text(path).find(where.substr(colon + 2)) == std::string::npos) {
    return where + ": the file does not contain the word";
  }
  return {};
}

// Whether it is the number of a case or of a group of cases.
bool is_case(const std::string& id) {
  static const std::vector<conformance::Case> cases = conformance::all_cases();
  return std::ranges::any_of(
      cases, [&](const conformance::Case& each) { return (each.id + '.').starts_with(id + '.'); });
}

std::string complaint_of_test(const std::set<std::string>& tests, const std::string& name) {
  if (!name.starts_with("case ")) return tests.contains(name) ? "" : name + ": no such test";
  return is_case(name.substr(5)) ? "" : name + ": no such case";
}

Complaints check_rows(const std::vector<Row>& rows, const std::filesystem::path& root,
                      const std::set<std::string>& tests) {
  Complaints complaints;
  const auto complain = [&](const Row& row, const std::string& what) {
    if (!what.empty()) complaints.push_back(std::to_string(row.line) + ": " + what);
  };
  for (const Row& row : rows) {
    if (row.where.empty()) complain(row, "names no file");
    if (row.tests.empty()) complain(row, "names no test");
    for (const std::string& where : row.where) complain(row, complaint_of_where(root, where));
    for (const std::string& name : row.tests) complain(row, complaint_of_test(tests, name));
  }
  return complaints;
}

// "ServerClose.Rfc6455_7_1_5_AResetIs1006" → {"6455", "7.1.5"}; empty when the name carries no
// section.
std::pair<std::string, std::string> section_in(const std::string& test) {
  static const std::regex form(R"(^\w+\.Rfc(\d+)((_\d+)+)(_.*)?$)");
  std::smatch found;
  if (!std::regex_match(test, found, form)) return {};
  std::string section = found[2].str().substr(1);
  std::ranges::replace(section, '_', '.');
  return {found[1], section};
}

// The section in the name of a test may be longer ("5.1.5.2", "15.5.9.408") or shorter ("7") than
// that of its row.
bool has_row(const std::vector<Row>& rows, const std::string& rfc, const std::string& section) {
  return std::ranges::any_of(rows, [&](const Row& row) {
    const bool same = (section + '.').starts_with(row.section + '.') ||
                      (row.section + '.').starts_with(section + '.');
    return row.rfc == rfc && same;
  });
}

Complaints check_sections(const std::vector<Row>& rows, const std::set<std::string>& tests) {
  Complaints complaints;
  for (const std::string& test : tests) {
    const auto [rfc, section] = section_in(test);
    const bool ours = rfc == "6455" || rfc == "7692" || rfc == "9110" || rfc == "9112";
    if (ours && !has_row(rows, rfc, section)) {
      complaints.push_back(test + ": RFC " + rfc + " §" + section + " has no row");
    }
  }
  return complaints;
}

class ConformanceDoc : public testing::Test {
 protected:
  const std::filesystem::path root_ = TERN_SOURCE_DIR;
  const std::vector<Row> rows_ = rows_of(file_text(root_ / "docs/conformance.md"));
  const std::set<std::string> tests_ = tests_of(read_source_tree(root_, {"tests"}));
};

TEST_F(ConformanceDoc, AllNamesInItExist) {
  EXPECT_GT(rows_.size(), 100u);
  EXPECT_EQ(join_complaints(check_rows(rows_, root_, tests_)), "");
}

TEST_F(ConformanceDoc, EverySectionHasARow) {
  for (const std::string& section : sections_of_6455) {
    EXPECT_TRUE(std::ranges::any_of(rows_, [&](const Row& row) {
      return row.rfc == "6455" && row.section == section;
    })) << section;
  }
  EXPECT_EQ(join_complaints(check_sections(rows_, tests_)), "");
}

TEST_F(ConformanceDoc, FindsEachMistake) {
  const std::string document =
      "## RFC 6455\n\n| § | rule | where | tests |\n|---|---|---|---|\n"
      "| 5.2 | a | `src/frame/header.cc: decode_header` | `ConformanceDoc.FindsEachMistake`, `case "
      "5.19` |\n"
      "| 5.3 | b | `src/frame/header.cc: no_such_word` | `ConformanceDoc.FindsEachMistake` |\n"
      "| 5.4 | c | `src/frame/nowhere.cc: x` | `ConformanceDoc.Gone` |\n"
      "| 5.5 | d | nowhere | `case 11.1` |\n"
      "| 5.6 | e | `src/frame/header.cc` | none |\n";
  const std::vector<Row> rows = rows_of(document);
  ASSERT_EQ(rows.size(), 5u);
  EXPECT_EQ(check_rows(rows, root_, tests_),
            (Complaints{"6: src/frame/header.cc: no_such_word: the file does not contain the word",
                        "7: src/frame/nowhere.cc: x: no such file",
                        "7: ConformanceDoc.Gone: no such test", "8: names no file",
                        "8: case 11.1: no such case", "9: names no test",
                        "9: src/frame/header.cc: no word behind the path"}));
  EXPECT_EQ(check_sections(rows, {"A.Rfc6455_5_2_X", "A.Rfc6455_5_2_1_X", "A.Rfc6455_9_1_X",
                                  "A.Rfc9110_5_2", "A.Rfc3629_4", "A.B"}),
            (Complaints{"A.Rfc6455_9_1_X: RFC 6455 §9.1 has no row",
                        "A.Rfc9110_5_2: RFC 9110 §5.2 has no row"}));
}

}  // namespace
}  // namespace tern::test
