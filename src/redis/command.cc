// Writes commands as RESP2 arrays of strings with lengths, so a word may have any bytes.
#include "redis/command.h"

#include <charconv>
#include <cstddef>

namespace tern::redis {
namespace {

void append_length(std::string& to, char kind, std::size_t length) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, length).ptr;
  to.push_back(kind);
  to.append(digits, end).append("\r\n");
}

}  // namespace

void append_command(std::string& to, std::span<const std::string_view> words) {
  append_length(to, '*', words.size());
  for (const std::string_view word : words) {
    append_length(to, '$', word.size());
    to.append(word).append("\r\n");
  }
}

}  // namespace tern::redis
