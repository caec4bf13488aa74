#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace tern::test {

/// Blanks comments, the insides of literals and preprocessor lines out of C++ source; every line
/// end stays, so that positions and line numbers are those of the original.
class CodeText {
 public:
  static std::string of(std::string_view source) {
    CodeText text(source);
    while (text.at_ < source.size()) text.step();
    return std::move(text.code_);
  }

 private:
  explicit CodeText(std::string_view source) : source_(source), code_(source) {}

  void step() {
    const std::string_view rest = source_.substr(at_);
    if (rest.front() == '#' && line_is_blank_so_far()) {
      blank_until(end_of_directive(rest));
    } else if (rest.starts_with("//")) {
      blank_until(std::min(rest.find('\n'), rest.size()));
    } else if (rest.starts_with("/*")) {
      blank_until(after(rest, rest.find("*/", 2), 2));
    } else if (rest.starts_with("R\"") && !follows_word()) {
      ++at_;
      const std::string_view delimiter = rest.substr(2, rest.find('(') - 2);
      const std::string end = ")" + std::string(delimiter) + "\"";
      keep_quotes(after(rest, rest.find(end), end.size()) - 1);
    } else if (rest.front() == '"' || (rest.front() == '\'' && !follows_word())) {
      keep_quotes(end_of_literal(rest));
    } else {
      ++at_;
    }
  }

  static std::size_t after(std::string_view rest, std::size_t found, std::size_t size) {
    return found == rest.npos ? rest.size() : found + size;
  }

  static std::size_t end_of_literal(std::string_view rest) {
    std::size_t end = 1;
    while (end < rest.size() && rest[end] != rest.front() && rest[end] != '\n') {
      end += rest[end] == '\\' ? 2 : 1;
    }
    return std::min(end + 1, rest.size());
  }

  static std::size_t end_of_directive(std::string_view rest) {
    std::size_t end = std::min(rest.find('\n'), rest.size());
    while (end < rest.size() && rest[end - 1] == '\\') {
      end = std::min(rest.find('\n', end + 1), rest.size());
    }
    return end;
  }

  // A quote inside a number is a digit separator.
  bool follows_word() const {
    return at_ > 0 && (std::isalnum(static_cast<unsigned char>(source_[at_ - 1])) != 0 ||
                       source_[at_ - 1] == '_');
  }

  bool line_is_blank_so_far() const {
    const std::size_t begin = source_.substr(0, at_).rfind('\n') + 1;  // npos + 1 is 0
    return source_.substr(begin, at_ - begin).find_first_not_of(" \t") == source_.npos;
  }

  void blank_until(std::size_t length) {
    for (std::size_t i = at_; i < at_ + length; ++i) {
      if (code_[i] != '\n') code_[i] = ' ';
    }
    at_ += length;
  }

  void keep_quotes(std::size_t length) {
    const char quote = code_[at_];
    const std::size_t first = at_;
    blank_until(length);
    code_[first] = quote;
    code_[at_ - 1] = quote;
  }

  std::string_view source_;
  std::string code_;
  std::size_t at_ = 0;
};

}  // namespace tern::test
