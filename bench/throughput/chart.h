// A comparison as a picture.
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

/// An SVG that stands by itself and follows the reader's choice of light or dark. `subject` is the
/// server to look at.
std::string draw_chart(const std::vector<BarGroup>& groups, const std::string& subject);

/// The same to a file. Throws std::system_error.
void write_chart(const std::string& path, const std::vector<BarGroup>& groups,
                 const std::string& subject);

}  // namespace tern::bench
