// House rules a compiler does not know: lengths, words and calls that may not appear, a docstring
// for every public name, and clang-format's layout. The last tests show on made-up text that each
// fires.

#include "support/code_text.h"
#include "support/declarations.h"
#include "support/source_tree.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

using tern::test::CodeText;
using tern::test::Complaints;
using tern::test::Declaration;
using tern::test::Declarations;
using tern::test::join_complaints;
using tern::test::lines_of;
using tern::test::SourceTree;

constexpr std::size_t max_file_lines = 600;
constexpr std::size_t max_columns = 100;
constexpr std::size_t max_function_lines = 70;

std::string at(const std::string& path, std::size_t line) {
  return path + ":" + std::to_string(line) + ": ";
}

// Characters of UTF-8 text: all bytes but the continuations.
std::size_t columns_of(std::string_view line) {
  std::size_t columns = 0;
  for (char c : line) columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return columns;
}

Complaints check_lengths(const std::string& path, std::string_view content) {
  Complaints complaints;
  const auto lines = lines_of(content);
  if (lines.size() > max_file_lines) {
    complaints.push_back(at(path, lines.size()) + "more than 600 lines");
  }
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (columns_of(lines[i]) > max_columns) {
      complaints.push_back(at(path, i + 1) + "more than 100 columns");
    }
  }
  for (const Declaration& declaration : Declarations::of(content)) {
    const std::size_t length = declaration.last_line - declaration.first_line + 1;
    if (declaration.kind == Declaration::Kind::function_body && length > max_function_lines) {
      complaints.push_back(at(path, declaration.first_line) + "a function of " +
                           std::to_string(length) + " lines, more than 70");
    }
  }
  return complaints;
}

// Words of code (not of comments or literals) that may not stand in files whose path starts so,
// unless it starts with one of the exceptions.
struct Ban {
  std::string_view path;
  std::string_view pattern;
  std::string_view why;
  std::vector<std::string_view> except = {};
};

const std::vector<Ban>& bans() {
  static const std::vector<Ban> table = {
      {"", R"(\bfriend\b)", "no friend"},
      // Literals are the exception, outside of the library: without them 10s is a mouthful.
      {"", R"(\busing namespace (?!std::(chrono|string_view|string)?_?literals\b))",
       "no using namespace"},
      {"include/", R"(\busing namespace\b)", "no using namespace"},
      {"src/", R"(\busing namespace\b)", "no using namespace"},
      {"", R"(\bgoto\b)", "no goto"},
      {"src/engine/", R"(\bsystem_clock\b)", "time is told to the engine, and steady"},
      {"src/net/", R"(\bsystem_clock\b)", "timers follow the steady clock"},
      {"src/", R"(\b(signal|sigaction|sigprocmask)\s*\()", "the host's signals are left alone"},
      {"src/", R"(\b(setlocale|setrlimit)\s*\()", "the host is left alone"},
      {"src/", R"(\bs?rand\s*\()", "randomness comes from crypto/random"},
      {"src/", R"(\bstd::(cout|cerr|clog)\b)", "the library is silent; there is a LogSink"},
      {"src/",
       R"(\b(printf|puts|perror)\s*\()",
       "the library is silent; there is a LogSink",
       {"src/base/assert"}},
      // write() to a socket whose peer is gone raises SIGPIPE; only an eventfd may be written so.
      {"src/",
       R"((^|[^\w>])::writev?\s*\()",
       "write to sockets with MSG_NOSIGNAL",
       {"src/net/mailbox", "src/net/event"}},
      {"tests/", R"(\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\()", "wait for the event"},
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

Complaints check_words(const std::string& path, std::string_view content) {
  Complaints complaints;
  const std::string code = CodeText::of(content);
  const auto code_lines = lines_of(code);
  for (const Ban& ban : bans()) {
    if (!applies(ban, path)) continue;
    const std::regex pattern{std::string(ban.pattern)};
    for (std::size_t i = 0; i < code_lines.size(); ++i) {
      if (std::regex_search(code_lines[i].begin(), code_lines[i].end(), pattern)) {
        complaints.push_back(at(path, i + 1) + std::string(ban.why));
      }
    }
  }
  const std::regex leftover(
      "\\b(TO"
      "DO|FIX"
      "ME|X"
      "XX)\\b");
  const auto lines = lines_of(content);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (std::regex_search(lines[i].begin(), lines[i].end(), leftover)) {
      complaints.push_back(at(path, i + 1) + "something was left to do");
    }
  }
  return complaints;
}

// Every call that sends on a socket says MSG_NOSIGNAL.
Complaints check_sends(const std::string& path, std::string_view content) {
  Complaints complaints;
  if (!path.starts_with("src/")) return complaints;
  const std::string code = CodeText::of(content);
  const std::regex call(R"((^|[^\w>])::(send|sendto|sendmsg|sendmmsg)\s*\()");
  for (std::sregex_iterator found(code.begin(), code.end(), call), end; found != end; ++found) {
    const auto begin = static_cast<std::size_t>(found->position());
    const std::string_view rest = std::string_view(code).substr(begin);
    const std::string_view statement = rest.substr(0, rest.find(';'));
    if (statement.find("MSG_NOSIGNAL") == statement.npos) {
      const auto before = std::string_view(code).substr(0, begin + 1);
      complaints.push_back(at(path, lines_of(before).size()) + "sends without MSG_NOSIGNAL");
    }
  }
  return complaints;
}

// A constructor or an accessor without arguments that is written on one line says it all itself,
// and so do copying, moving, conversion to bool and a specialisation of somebody else's template.
bool is_obvious(const Declaration& declaration, std::string_view bare) {
  static const std::regex obvious(R"(^(.*\boperator(=| bool) ?\(.*|(\w+)\((const )?\3&&?.*)$)");
  static const std::regex obvious_on_one_line(
      R"(^((constexpr|explicit|inline) )*(\w+\(.*|[^()]*\(\) const( noexcept)? ?)$)");
  const std::string text(bare);
  if (std::regex_match(text, obvious)) return true;
  return declaration.kind == Declaration::Kind::function_body &&
         declaration.first_line == declaration.last_line &&
         std::regex_match(text, obvious_on_one_line);
}

// What remains of a declaration's head before its default argument, initialiser or body, without
// template arguments: there a '(' means that it is a function.
std::string without_angle_brackets(std::string_view head) {
  std::string bare;
  int depth = 0;
  for (std::size_t i = 0; i < head.size(); ++i) {
    const bool is_operator = bare.ends_with("operator") || bare.ends_with("operator<") ||
                             bare.ends_with("operator<=") || bare.ends_with("operator>") ||
                             bare.ends_with("operator-");
    const bool arrow = head[i] == '>' && i > 0 && head[i - 1] == '-';
    if (!is_operator && !arrow && head[i] == '<') ++depth;
    if (depth == 0) bare += head[i];
    if (!is_operator && !arrow && head[i] == '>') --depth;
  }
  return bare;
}

// The same without requires(…).
std::string without_requires(std::string bare) {
  const auto begin = bare.find("requires(");
  if (begin == bare.npos) return bare;
  auto end = bare.find('(', begin) + 1;
  for (int depth = 1; end < bare.size() && depth > 0; ++end) {
    if (bare[end] == '(') ++depth;
    if (bare[end] == ')') --depth;
  }
  return bare.erase(begin, end - begin);
}

bool wants_docstring(const Declaration& declaration) {
  if (!declaration.is_public) return false;
  const std::string_view head = declaration.head;
  std::string bare = without_requires(without_angle_brackets(head));
  if (head.starts_with("template <>") || is_obvious(declaration, bare)) return false;
  if (declaration.kind == Declaration::Kind::type) return true;
  for (std::string_view start : {"static_assert", "using", "typedef", "~", "virtual ~"}) {
    if (head.starts_with(start)) return false;
  }
  if (head.find("= default") != head.npos || head.find("= delete") != head.npos) return false;
  if (bare.find("operator") == bare.npos) bare = bare.substr(0, bare.find(" ="));
  const auto paren = bare.find('(');
  if (paren == bare.npos || bare.substr(paren).starts_with("(*")) return false;
  const auto name = bare.substr(0, paren).find_last_of(" *&") + 1;  // npos + 1 is 0
  // Defined outside of its class, documented inside.
  return bare.substr(name, paren - name).find("::") == std::string::npos;
}

// A docstring stands right above, or above the first of a group of functions without blank lines.
Complaints check_docstrings(const std::string& path, std::string_view content) {
  Complaints complaints;
  if (!path.starts_with("include/")) return complaints;
  const auto lines = lines_of(content);
  std::set<std::size_t> documented_until;
  for (const Declaration& declaration : Declarations::of(content)) {
    std::string_view above = declaration.first_line < 2 ? "" : lines[declaration.first_line - 2];
    above.remove_prefix(std::min(above.find_first_not_of(' '), above.size()));
    const std::string_view line = lines[declaration.last_line - 1];
    if (above.starts_with("///") || line.find("///<") != line.npos ||
        documented_until.contains(declaration.first_line - 1)) {
      if (declaration.kind != Declaration::Kind::type) {
        documented_until.insert(declaration.last_line);
      }
    } else if (wants_docstring(declaration)) {
      complaints.push_back(at(path, declaration.first_line) +
                           "has no docstring: " + declaration.head.substr(0, 60));
    }
  }
  return complaints;
}

using Check = Complaints (*)(const std::string& path, std::string_view content);

void expect_none_in_tree(Check check) {
  const auto tree = tern::test::read_source_tree(
      TERN_SOURCE_DIR, {"include", "src", "tests", "fuzz", "bench", "examples"});
  EXPECT_FALSE(tree.empty());
  std::string all;
  for (const auto& [path, content] : tree) all += join_complaints(check(path, content));
  EXPECT_TRUE(all.empty()) << all;
}

TEST(Tidy, Lengths) { expect_none_in_tree(check_lengths); }

TEST(Tidy, Words) { expect_none_in_tree(check_words); }

TEST(Tidy, SendsRaiseNoSignal) { expect_none_in_tree(check_sends); }

TEST(Tidy, PublicNamesHaveDocstrings) { expect_none_in_tree(check_docstrings); }

// What a shell command prints.
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
           TERN_SOURCE_DIR, {"include", "src", "tests", "fuzz", "bench", "examples"})) {
    files += " '" + path + "'";
  }
  const std::string complaints = complaints_of(files);
  EXPECT_TRUE(complaints.empty()) << "run `make format`\n" << complaints.substr(0, 4000);
}

TEST_F(Format, Fires) {
  const std::string path = testing::TempDir() + "tern_format_fires.cc";
  std::ofstream(path) << "int  x;\n";
  EXPECT_NE(complaints_of("'" + path + "'"), "");
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
  const std::string a600 = repeated("\n", 600);
  const std::string a601 = repeated("\n", 601);
  const std::string c100 = "// " + repeated("é", 97) + "\n";
  const std::string c101 = "// " + repeated("é", 98) + "\n";
  const std::string body68 = repeated("  x();\n", 68);
  const std::string body69 = repeated("  x();\n", 69);
  expect_fires(check_lengths, {
                                  {"a.cc", a600, ""},
                                  {"a.cc", a601, "601: more than 600 lines"},
                                  {"a.cc", c100, ""},
                                  {"a.cc", c101, "1: more than 100 columns"},
                                  {"a.cc", "void f() {\n" + body68 + "}\n", ""},
                              });
  for (const std::string head : {
           "void f() {\n",
           "struct S {\nvoid f() const noexcept override {\n",
           "namespace {\nS::S(int a) : a_{a}, b_(a), c_{} {\n",
           "auto f(int a = {}) -> int {\n",
           "TEST(A, B) {\n",
           "template <class T>\nvoid f(T t) {\n",
           "extern \"C\" int f(int a) {\n",
           "bool operator<(const A& a, const A& b) {\n",
       }) {
    SCOPED_TRACE(head);
    EXPECT_EQ(check_lengths("a.cc", head + body69 + "}\n").size(), 1u);
  }
  for (const std::string head : {
           "struct S {\n",
           "namespace n {\n",
           "const std::vector<int> table = {\n",
           "enum class E : int {\n",
       }) {
    SCOPED_TRACE(head);
    EXPECT_EQ(join_complaints(check_lengths("a.cc", head + body69 + "}\n")), "");
  }
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
          {"src/net/mailbox.cc", "n = ::write(fd, p, n);\n", ""},
          {"src/net/a.cc", "Io Tcp::write(int x) {\n", ""},
          {"tests/a.cc", "std::this_thread::sleep_for(1s);\n", "1: wait for the event"},
          {"examples/a.cc", "std::this_thread::sleep_for(1s);\n", ""},
          {"src/a.cc", "// my friend: goto \n/* friend\n goto */\n", ""},
          {"src/a.cc", "auto s = \"friend \\\" goto\"; auto r = R\"x(friend)\" goto)x\";\n", ""},
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
           "namespace engine {\nint a();\n}\n",
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
       }) {
    SCOPED_TRACE(bad);
    EXPECT_EQ(check_docstrings("include/tern/a.h", in_tern(bad)).size(), 1u);
  }
  EXPECT_EQ(join_complaints(check_docstrings("src/net/a.h", "int a();\n")), "");
}

}  // namespace
