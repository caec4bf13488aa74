// Draws two columns of groups, one group for each workload. A group has a bar for every server,
// with its name in front and its ratio behind, so that a reader needs no legend of colours. A line
// marks the ceiling.
//
//   100x16 1 KiB
//         tern ███████████████| 0.99
//          lws ██             | 0.12
#include "throughput/chart.h"

#include "throughput/system.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <fstream>

namespace tern::bench {
namespace {

constexpr double width = 880;
constexpr double margin = 12;
constexpr double head_height = 56;
constexpr double column_width = (width - 2 * margin) / 2;
constexpr double names_width = 86;   // the names of the servers, before the bars
constexpr double ratios_width = 44;  // the ratios, behind the bars
constexpr double bars_width = column_width - names_width - ratios_width - margin;
constexpr double bar_distance = 15;  // from the top of a bar to the top of the next
constexpr double bar_height = 11;
constexpr double title_height = 22;  // the title of a group, above its bars
constexpr double group_gap = 14;

constexpr char style[] =
    "<style>\n"
    "  text { font: 12px system-ui, sans-serif; fill: #1f2328; }\n"
    "  .title { font-size: 15px; font-weight: 600; }\n"
    "  .group { font-weight: 600; }\n"
    "  .quiet { fill: #59636e; }\n"
    "  .name { text-anchor: end; }\n"
    "  rect { fill: #9aa4af; }\n"
    "  rect.subject { fill: #0a7d6c; }\n"
    "  line { stroke: #1f2328; stroke-dasharray: 3 2; }\n"
    "  @media (prefers-color-scheme: dark) {\n"
    "    text { fill: #e6edf3; }\n"
    "    .quiet { fill: #9198a1; }\n"
    "    rect { fill: #6b7480; }\n"
    "    rect.subject { fill: #2fc3a9; }\n"
    "    line { stroke: #e6edf3; }\n"
    "  }\n"
    "</style>\n";

[[gnu::format(printf, 2, 3)]] void append(std::string& out, const char* format, ...) {
  char text[512];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  out += text;
}

double height_of(const BarGroup& group) {
  return title_height + bar_distance * static_cast<double>(group.bars.size()) + group_gap;
}

/// The ratio of a bar that fills all of the room for bars.
double scale_of(const std::vector<BarGroup>& groups) {
  double most = 1;
  for (const BarGroup& group : groups) {
    for (const Bar& bar : group.bars) most = std::max(most, bar.ratio);
  }
  return most;
}

void draw_group(std::string& out, const BarGroup& group, const std::string& subject, double x,
                double y, double scale) {
  append(out, "<text class=\"group\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x + names_width, y + 14,
         group.workload.c_str());
  const double left = x + names_width;
  double top = y + title_height;
  for (const Bar& bar : group.bars) {
    const bool is_subject = bar.server == subject;
    const double length = bar.ratio / scale * bars_width;
    append(out, "<text class=\"name%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
           is_subject ? " group" : "", left - 6, top + 10, bar.server.c_str());
    append(out, "<rect%s x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" rx=\"1.5\"/>\n",
           is_subject ? " class=\"subject\"" : "", left, top, std::max(length, 1.0), bar_height);
    append(out, "<text%s x=\"%.1f\" y=\"%.1f\">%.2f</text>\n", is_subject ? " class=\"group\"" : "",
           left + std::max(length, bars_width / scale) + 6, top + 10, bar.ratio);
    top += bar_distance;
  }
  const double ceiling = left + bars_width / scale;
  append(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", ceiling,
         y + title_height - 3, ceiling, top);
}

}  // namespace

std::string draw_chart(const std::vector<BarGroup>& groups, const std::string& subject) {
  const double scale = scale_of(groups);
  std::string body;
  double y = head_height;
  for (std::size_t i = 0; i < groups.size(); i += 2) {
    double highest = 0;
    for (std::size_t j = i; j < std::min(i + 2, groups.size()); ++j) {
      draw_group(body, groups[j], subject, margin + static_cast<double>(j - i) * column_width, y,
                 scale);
      highest = std::max(highest, height_of(groups[j]));
    }
    y += highest;
  }
  std::string out;
  append(out,
         "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
         "height=\"%.0f\" role=\"img\">\n<title>Echo servers beside a raw epoll echo</title>\n",
         width, y, width, y);
  out += style;
  append(out, "<text class=\"title\" x=\"%.0f\" y=\"24\">%s</text>\n", margin,
         "Echo, ratio to a raw epoll echo in the same run: longer is better");
  append(out, "<text class=\"quiet\" x=\"%.0f\" y=\"43\">%s</text>\n", margin,
         "connections x messages in flight on each, size; the better of the rate and the messages "
         "for each second of CPU; the line is 1");
  return out + body + "</svg>\n";
}

void write_chart(const std::string& path, const std::vector<BarGroup>& groups,
                 const std::string& subject) {
  std::ofstream file(path);
  file << draw_chart(groups, subject) << std::flush;
  if (!file) throw_errno(path);
}

}  // namespace tern::bench
