#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace tern::redis {

/// Appends a command in the form that servers read: an array of strings (RESP2). The words may have
/// any bytes. Throws std::bad_alloc and may then have appended a part.
void append_command(std::string& to, std::span<const std::string_view> words);
inline void append_command(std::string& to, std::initializer_list<std::string_view> words) {
  append_command(to, std::span(words.begin(), words.size()));
}

}  // namespace tern::redis
