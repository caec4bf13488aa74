// tests/faults/README.md has the key of the fault matrix. This test keeps it and the files
// together: each row of the key has a test, except for the holes that the page explains, and each
// test has a row.
#include "support/markdown.h"
#include "support/source_tree.h"

#include <gtest/gtest.h>
#include <regex>
#include <set>
#include <string>
#include <string_view>

namespace tern::test {
namespace {

// Everything in `text` that the first group of `pattern` matches.
std::set<std::string> all_matches(const std::string& text, const char* pattern) {
  std::set<std::string> found;
  const std::regex regex(pattern);
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at) {
    found.insert((*at)[1]);
  }
  return found;
}

TEST(DocsFaults, TheKeyHasEachRowAndEachHole) {
  std::set<std::string> tested;
  for (const auto& [path, content] : read_source_tree(TERN_SOURCE_DIR, {"tests/faults"})) {
    tested.merge(all_matches(content, R"(TEST\(\w+, (X\d\d)_)"));
  }
  const std::string page = file_text(TERN_SOURCE_DIR "/tests/faults/README.md");
  std::set<std::string> key = all_matches(page, R"(\n\| (X\d\d) \|)");
  EXPECT_GT(key.size(), 30u);
  for (const std::string& row : all_matches(page, R"(\n\| (X\d\d) \|[^\n]*no row yet)")) {
    EXPECT_FALSE(tested.contains(row)) << row << " has tests now";
    EXPECT_TRUE(key.erase(row) == 1 && page.find("**" + row + "** ") != page.npos)
        << "why has " << row << " no row?";
  }
  EXPECT_EQ(key, tested);
}

}  // namespace
}  // namespace tern::test
