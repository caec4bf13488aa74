#pragma once

#include "support/code_text.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::test {

/// One declaration outside of function bodies.
struct Declaration {
  enum class Kind { type, function_body, statement };
  Kind kind;
  std::string head;        // its text up to the body or the semicolon, blanks squeezed
  std::size_t first_line;  // counted from 1; a template's line belongs to it
  std::size_t last_line;   // of a function its closing brace; of a type its opening one
  bool is_public;          // reachable by users: in namespace tern itself, in no private section
};

/// Finds the declarations of source that clang-format has laid out: there a body's brace has a
/// blank before it and an initialiser's has none. This is a reading aid for tidy_test, not a C++
/// parser.
class Declarations {
 public:
  static std::vector<Declaration> of(std::string_view source) {
    const std::string code = CodeText::of(source);
    Declarations scan;
    for (char c : code) scan.take(c);
    return std::move(scan.found_);
  }

 private:
  enum class Kind { space, type, enumeration, function, braces };  // space: a namespace
  struct Scope {
    Kind kind = Kind::space;
    bool is_public = true;
    int outer_parens = 0;
    std::size_t first_line = 0;
    std::string head;
  };

  void take(char c) {
    if (c == '{') {
      open();
    } else if (c == '}') {
      close();
    } else if (!declares()) {
      // inside a body or an initialiser
    } else if (c == ';' && parens_ == 0) {
      if (!head_.empty()) add(Declaration::Kind::statement, head_, first_line_, line_);
      head_.clear();
    } else if (c == ':' && is_access_label()) {
      scopes_.back().is_public = head_ == "public" && around_is_public();
      head_.clear();
    } else {
      append(c);
    }
    if (c == '\n') ++line_;
    before_ = c;
  }

  void append(char c) {
    if (c == '(') ++parens_;
    if (c == ')') --parens_;
    const bool blank = std::isspace(static_cast<unsigned char>(c)) != 0;
    if (head_.empty()) first_line_ = line_;
    if (!blank) {
      head_ += c;
    } else if (!head_.empty() && head_.back() != ' ') {
      head_ += ' ';
    }
  }

  bool declares() const {
    const Kind kind = scopes_.back().kind;
    return kind == Kind::space || kind == Kind::type;
  }

  bool is_access_label() const {
    return scopes_.back().kind == Kind::type &&
           (head_ == "public" || head_ == "private" || head_ == "protected");
  }

  bool around_is_public() const {
    return scopes_.size() < 2 || scopes_[scopes_.size() - 2].is_public;
  }

  // What the brace opens, judged by the text before it.
  Kind kind_of_brace() const {
    if (!declares() || parens_ > 0) return Kind::braces;
    if (before_ != ' ' && before_ != '\n') return Kind::braces;
    const std::string_view head = trimmed();
    if (head.ends_with('=') || head.ends_with(',') || head.ends_with("requires")) {
      return Kind::braces;
    }
    const std::string first = first_word(head);
    const bool linkage = first == "extern" && head.find('(') == head.npos;
    if (first == "namespace" || linkage || head.empty()) return Kind::space;
    if (first == "enum") return Kind::enumeration;
    if (first == "class" || first == "struct" || first == "union") return Kind::type;
    return head.find('(') == head.npos ? Kind::braces : Kind::function;
  }

  void open() {
    Scope scope;
    scope.kind = kind_of_brace();
    scope.outer_parens = parens_;
    scope.first_line = first_line_;
    scope.head = head_;
    scope.is_public = scopes_.back().is_public;
    if (scope.kind == Kind::type || scope.kind == Kind::enumeration) {
      add(Declaration::Kind::type, head_, first_line_, line_);
      if (first_word(trimmed()) == "class") scope.is_public = false;
      // A specialisation of somebody else's template keeps that template's promise.
      if (head_.starts_with("template <>")) scope.is_public = false;
    } else if (scope.kind == Kind::space && trimmed() != "namespace tern") {
      scope.is_public = false;  // the promise lives in tern, everything else is a room's
    }
    scopes_.push_back(scope);
    parens_ = 0;
    head_.clear();
  }

  void close() {
    if (scopes_.size() == 1) return;
    const Scope scope = scopes_.back();
    scopes_.pop_back();
    parens_ = scope.outer_parens;
    head_.clear();
    if (scope.kind == Kind::function) {
      add(Declaration::Kind::function_body, scope.head, scope.first_line, line_);
    } else if (scope.kind == Kind::braces && declares()) {
      head_ = scope.head + "{}";
      first_line_ = scope.first_line;
    }
  }

  void add(Declaration::Kind kind, std::string_view head, std::size_t first, std::size_t last) {
    found_.push_back({kind, std::string(head), first, last, scopes_.back().is_public});
  }

  std::string_view trimmed() const {
    std::string_view head = head_;
    while (head.ends_with(' ')) head.remove_suffix(1);
    return head;
  }

  // The first word behind template<…> and attributes.
  static std::string first_word(std::string_view head) {
    if (head.starts_with("template")) {
      std::size_t at = head.find('<');
      int depth = 0;
      for (; at < head.size(); ++at) {
        if (head[at] == '<') ++depth;
        if (head[at] == '>' && --depth == 0) break;
      }
      head.remove_prefix(std::min(at + 1, head.size()));
      while (head.starts_with(' ')) head.remove_prefix(1);
    }
    if (head.starts_with("inline namespace")) return "namespace";
    return std::string(head.substr(0, head.find_first_of(" :{(")));
  }

  std::vector<Scope> scopes_{Scope{}};
  std::vector<Declaration> found_;
  std::string head_;
  std::size_t first_line_ = 1;
  std::size_t line_ = 1;
  int parens_ = 0;
  char before_ = '\n';
};

}  // namespace tern::test
