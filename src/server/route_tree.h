// Finds the route of a path among the routes with parameters.
#pragma once

#include "server/pattern.h"

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tern::server {

struct Route;

/// The values of the parameters of one request, as received, in the order of the path. Lifetime:
/// the request.
struct ParameterValues {
  std::array<std::string_view, max_parameters> values{};
  std::size_t count = 0;
};

/// A tree of segments. At each segment a literal is tried first, then a parameter, then a rest. If
/// the segments that follow do not fit, the next one is tried. So a route is found whenever one
/// fits. Each node is visited at most once for a request, because only one way leads to it.
class RouteTree {
 public:
  /// Returns the place of the route with this path, which why_invalid_pattern() has accepted. Two
  /// paths have the same place if they differ only in the names of parameters.
  /// Lifetime: the tree. Throws std::bad_alloc.
  Route*& place(std::string_view path);
  /// Returns the route of a request's path, which begins with '/'; null if none fits.
  Route* find(std::string_view path, ParameterValues& values) const noexcept {
    return find(root_, path, values);
  }

 private:
  struct Node {
    std::string literal{};                          // of the segment that leads to it
    std::vector<std::unique_ptr<Node>> literals{};  // sorted by literal
    std::unique_ptr<Node> parameter{};
    Route* route = nullptr;  // of the path that ends here
    Route* rest = nullptr;   // of the path that ends here with {name...}
  };

  static Node& child(Node& node, std::string_view literal);
  static const Node* find_child(const Node& node, std::string_view literal) noexcept;
  static Route* find(const Node& node, std::string_view path, ParameterValues& values) noexcept;

  Node root_{};
};

}  // namespace tern::server
