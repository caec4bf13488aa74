// The flags of `tern connect` stand in its guide, and the flags of the guide exist.

#include "support/process.h"

#include <fstream>
#include <gtest/gtest.h>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace tern::test {
namespace {

using Flags = std::set<std::string>;

// The flags in a text: "-x", "--long-name", also "-0".
void add_flags(Flags& flags, const std::string& text) {
  static const std::regex flag(R"((^|[\s,`|])(--?[A-Za-z0-9][A-Za-z0-9-]*))");
  for (std::sregex_iterator at(text.begin(), text.end(), flag), end; at != end; ++at) {
    flags.insert(at->str(2));
  }
}

// The first column of the lines that begin with a flag.
Flags flags_of_help() {
  Process tern({program("tern"), "connect", "--help"});
  EXPECT_EQ(tern.exit_code(), 0);
  EXPECT_EQ(tern.err(), "");
  Flags flags;
  std::istringstream lines(tern.out());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("  -")) add_flags(flags, line.substr(2, line.find(' ', 2) - 2));
  }
  return flags;
}

// The first column of the tables of flags.
Flags flags_of_guide() {
  std::ifstream guide(TERN_SOURCE_DIR "/docs/guides/tern-connect.md");
  EXPECT_TRUE(guide);
  Flags flags;
  for (std::string line; std::getline(guide, line);) {
    if (line.starts_with("| `-")) add_flags(flags, line.substr(0, line.find('|', 1)));
  }
  return flags;
}

TEST(TernConnectHelp, EachFlagStandsInTheGuideAndTheReverse) {
  const Flags help = flags_of_help();
  const Flags guide = flags_of_guide();
  EXPECT_TRUE(help.contains("-x") && help.contains("--proxy") && help.contains("-0"));
  EXPECT_EQ(help, guide);
}

TEST(TernConnectHelp, BothNamesOfHelpWork) {
  Process one({program("tern"), "connect", "-h"});
  Process two({program("tern"), "connect", "--help"});
  EXPECT_EQ(one.exit_code(), 0);
  EXPECT_EQ(two.exit_code(), 0);
  EXPECT_EQ(one.out(), two.out());
}

}  // namespace
}  // namespace tern::test
