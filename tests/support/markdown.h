// Code blocks and links of our documents.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <vector>

namespace tern::test {

inline std::string file_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct CodeBlock {
  std::size_t line = 0;  // of its first line of code
  std::string language{};
  std::string text{};
};

/// The fenced blocks of a document, in order.
inline std::vector<CodeBlock> code_blocks(const std::string& document) {
  std::vector<CodeBlock> blocks;
  std::istringstream lines(document);
  bool inside = false;
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) blocks.push_back({number + 1, line.substr(3), {}});
    } else if (inside) {
      blocks.back().text += line + '\n';
    }
  }
  EXPECT_FALSE(inside) << "a code block does not end";
  return blocks;
}

/// The targets of [text](target) outside of code, without those on the Web.
inline std::vector<std::string> local_links(std::string document) {
  for (const CodeBlock& block : code_blocks(document)) {
    document.erase(document.find(block.text), block.text.size());
  }
  std::vector<std::string> targets;
  for (std::size_t at = document.find("]("); at != document.npos; at = document.find("](", at)) {
    at += 2;
    const std::string target = document.substr(at, document.find_first_of("#)", at) - at);
    if (!target.empty() && target.find("://") == target.npos) targets.push_back(target);
  }
  return targets;
}

/// README.md and all of docs/.
inline std::vector<std::filesystem::path> documents() {
  const std::filesystem::path root = TERN_SOURCE_DIR;
  std::vector<std::filesystem::path> paths = {root / "README.md"};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root / "docs")) {
    if (entry.path().extension() == ".md") paths.push_back(entry.path());
  }
  return paths;
}

}  // namespace tern::test
