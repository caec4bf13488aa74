// House rules that no tool checks: the length of files and functions, words and calls that may not
// appear, and a docstring for every public name. clang-format checks the layout, with the length of
// lines. The rules read lines, not C++: clang-format has laid the files out, so an indentation
// tells what a line belongs to. The last tests show on made-up text that each rule fires.

#include "support/source_tree.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace {

using tern::test::Complaints;
using tern::test::join_complaints;
using tern::test::lines_of;

constexpr std::size_t max_file_lines = 600;
constexpr std::size_t max_library_file_lines = 400;  // in src and include
constexpr std::size_t max_function_lines = 60;
constexpr std::size_t max_test_name = 60;

std::string at(const std::string& path, std::size_t line) {
  return path + ":" + std::to_string(line) + ": ";
}

std::size_t indent_of(std::string_view line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

// A line without its comment and without the insides of literals.
std::string code_of(std::string_view line) {
  static const std::regex literals(R"("(\\.|[^"\\])*"|'(\\.|[^'\\])')");
  const std::string code = std::regex_replace(std::string(line), literals, R"("")");
  return code.substr(0, code.find("//"));
}

// A function's body ends in a line that is only "}". It begins at the last line above that has the
// same indentation. Types, tables and namespaces end otherwise.
Complaints check_lengths(const std::string& path, std::string_view content) {
  Complaints complaints;
  const auto lines = lines_of(content);
  const bool library = path.starts_with("src/") || path.starts_with("include/");
  const std::size_t most = library ? max_library_file_lines : max_file_lines;
  if (lines.size() > most) {
    complaints.push_back(at(path, lines.size()) + "more than " + std::to_string(most) + " lines");
  }
  std::map<std::size_t, std::size_t> last;  // by indentation
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::size_t indent = indent_of(lines[i]);
    const std::string_view text = lines[i].substr(indent);
    if (text.empty() || text.starts_with('#')) continue;
    if (text == "}" && last.contains(indent) && i - last[indent] + 1 > max_function_lines) {
      complaints.push_back(at(path, last[indent] + 1) + "a function of more than 60 lines");
    }
    last[indent] = i;
  }
  return complaints;
}

// The name of a test states its rule in at most 60 characters.
Complaints check_test_names(const std::string& path, std::string_view content) {
  static const std::regex test(R"(^(TYPED_)?TEST(_F|_P)?\(\w+,\s*(\w+)\))");
  Complaints complaints;
  const auto lines = lines_of(content);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].find("TEST") == std::string_view::npos) continue;
    std::string line(lines[i]);
    if (line.ends_with(',') && i + 1 < lines.size()) line += lines[i + 1];
    std::smatch match;
    if (!std::regex_search(line, match, test) || match.str(3).size() <= max_test_name) continue;
    complaints.push_back(at(path, i + 1) + "a test name of more than 60 characters");
  }
  return complaints;
}

// A pattern that the code (not comments or literals) of files may not contain. It holds for paths
// that start with `path`, except for those that start with one of the exceptions.
struct Ban {
  std::string_view path;
  std::string_view word;  // part of all that the pattern matches: it is found faster
  std::string_view pattern;
  std::string_view why;
  std::vector<std::string_view> except = {};
};

const std::vector<Ban>& bans() {
  static const std::vector<Ban> table = {
      {"", "friend", R"(\bfriend\b)", "no friend"},
      // Literals are the exception, outside of the library: without them 10s is a mouthful.
      {"", "using namespace",
       R"(\busing namespace (?!std::(chrono|string_view|string)?_?literals\b))",
       "no using namespace"},
      {"include/", "using namespace", R"(\busing namespace\b)", "no using namespace"},
      {"src/", "using namespace", R"(\busing namespace\b)", "no using namespace"},
      {"", "goto", R"(\bgoto\b)", "no goto"},
      {"src/engine/", "system_clock", R"(\bsystem_clock\b)",
       "time is told to the engine, and steady"},
      {"src/net/", "system_clock", R"(\bsystem_clock\b)", "timers follow the steady clock"},
      {"src/",
       "sig",
       R"(\b(signal|sigaction|sigprocmask)\s*\()",
       "the host's signals are left alone",
       {"src/nats/library"}},  // which undoes what libnats does to them
      {"src/", "set", R"(\b(setlocale|setrlimit)\s*\()", "the host is left alone"},
      {"src/", "rand", R"(\bs?rand\s*\()", "randomness comes from crypto/random"},
      {"src/", "std::c", R"(\bstd::(cout|cerr|clog)\b)",
       "the library is silent; there is a LogSink"},
      {"src/",
       "(",
       R"(\b(printf|puts|perror)\s*\()",
       "the library is silent; there is a LogSink",
       {"src/base/assert"}},
      // write() to a socket whose peer is gone raises SIGPIPE; only an eventfd may be written so.
      {"src/",
       "write",
       R"((^|[^\w>])::writev?\s*\()",
       "write to sockets with MSG_NOSIGNAL",
       {"src/net/event"}},
      {"tests/", "sleep", R"(\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\()",
       "wait for the event"},
  };
  return table;
}

bool applies(const Ban& ban, std::string_view path) {
  if (!path.starts_with(ban.path)) return false;
  for (std::string_view exception : ban.except) {
    if (path.starts_with(exception)) return false;
  }
  return true;
}

// Split, so that this file has none.
constexpr std::array<std::string_view, 3> leftovers = {
    "TO"
    "DO",
    "FIX"
    "ME",
    "XX"
    "X:"};

Complaints check_words(const std::string& path, std::string_view content) {
  Complaints complaints;
  const auto lines = lines_of(content);
  for (const Ban& ban : bans()) {
    if (!applies(ban, path)) continue;
    const std::regex pattern{std::string(ban.pattern)};
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (lines[i].find(ban.word) != lines[i].npos &&
          std::regex_search(code_of(lines[i]), pattern)) {
        complaints.push_back(at(path, i + 1) + std::string(ban.why));
      }
    }
  }
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto left = std::ranges::find_if(
        leftovers, [&](std::string_view word) { return lines[i].find(word) != lines[i].npos; });
    if (left != leftovers.end()) complaints.push_back(at(path, i + 1) + "something was left to do");
  }
  return complaints;
}

// Every call that sends on a socket has MSG_NOSIGNAL.
Complaints check_sends(const std::string& path, std::string_view content) {
  Complaints complaints;
  if (!path.starts_with("src/")) return complaints;
  static const std::regex call(R"((^|[^\w>])::(send|sendto|sendmsg|sendmmsg)\s*\()");
  const auto lines = lines_of(content);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].find("::send") == lines[i].npos) continue;
    std::string statement = code_of(lines[i]);
    if (!std::regex_search(statement, call)) continue;
    for (std::size_t next = i + 1; next < lines.size() && !statement.ends_with(';'); ++next) {
      statement += code_of(lines[next]);
    }
    if (statement.find("MSG_NOSIGNAL") == statement.npos) {
      complaints.push_back(at(path, i + 1) + "sends without MSG_NOSIGNAL");
    }
  }
  return complaints;
}

// Reads a public header and finds the declarations that need a docstring and have none. A docstring
// also documents the declarations below it, up to the next blank line or type.
class Docstrings {
 public:
  Docstrings(std::string path, std::string_view content)
      : path_(std::move(path)), lines_(lines_of(content)) {}

  Complaints check() {
    for (number_ = 0; number_ < lines_.size(); ++number_) take(lines_[number_]);
    return std::move(complaints_);
  }

 private:
  struct Scope {
    std::size_t indent;  // of its members
    bool is_public;
  };

  void take(std::string_view line) {
    const std::size_t indent = indent_of(line);
    const std::string_view text = line.substr(indent);
    if (text.empty()) {
      documented_ = false;
    } else if (text.starts_with('}') && indent <= scopes_.back().indent) {
      // At the indentation of the members, it ends a function's body or else the namespace.
      if (indent < scopes_.back().indent || !in_body_) {
        if (scopes_.size() > 1) scopes_.pop_back();
        documented_ = false;
      }
      in_body_ = false;
    } else if (text == "public:" || text == "private:" || text == "protected:") {
      scopes_.back().is_public = text == "public:" && scopes_[scopes_.size() - 2].is_public;
    } else if (text.starts_with("namespace ")) {
      if (text.ends_with('{')) scopes_.push_back({indent, text == "namespace tern {"});
    } else if (text.starts_with("///")) {
      documented_ = true;
    } else if (indent == scopes_.back().indent && !text.starts_with("//") && text[0] != '#') {
      declare(indent);
    }
  }

  // Takes the lines of one declaration, to its ';' or to the '{' of its body.
  void declare(std::size_t indent) {
    const std::size_t first = number_;
    std::string head = code_of(lines_[number_].substr(indent));
    while (head.find_first_of(";{}") == head.npos && number_ + 1 < lines_.size()) {
      const std::string_view next = lines_[number_ + 1];
      if (indent_of(next) < indent) break;  // the last value of an enumeration has no ';'
      ++number_;
      head += ' ' + code_of(next.substr(indent_of(next)));
    }
    static const std::regex type(R"(^(template <.*> )?(class|struct|union|enum)\b[^;]*\{.*)");
    const bool is_type = std::regex_match(head, type);
    const bool trailing = lines_[number_].find("///<") != std::string_view::npos;
    if (!documented_ && !trailing && scopes_.back().is_public &&
        needs_docstring(head, is_type, number_ == first)) {
      complaints_.push_back(at(path_, first + 1) + "has no docstring: " + head.substr(0, 60));
    }
    in_body_ = !is_type && head.ends_with('{');
    if (!is_type) return;
    documented_ = false;
    // The members of an enumeration are values, those of a specialisation belong to its template.
    const bool open = scopes_.back().is_public && head.find("class ") == head.npos &&
                      !head.starts_with("template <>");
    if (!head.ends_with('}') && head.find('}') == head.npos) {
      scopes_.push_back({indent + 2, open && !head.starts_with("enum")});
    }
  }

  // These explain themselves: copies, moves, conversions to bool, and constructors and accessors on
  // one line. A function that is defined outside of its class has its docstring inside.
  static bool needs_docstring(const std::string& head, bool is_type, bool one_line) {
    static const std::regex exempt(
        R"(^(template <>|static_assert|using |typedef |~|virtual ~|friend ).*)"
        R"(|.*= (default|delete);.*)"
        R"(|.*\boperator(=| bool) ?\(.*)"
        R"(|(\w+)\((const )?\4&&?.*)"
        R"(|(template <[^()]*> )?[^(]*\w(<.*>)?::~?\w+\(.*)");
    static const std::regex exempt_on_one_line(
        R"(((constexpr|explicit|inline) )*(\w+\(.*|[^()]*\(\) const( noexcept)?) \{.*\}$)");
    if (is_type) return !head.starts_with("template <>");
    static const std::regex function(R"(^[^=(]*(\boperator[^(]+)?\((?!\*).*)");
    static const std::regex requirement(R"(requires\([^()]*(\([^()]*\))?[^()]*\) )");
    std::string bare = std::regex_replace(head, requirement, "");
    static const std::regex arguments(R"(<[^<>]*>)");  // of templates; a '(' there is no function
    if (bare.find("operator") == bare.npos) {
      for (std::string before; before != bare;) {
        before = bare;
        bare = std::regex_replace(before, arguments, "");
      }
    }
    return std::regex_match(bare, function) && !std::regex_match(head, exempt) &&
           !std::regex_match(bare, exempt) &&
           !(one_line && std::regex_match(head, exempt_on_one_line));
  }

  std::string path_;
  std::vector<std::string_view> lines_;
  std::size_t number_ = 0;
  bool documented_ = false;
  bool in_body_ = false;  // of a function, behind its '{'
  std::vector<Scope> scopes_{{0, false}};
  Complaints complaints_;
};

Complaints check_docstrings(const std::string& path, std::string_view content) {
  return path.starts_with("include/") ? Docstrings(path, content).check() : Complaints{};
}

using Check = Complaints (*)(const std::string& path, std::string_view content);

void expect_none_in_tree(Check check) {
  const auto tree = tern::test::read_source_tree(
      TERN_SOURCE_DIR, {"include", "src", "tests", "fuzz", "bench", "examples", "tools"});
  EXPECT_FALSE(tree.empty());
  std::string all;
  for (const auto& [path, content] : tree) all += join_complaints(check(path, content));
  EXPECT_TRUE(all.empty()) << all;
}

TEST(Tidy, Lengths) { expect_none_in_tree(check_lengths); }

TEST(Tidy, TestNames) { expect_none_in_tree(check_test_names); }

TEST(Tidy, Words) { expect_none_in_tree(check_words); }

TEST(Tidy, SendsRaiseNoSignal) { expect_none_in_tree(check_sends); }

TEST(Tidy, PublicNamesHaveDocstrings) { expect_none_in_tree(check_docstrings); }

// Returns the output of a shell command.
std::string output_of(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return "popen failed";
  std::array<char, 4096> buffer;
  while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    output.append(buffer.data(), size);
  }
  ::pclose(pipe);
  return output;
}

// Only one version's opinion is the rule: they differ in small things.
std::string clang_format() {
  for (const std::string name : {"clang-format-14", "clang-format"}) {
    if (output_of(name + " --version 2>/dev/null").find("version 14.") != std::string::npos) {
      return name;
    }
  }
  return {};
}

class Format : public testing::Test {
 protected:
  void SetUp() override {
    tool_ = clang_format();
    if (!tool_.empty()) return;
    ASSERT_NE(output_of("clang-format --version 2>/dev/null"), "") << "install clang-format";
    GTEST_SKIP() << "the rule is clang-format 14's opinion; this is another one";
  }

  std::string complaints_of(const std::string& files) const {
    return output_of("cd '" TERN_SOURCE_DIR "' && " + tool_ + " --style=file:.clang-format " +
                     "--dry-run --Werror " + files + " 2>&1");
  }

 private:
  std::string tool_;
};

TEST_F(Format, EveryFile) {
  std::string files;
  for (const auto& [path, content] : tern::test::read_source_tree(
           TERN_SOURCE_DIR, {"include", "src", "tests", "fuzz", "bench", "examples", "tools"})) {
    files += " '" + path + "'";
  }
  const std::string complaints = complaints_of(files);
  EXPECT_TRUE(complaints.empty()) << "run `make format`\n" << complaints.substr(0, 4000);
}

TEST_F(Format, Fires) {
  const std::string path = testing::TempDir() + "tern_format_fires.cc";
  // Blanks; a line and a comment of more than 100 columns.
  for (const std::string& text :
       {std::string("int  x;"), "int x = f(" + std::string(90, '1') + ", 2);",
        "// words " + std::string(90, 'w') + " and words"}) {
    std::ofstream(path) << text << '\n';
    EXPECT_NE(complaints_of("'" + path + "'"), "") << text;
  }
  std::filesystem::remove(path);
}

// The rules fire.

struct Sample {
  std::string_view path;
  std::string_view content;
  std::string_view complaint;  // start of the only complaint behind the path; empty: there is none
};

void expect_fires(Check check, const std::vector<Sample>& samples) {
  for (const Sample& sample : samples) {
    SCOPED_TRACE(sample.content.substr(0, 200));
    const Complaints complaints = check(std::string(sample.path), sample.content);
    if (sample.complaint.empty()) {
      EXPECT_EQ(join_complaints(complaints), "");
      continue;
    }
    ASSERT_EQ(complaints.size(), 1u) << join_complaints(complaints);
    const std::string start = std::string(sample.path) + ":" + std::string(sample.complaint);
    EXPECT_TRUE(complaints.front().starts_with(start)) << complaints.front();
  }
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST(TidyFires, Lengths) {
  const std::string a400 = repeated("\n", 400);
  const std::string a600 = repeated("\n", 600);
  const std::string a601 = repeated("\n", 601);
  const std::string body58 = repeated("  x();\n", 58);
  const std::string body59 = repeated("  x();\n", 59);
  expect_fires(check_lengths, {
                                  {"a.cc", a600, ""},
                                  {"a.cc", a601, "601: more than 600 lines"},
                                  {"src/a.cc", a400, ""},
                                  {"src/a.cc", a400 + "\n", "401: more than 400 lines"},
                                  {"include/a.h", a400 + "\n", "401: more than 400 lines"},
                                  {"a.cc", "void f() {\n" + body58 + "}\n", ""},
                              });
  for (const std::string head : {
           "void f() {\n",
           "namespace {\nS::S(int a) : a_{a}, b_(a), c_{} {\n",
           "auto f(int a = {}) -> int {\n",
           "TEST(A, B) {\n",
           "void g();\ntemplate <class T>\nvoid f(T t) {\n",
           "extern \"C\" int f(int a) {\n",
           "bool operator<(const A& a, const A& b) {\n",
       }) {
    SCOPED_TRACE(head);
    EXPECT_EQ(check_lengths("a.cc", head + body59 + "}\n").size(), 1u);
  }
  const std::string member = "struct S {\n  void f() const override {\n";
  EXPECT_EQ(check_lengths("a.cc", member + repeated("    x();\n", 59) + "  }\n};\n").size(), 1u);
  for (const auto& [head, end] : std::map<std::string, std::string>{
           {"struct S {\n", "};\n"},
           {"namespace n {\n", "}  // namespace n\n"},
           {"const std::vector<int> table = {\n", "};\n"},
       }) {
    SCOPED_TRACE(head);
    EXPECT_EQ(join_complaints(check_lengths("a.cc", head + body59 + end)), "");
  }
}

TEST(TidyFires, TestNames) {
  const std::string name60(60, 'a');
  const std::string found = "1: a test name of more than 60 characters";
  expect_fires(check_test_names,
               {
                   {"a.cc", "TEST(A, " + name60 + ") {\n", ""},
                   {"a.cc", "TEST(A, " + name60 + "b) {\n", found},
                   {"a.cc", "\nTEST_F(A, " + name60 + "b) {\n", "2: a test name of"},
                   {"a.cc", "TEST_P(A,\n       " + name60 + "b) {\n", found},
               });
}

TEST(TidyFires, Words) {
  expect_fires(
      check_words,
      {
          {"src/a.h", "class A {\n  friend class B;\n};\n", "2: no friend"},
          {"tests/a.cc", "using namespace std;\n", "1: no using namespace"},
          {"tests/a.cc", "using namespace std::chrono_literals;\n", ""},
          {"src/a.cc", "using namespace std::chrono_literals;\n", "1: no using namespace"},
          {"src/a.cc", "  goto end;\n", "1: no goto"},
          {"src/net/a.cc", "auto t = std::chrono::system_clock::now();\n", "1: timers follow"},
          {"src/engine/a.cc", "using C = std::chrono::system_clock;\n", "1: time is told"},
          {"src/http/a.cc", "auto t = std::chrono::system_clock::now();\n", ""},
          {"src/net/a.cc", "std::signal(SIGPIPE, SIG_IGN);\n", "1: the host's signals"},
          {"src/net/a.cc", "on_signal(SIGINT, f);\n", ""},
          {"src/net/a.cc", "::setrlimit(RLIMIT_NOFILE, &limit);\n", "1: the host is left"},
          {"src/net/a.cc", "int x = rand();\n", "1: randomness"},
          {"src/net/a.cc", "std::cerr << 1;\n", "1: the library is silent"},
          {"src/net/a.cc", "printf(\"x\");\n", "1: the library is silent"},
          {"src/net/a.cc", "std::snprintf(b, 1, \"x\");\n", ""},
          {"src/net/a.cc", "n = ::write(fd, p, n);\n", "1: write to sockets"},
          {"src/net/a.cc", "n = ::writev(fd, p, n);\n", "1: write to sockets"},
          {"src/net/event.cc", "n = ::write(fd, p, n);\n", ""},
          {"src/net/a.cc", "Io Tcp::write(int x) {\n", ""},
          {"tests/a.cc", "std::this_thread::sleep_for(1s);\n", "1: wait for the event"},
          {"examples/a.cc", "std::this_thread::sleep_for(1s);\n", ""},
          {"src/a.cc", "// my friend: goto \n", ""},
          {"src/a.cc", "auto s = \"friend \\\" goto\"; auto r = R\"(friend)\";\n", ""},
          {"src/a.cc", "int n = 1'000; goto end; char c = '\\'';\n", "1: no goto"},
          {"src/a.cc",
           "// TO"
           "DO: later\n",
           "1: something was left"},
          {"docs/a.h",
           "\nint x;  // FIX"
           "ME\n",
           "2: something was left"},
      });
}

TEST(TidyFires, Sends) {
  expect_fires(check_sends,
               {
                   {"src/net/a.cc", "int n = ::send(fd, p,\n  MSG_NOSIGNAL);\n", ""},
                   {"src/net/a.cc", "\nreturn ::sendmsg(fd, &m, 0);\n", "2: sends without"},
                   {"src/net/a.cc", "x.send(m); Engine::send(m);\n", ""},
               });
}

TEST(TidyFires, Docstrings) {
  const auto in_tern = [](std::string_view text) {
    return "namespace tern {\n" + std::string(text) + "}\n";
  };
  for (std::string_view good : {
           "/// A.\nclass A {\n public:\n  /// B.\n  int b() const;\n\n private:\n  int c();\n};\n",
           "/// A.\nstruct A {\n  A() = default;\n  ~A();\n  int x = f();\n};\n",
           "/// A.\nint a();\nint b();\n",
           "namespace engine {\nint a();\n}  // namespace engine\n",
           "class A;\nusing B = int(int);\nstatic_assert(sizeof(int) == 4);\n",
           "inline int A::b() const {\n  return 1;\n}\n",
           "std::function<void(int)> f;\n",
           "/// A.\ntemplate <class T>\nint f(T t);\n",
           "/// A.\nclass A {\n public:\n  A(int a) : a_(a) {}\n  A& operator=(A&& a);\n};\n",
           "/// A.\nclass A {\n public:\n  constexpr int a() const noexcept { return a_; }\n};\n",
           "template <>\nstruct std::hash<A> {\n  int operator()(A a) const;\n};\n",
           "/// A.\nstruct A {\n  void (*f)(int a);\n  A(A&& other) noexcept;\n  A(const "
           "A&);\n};\n",
           "template <class T>\n  requires(f(1))\nvoid A::b(T t) {\n  c();\n}\n",
       }) {
    SCOPED_TRACE(good);
    EXPECT_EQ(join_complaints(check_docstrings("include/tern/a.h", in_tern(good))), "");
  }
  for (std::string_view bad : {
           "class A {\n};\n",
           "enum class E { a };\n",
           "int a();\n",
           "/// A.\nint a();\n\nint b();\n",
           "/// A.\nclass A {\n public:\n  int b() const;\n};\n",
           "/// A.\nstruct A {\n  int b(int x = 1) const {\n    return 1;\n  }\n};\n",
           "template <class T>\nstd::vector<T> f(T t);\n",
           "bool operator<(int a, int b);\n",
           "template <class T>\n  requires(f(1))\nvoid b(T t);\n",
           "/// A.\nclass A {\n public:\n  int a(int b) const { return b; }\n};\n",
           "// A.\nint a();\n",
           "/// E.\nenum class E {\n  a,  ///< b\n  b\n};\n\nstruct A {\n};\n",
           "namespace b {\nclass B;\n}  // namespace b\n\nint a();\n",
           "namespace b {\nclass B;\n}\n\nint a();\n",
       }) {
    SCOPED_TRACE(bad);
    EXPECT_EQ(check_docstrings("include/tern/a.h", in_tern(bad)).size(), 1u);
  }
  EXPECT_EQ(join_complaints(check_docstrings("src/net/a.h", "int a();\n")), "");
}

}  // namespace
