// Draws the result of a comparison.
#pragma once

#include <string>
#include <vector>

namespace tern::bench {

struct Bar {
  std::string server;
  double ratio;  ///< to the ceiling
};

struct BarGroup {
  std::string workload;
  std::vector<Bar> bars{};
};

/// Returns an SVG that needs no other file and follows the reader's choice of light or dark. It
/// highlights the server `subject`.
std::string draw_chart(const std::vector<BarGroup>& groups, const std::string& subject);

/// Writes the same to a file. Throws std::system_error.
void write_chart(const std::string& path, const std::vector<BarGroup>& groups,
                 const std::string& subject);

}  // namespace tern::bench
