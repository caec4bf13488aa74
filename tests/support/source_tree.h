#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tern::test {

/// Path from the root of the tree ("src/http/head.cc") → content.
using SourceTree = std::map<std::string, std::string>;

/// Complaints, one for each line: "src/http/head.cc:12: …". Empty if there is none.
using Complaints = std::vector<std::string>;

/// Reads every .h and .cc below the given folders of the tree at `root`.
inline SourceTree read_source_tree(const std::filesystem::path& root,
                                   std::initializer_list<std::string_view> folders) {
  SourceTree tree;
  for (std::string_view folder : folders) {
    if (!std::filesystem::exists(root / folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const auto extension = entry.path().extension();
      if (!entry.is_regular_file() || (extension != ".h" && extension != ".cc")) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      tree[entry.path().lexically_relative(root).generic_string()] =
          std::string(std::istreambuf_iterator<char>(in), {});
    }
  }
  return tree;
}

/// The lines of a text, without their line ends.
inline std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

inline std::string join_complaints(const Complaints& complaints) {
  std::string all;
  for (const auto& complaint : complaints) all += complaint + '\n';
  return all;
}

}  // namespace tern::test
