// The recursion is as deep as the longest path of a route, whatever a request sends.
#include "server/route_tree.h"

#include <algorithm>

namespace tern::server {
namespace {

auto place_among(auto& nodes, std::string_view literal) noexcept {
  return std::ranges::lower_bound(nodes, literal, {},
                                  [](const auto& node) { return std::string_view(node->literal); });
}

}  // namespace

RouteTree::Node& RouteTree::child(Node& node, std::string_view literal) {
  const auto at = place_among(node.literals, literal);
  if (at != node.literals.end() && (*at)->literal == literal) return **at;
  auto made = std::make_unique<Node>();
  made->literal = literal;
  return **node.literals.insert(at, std::move(made));
}

const RouteTree::Node* RouteTree::find_child(const Node& node, std::string_view literal) noexcept {
  const auto at = place_among(node.literals, literal);
  const bool found = at != node.literals.end() && (*at)->literal == literal;
  return found ? at->get() : nullptr;
}

Route*& RouteTree::place(std::string_view path) {
  Node* node = &root_;
  while (!path.empty()) {
    const Segment segment = parse_segment(take_segment(path));
    switch (segment.kind) {
      case Segment::Kind::literal:
        node = &child(*node, segment.text);
        break;
      case Segment::Kind::parameter:
        if (!node->parameter) node->parameter = std::make_unique<Node>();
        node = node->parameter.get();
        break;
      case Segment::Kind::rest:
        return node->rest;
    }
  }
  return node->route;
}

Route* RouteTree::find(const Node& node, std::string_view path, ParameterValues& values) noexcept {
  if (path.empty()) return node.route;
  std::string_view behind = path;
  const std::string_view segment = take_segment(behind);
  if (const Node* const next = find_child(node, segment)) {
    if (Route* const found = find(*next, behind, values)) return found;
  }
  const bool takes_any = node.parameter != nullptr || node.rest != nullptr;
  if (!takes_any || segment.empty()) return nullptr;
  const std::size_t count = values.count;
  values.count = count + 1;
  values.values[count] = segment;
  if (node.parameter) {
    if (Route* const found = find(*node.parameter, behind, values)) return found;
  }
  values.values[count] = path.substr(1);
  values.count = count + (node.rest != nullptr ? 1 : 0);
  return node.rest;
}

}  // namespace tern::server
