// Escapes the names of topics, so that each topic has one subject and each subject one topic.
#include "nats/subject.h"

#include <cstddef>

namespace tern::nats {
namespace {

// The server and libnats split the lines of the protocol at these bytes.
bool breaks_a_line(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte <= ' ' || byte == 0x7f;
}

void append_escaped(std::string& subject, char c) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  const auto byte = static_cast<unsigned char>(c);
  subject += '%';
  subject += digits[byte >> 4];
  subject += digits[byte & 15];
}

}  // namespace

std::string prefix_problem(std::string_view prefix) {
  if (prefix.empty()) return {};
  char before = '.';
  for (char c : prefix) {
    if (breaks_a_line(c)) return "has a blank or a control character";
    if (c == '*' || c == '>') return "has a wildcard";
    if (c == '.' && before == '.') return "has an empty token";
    before = c;
  }
  if (before != '.') return "does not end in a dot";
  if (prefix.front() == '$') return "begins with '$', as the subjects of the server";
  return {};
}

std::string subject_of(std::string_view prefix, std::string_view topic) {
  std::string subject(prefix);
  subject.reserve(prefix.size() + topic.size());
  const bool is_reserved =
      prefix.empty() && (topic.starts_with('$') || topic.starts_with("_INBOX."));
  bool token_is_empty = true;
  for (std::size_t i = 0; i < topic.size(); ++i) {
    const char c = topic[i];
    const bool ends_here = i + 1 == topic.size();
    const bool escape = c == '%' || c == '*' || c == '>' || breaks_a_line(c) ||
                        (c == '.' && (token_is_empty || ends_here)) || (i == 0 && is_reserved);
    if (escape) {
      append_escaped(subject, c);
    } else {
      subject += c;
    }
    token_is_empty = c == '.' && !escape;
  }
  return subject;
}

}  // namespace tern::nats
