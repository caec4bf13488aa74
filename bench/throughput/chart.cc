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
constexpr double head = 56;
constexpr double column = (width - 2 * margin) / 2;
constexpr double names = 86;    // of the servers, before the bars
constexpr double numbers = 44;  // behind them
constexpr double bars = column - names - numbers - margin;
constexpr double line = 15;   // from one bar to the next
constexpr double thick = 11;  // of a bar
constexpr double title = 22;  // of a group, above its bars
constexpr double gap = 14;    // between groups

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
  return title + line * static_cast<double>(group.bars.size()) + gap;
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
  append(out, "<text class=\"group\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x + names, y + 14,
         group.workload.c_str());
  const double left = x + names;
  double top = y + title;
  for (const Bar& bar : group.bars) {
    const bool is_subject = bar.server == subject;
    const double length = bar.ratio / scale * bars;
    append(out, "<text class=\"name%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
           is_subject ? " group" : "", left - 6, top + 10, bar.server.c_str());
    append(out, "<rect%s x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" rx=\"1.5\"/>\n",
           is_subject ? " class=\"subject\"" : "", left, top, std::max(length, 1.0), thick);
    append(out, "<text%s x=\"%.1f\" y=\"%.1f\">%.2f</text>\n", is_subject ? " class=\"group\"" : "",
           left + std::max(length, bars / scale) + 6, top + 10, bar.ratio);
    top += line;
  }
  const double ceiling = left + bars / scale;
  append(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", ceiling, y + title - 3,
         ceiling, top);
}

}  // namespace

std::string draw_chart(const std::vector<BarGroup>& groups, const std::string& subject) {
  const double scale = scale_of(groups);
  std::string body;
  double y = head;
  for (std::size_t i = 0; i < groups.size(); i += 2) {
    double lower = 0;
    for (std::size_t j = i; j < std::min(i + 2, groups.size()); ++j) {
      draw_group(body, groups[j], subject, margin + static_cast<double>(j - i) * column, y, scale);
      lower = std::max(lower, height_of(groups[j]));
    }
    y += lower;
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
