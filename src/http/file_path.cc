// A part that decodes to a slash is refused: the system would take it for two parts, and rules that
// look at the parts would have seen one.
#include "http/file_path.h"

#include "http/percent.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace tern::http {
namespace {

bool is_unfit(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7F || c == '/' || c == '\\';
}

bool may_serve(std::string_view part) noexcept {
  if (part.empty() || (part.front() == '.' && part != ".well-known")) return false;
  return std::ranges::none_of(part, is_unfit);
}

}  // namespace

std::optional<FilePath> file_path(std::string_view path) {
  FilePath result;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    if (path.empty()) {
      result.is_folder = true;
      break;
    }
    const std::size_t end = std::min(path.find('/'), path.size());
    const auto part = percent_decode(path.substr(0, end));
    if (!part || !may_serve(*part)) return {};
    if (!result.path.empty()) result.path += '/';
    result.path += *part;
    path.remove_prefix(end);
  }
  return result;
}

// After a mismatch the last '*' takes one character more. The stars before it need no second look,
// because what follows them was found at the first place where it fits.
bool fits_pattern(std::string_view pattern, std::string_view text) noexcept {
  std::size_t at = 0;
  std::size_t star = std::string_view::npos;
  std::size_t taken = 0;  // the end of what the last '*' stands for
  std::size_t i = 0;
  while (i < text.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      taken = i;
    } else if (at < pattern.size() && pattern[at] == text[i]) {
      ++at;
      ++i;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      i = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

}  // namespace tern::http
