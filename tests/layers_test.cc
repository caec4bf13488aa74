// The rules of includes: which room may include which. The tables below are the rules. The tests at
// the end check the tree, and show with invented trees that each rule can fail.
//
// Every #include in include/tern and src is a quoted path to a file of this tree ("tern/close.h",
// "http/head.h") or a header of the system in angle brackets. A room may include itself and the
// rooms of its row; a public header has a room as well. Headers of the system that belong to C or
// to an operating system stand in a table with the rooms that may use them; those of the C++
// library (no dot, no slash in the name) are for everyone.

#include "support/source_tree.h"

#include <cctype>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

using tern::test::Complaints;
using tern::test::join_complaints;
using tern::test::SourceTree;

using Rooms = std::set<std::string_view>;

const std::map<std::string_view, Rooms> may_include = {
    {"base", {}},
    {"simd", {"base"}},
    {"crypto", {"base"}},
    {"http", {"base", "simd"}},
    {"deflate", {"base", "http"}},
    {"handshake", {"base", "crypto", "http", "deflate"}},
    {"frame", {"base", "simd"}},
    {"engine", {"base", "simd", "crypto", "http", "deflate", "handshake", "frame"}},
    {"topics", {"base"}},
    {"net", {"base"}},
    {"bridge", {"base", "topics", "net"}},
    {"tls", {"base", "net"}},
    {"connection", {"base", "http", "engine", "topics", "net"}},
    {"server", {"base", "http", "engine", "topics", "net", "tls", "connection", "bridge"}},
    // Libraries of their own, each with the client library of its broker.
    {"nats", {"base", "http", "tls", "topics", "net", "bridge"}},
    {"redis", {"base", "crypto", "http", "topics", "net", "bridge"}},
    {"client", {"base", "crypto", "http", "engine", "net", "tls", "connection"}},
    // Public headers only, of any room: coroutines are built on the promise.
    {"coroutine", {"base", "http", "engine", "net", "tls", "connection", "server", "client"}},
};

const std::map<std::string_view, std::string_view> room_of_public_header = {
    {"error", "base"},
    {"message", "base"},
    {"close", "base"},
    {"options", "base"},
    {"output_file", "base"},
    {"peer_progress", "base"},
    {"round_trip", "base"},
    {"unique_function", "base"},
    {"observe", "base"},
    {"topics", "topics"},
    {"bridge", "bridge"},
    {"nats", "nats"},
    {"redis", "redis"},
    {"http", "http"},
    {"behind_proxy", "http"},
    {"accept", "engine"},
    {"engine", "engine"},
    {"workspace", "engine"},
    {"event", "engine"},
    {"loop", "net"},
    {"listener", "server"},
    {"files", "server"},
    {"drain", "server"},
    {"tls", "tls"},
    {"connection", "connection"},
    {"session", "connection"},
    {"server", "server"},
    {"testing", "server"},
    {"exchange", "server"},
    {"client", "client"},
    {"dial", "client"},
    {"proxy", "client"},
    {"stage", "client"},
    {"coroutine", "coroutine"},
};

// By the start of the name, the longest match holds.
const std::map<std::string_view, Rooms> users_of_system_header = {
    {"immintrin.h", {"simd"}},
    {"emmintrin.h", {"simd"}},
    {"tmmintrin.h", {"simd"}},
    {"cpuid.h", {"simd"}},
    {"openssl/evp.h", {"crypto"}},
    {"openssl/rand.h", {"crypto"}},
    {"openssl/", {"tls"}},
    {"zlib.h", {"deflate"}},
    {"pthread.h", {"crypto", "net", "server"}},
    {"limits.h", {"net"}},
    {"net/if.h", {"net"}},
    {"sys/mman.h", {"crypto", "net"}},
    {"sys/resource.h", {"server"}},
    {"sys/uio.h", {"engine", "net", "connection"}},
    {"sys/epoll.h", {"net"}},
    {"sys/eventfd.h", {"net"}},
    {"sys/timerfd.h", {"net"}},
    {"sys/signalfd.h", {"net"}},
    {"sys/sendfile.h", {"net"}},
    {"sys/socket.h", {"net"}},
    {"sys/ioctl.h", {"net"}},
    {"linux/openat2.h", {"net"}},
    {"linux/sockios.h", {"net"}},
    {"sys/un.h", {"net"}},
    {"sys/file.h", {"net"}},
    {"sys/stat.h", {"net"}},
    {"sys/syscall.h", {"net"}},
    {"netinet/", {"net"}},
    {"arpa/inet.h", {"net"}},
    {"netdb.h", {"net"}},
    {"fcntl.h", {"net"}},
    {"signal.h", {"net"}},
    {"unistd.h", {"crypto", "net"}},
    {"poll.h", {"client", "bridge", "nats", "redis"}},
    {"nats/", {"nats"}},
    {"hiredis/", {"redis"}},
};

struct Include {
  std::size_t line;
  bool quoted;
  std::string name;
};

std::vector<Include> includes_of(std::string_view content) {
  std::vector<Include> found;
  std::size_t number = 0;
  for (std::string_view line : tern::test::lines_of(content)) {
    ++number;
    const auto skip_blanks = [&] {
      while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    };
    skip_blanks();
    if (!line.starts_with('#')) continue;
    line.remove_prefix(1);
    skip_blanks();
    if (!line.starts_with("include")) continue;
    line.remove_prefix(std::string_view("include").size());
    skip_blanks();
    if (line.empty()) continue;
    const bool quoted = line.front() == '"';
    const auto end = line.find(quoted ? '"' : '>', 1);
    if (end == line.npos) continue;
    found.push_back({number, quoted, std::string(line.substr(1, end - 1))});
  }
  return found;
}

bool is_public(std::string_view path) { return path.starts_with("include/"); }
bool is_header(std::string_view path) { return path.ends_with(".h"); }
bool is_umbrella(std::string_view path) { return path == "include/tern/tern.h"; }
// Only tests of applications need testing.h, and the bridges to brokers are libraries of their own,
// so tern.h leaves them out.
bool is_apart(std::string_view path) {
  return path == "include/tern/testing.h" || path == "include/tern/nats.h" ||
         path == "include/tern/redis.h";
}

// "src/http/head.cc" → "http", "include/tern/loop.h" → "net"; empty when it has none.
std::string_view room_of(std::string_view path) {
  if (is_public(path)) {
    path.remove_prefix(path.rfind('/') + 1);
    const auto room = room_of_public_header.find(path.substr(0, path.find('.')));
    return room == room_of_public_header.end() ? std::string_view() : room->second;
  }
  if (!path.starts_with("src/")) return {};
  path.remove_prefix(std::string_view("src/").size());
  const auto room = may_include.find(path.substr(0, path.find('/')));
  return room == may_include.end() ? std::string_view() : room->first;
}

// The file of the tree that a quoted include names.
std::string path_of(const std::string& include) {
  return (include.starts_with("tern/") ? "include/" : "src/") + include;
}

std::string at(const std::string& path, const Include& include) {
  return path + ":" + std::to_string(include.line) + ": ";
}

Complaints check_quoted(const SourceTree& tree, const std::string& path, const Include& include) {
  const std::string target = path_of(include.name);
  if (!tree.contains(target)) {
    return {at(path, include) + '"' + include.name + "\" is no file of include/tern or src/<room>"};
  }
  if (!is_header(target)) return {at(path, include) + "a source is included"};
  if (is_umbrella(path)) {
    if (is_public(target)) return {};
    return {at(path, include) + "tern.h includes an internal header"};
  }
  if (is_umbrella(target)) return {at(path, include) + "include the part, not tern.h"};
  if (is_public(path) && !is_public(target)) {
    return {at(path, include) + "a public header includes the internal \"" + include.name + '"'};
  }
  const auto from = room_of(path);
  const auto to = room_of(target);
  if (from.empty() || to.empty()) return {};  // check_rooms complains
  if (from == "coroutine" && to != "coroutine" && !is_public(target)) {
    return {at(path, include) + "coroutine may include public headers only"};
  }
  if (from == to || may_include.at(from).contains(to)) return {};
  return {at(path, include) + std::string(from) + " may not include " + std::string(to) + " (\"" +
          include.name + "\")"};
}

Complaints check_system(const std::string& path, const Include& include) {
  const std::string& name = include.name;
  if (name.starts_with("tern/")) return {at(path, include) + "write \"" + name + '"'};
  if (name.find_first_of("./") == name.npos) return {};
  const Rooms* users = nullptr;
  std::size_t longest = 0;
  for (const auto& [start, rooms] : users_of_system_header) {
    if (!name.starts_with(start) || start.size() < longest) continue;
    longest = start.size();
    users = &rooms;
  }
  if (users == nullptr) return {at(path, include) + '<' + name + "> is in no room's table"};
  if (users->contains(room_of(path))) return {};
  return {at(path, include) + '<' + name + "> is not for " + std::string(room_of(path))};
}

Complaints check_includes(const SourceTree& tree) {
  Complaints complaints;
  for (const auto& [path, content] : tree) {
    for (const Include& include : includes_of(content)) {
      const Complaints more =
          include.quoted ? check_quoted(tree, path, include) : check_system(path, include);
      complaints.insert(complaints.end(), more.begin(), more.end());
    }
  }
  return complaints;
}

// Every file stands in a room, every header is guarded.
Complaints check_rooms(const SourceTree& tree) {
  Complaints complaints;
  for (const auto& [path, content] : tree) {
    if (room_of(path).empty() && !is_umbrella(path)) complaints.push_back(path + ": has no room");
    if (is_header(path) && content.find("#pragma once") == content.npos) {
      complaints.push_back(path + ": has no #pragma once");
    }
  }
  return complaints;
}

// Another file than the .cc of the same name includes each header. tern.h includes each public
// header.
Complaints check_everyone_is_used(const SourceTree& tree) {
  std::map<std::string, Rooms> users;
  for (const auto& [path, content] : tree) {
    for (const Include& include : includes_of(content)) {
      if (include.quoted) users[path_of(include.name)].insert(path);
    }
  }
  Complaints complaints;
  for (const auto& [path, content] : tree) {
    if (!is_header(path) || is_umbrella(path)) continue;
    Rooms& by = users[path];
    if (is_public(path)) {
      const bool is_in_tern_h = is_apart(path) || by.contains("include/tern/tern.h");
      if (!is_in_tern_h) complaints.push_back(path + ": is not in tern.h");
      continue;
    }
    const std::string own = path.substr(0, path.size() - 1) + "cc";
    by.erase(own);
    if (by.empty()) complaints.push_back(path + ": no file includes it");
  }
  return complaints;
}

Complaints check_cycles(const SourceTree& tree) {
  Complaints complaints;
  std::set<std::string> finished;
  std::vector<std::string> trail;
  const std::function<void(const std::string&)> visit = [&](const std::string& path) {
    if (finished.contains(path) || !tree.contains(path)) return;
    for (std::size_t i = 0; i < trail.size(); ++i) {
      if (trail[i] != path) continue;
      std::string cycle = "cycle: ";
      for (; i < trail.size(); ++i) cycle += trail[i] + " -> ";
      complaints.push_back(cycle + path);
      return;
    }
    trail.push_back(path);
    for (const Include& include : includes_of(tree.at(path))) {
      if (include.quoted) visit(path_of(include.name));
    }
    trail.pop_back();
    finished.insert(path);
  };
  for (const auto& [path, content] : tree) visit(path);
  return complaints;
}

// Programs show what users can do: of this tree they see the promise, and the pages beside them.
Complaints check_examples(const SourceTree& tree) {
  Complaints complaints;
  for (const auto& [path, content] : tree) {
    for (const Include& include : includes_of(content)) {
      if (!include.quoted || include.name.starts_with("tern/")) continue;
      if (include.name.find('/') == include.name.npos) continue;
      complaints.push_back(at(path, include) + "a program includes \"" + include.name + '"');
    }
  }
  return complaints;
}

void expect_none(const Complaints& complaints) {
  EXPECT_TRUE(complaints.empty()) << join_complaints(complaints);
}

SourceTree library() { return tern::test::read_source_tree(TERN_SOURCE_DIR, {"include", "src"}); }

TEST(Layers, IncludesFollowTheTable) { expect_none(check_includes(library())); }

TEST(Layers, EveryFileHasARoom) { expect_none(check_rooms(library())); }

TEST(Layers, EveryHeaderIsIncluded) { expect_none(check_everyone_is_used(library())); }

TEST(Layers, NoCycles) { expect_none(check_cycles(library())); }

TEST(Layers, ExamplesSeeThePromiseOnly) {
  const auto tree = tern::test::read_source_tree(TERN_SOURCE_DIR, {"examples"});
  expect_none(check_examples(tree));
}

TEST(Layers, TheTreeIsThere) { EXPECT_TRUE(library().contains("include/tern/error.h")); }

// The rules fire. Each tree has one fault; the complaint starts with where it is.

struct Violation {
  std::string_view name;
  SourceTree tree;
  std::string_view complaint;  // contained in the only complaint; empty: there is none
};

template <class Check>
void expect_fires(const std::vector<Violation>& violations, Check check) {
  for (const auto& violation : violations) {
    SCOPED_TRACE(violation.name);
    const Complaints complaints = check(violation.tree);
    if (violation.complaint.empty()) {
      EXPECT_EQ(join_complaints(complaints), "");
      continue;
    }
    ASSERT_EQ(complaints.size(), 1u) << join_complaints(complaints);
    EXPECT_NE(complaints.front().find(violation.complaint), std::string::npos)
        << complaints.front();
  }
}

TEST(LayersFire, Includes) {
  expect_fires(
      {
          {"own room", {{"src/http/a.cc", "#include \"http/a.h\"\n"}, {"src/http/a.h", ""}}, ""},
          {"allowed room", {{"src/http/a.cc", "#include \"base/a.h\""}, {"src/base/a.h", ""}}, ""},
          {"C++ library", {{"src/base/a.cc", "#include <string_view>\n"}}, ""},
          {"room upwards",
           {{"src/http/a.cc", "\n# include \"engine/a.h\"\n"}, {"src/engine/a.h", ""}},
           "src/http/a.cc:2: http may not include engine"},
          {"protocol sees I/O",
           {{"src/engine/a.h", "#include \"net/a.h\"\n"}, {"src/net/a.h", ""}},
           "src/engine/a.h:1: engine may not include net"},
          {"public header of a room upwards",
           {{"src/http/a.cc", "#include \"tern/loop.h\"\n"}, {"include/tern/loop.h", ""}},
           "http may not include net"},
          {"public upwards",
           {{"include/tern/http.h", "#include \"tern/engine.h\"\n"}, {"include/tern/engine.h", ""}},
           "include/tern/http.h:1: http may not include engine"},
          {"public includes internal",
           {{"include/tern/http.h", "#include \"http/a.h\"\n"}, {"src/http/a.h", ""}},
           "a public header includes the internal"},
          {"umbrella includes internal",
           {{"include/tern/tern.h", "#include \"http/a.h\"\n"}, {"src/http/a.h", ""}},
           "tern.h includes an internal header"},
          {"umbrella used",
           {{"src/server/a.cc", "#include \"tern/tern.h\"\n"}, {"include/tern/tern.h", ""}},
           "include the part"},
          {"coroutine goes inside",
           {{"src/coroutine/a.cc", "#include \"net/a.h\"\n"}, {"src/net/a.h", ""}},
           "public headers only"},
          {"source",
           {{"src/http/a.cc", "#include \"http/b.cc\"\n"}, {"src/http/b.cc", ""}},
           "a source is included"},
          {"neighbour without room", {{"src/http/a.cc", "#include \"a.h\"\n"}}, "is no file"},
          {"way up", {{"src/http/a.cc", "#include \"../base/a.h\"\n"}}, "is no file"},
          {"angle brackets", {{"src/http/a.cc", "#include <tern/http.h>\n"}}, "write \"tern/http"},
      },
      check_includes);
}

TEST(LayersFire, SystemHeaders) {
  for (const auto& [header, users] : users_of_system_header) {
    const std::string name = std::string(header) + (header.ends_with('/') ? "in.h" : "");
    for (const auto& [room, row] : may_include) {
      SCOPED_TRACE(name + " in " + std::string(room));
      const SourceTree tree = {{"src/" + std::string(room) + "/a.cc", "#include <" + name + ">\n"}};
      EXPECT_EQ(check_includes(tree).empty(), users.contains(room));
    }
  }
  EXPECT_EQ(check_includes({{"src/net/a.cc", "#include <boost/asio.hpp>\n"}}).size(), 1u);
  EXPECT_EQ(check_includes({{"include/tern/http.h", "#include <zlib.h>\n"}}).size(), 1u);
}

TEST(LayersFire, Rooms) {
  expect_fires(
      {
          {"good", {{"src/http/a.h", "#pragma once\n"}}, ""},
          {"no such room", {{"src/utils/a.cc", ""}}, "src/utils/a.cc: has no room"},
          {"outside of rooms", {{"src/a.cc", ""}}, "src/a.cc: has no room"},
          {"unknown public header", {{"include/tern/x.h", "#pragma once\n"}}, "has no room"},
          {"unguarded", {{"src/http/a.h", "int x;\n"}}, "has no #pragma once"},
      },
      check_rooms);
}

TEST(LayersFire, UnusedHeaders) {
  expect_fires(
      {
          {"used", {{"src/http/a.h", ""}, {"src/http/b.cc", "#include \"http/a.h\"\n"}}, ""},
          {"not used", {{"src/http/a.h", ""}}, "src/http/a.h: no file includes it"},
          {"used by itself only",
           {{"src/http/a.h", ""}, {"src/http/a.cc", "#include \"http/a.h\"\n"}},
           "src/http/a.h: no file includes it"},
          {"public, not in tern.h",
           {{"include/tern/http.h", ""}, {"src/http/b.cc", "#include \"tern/http.h\"\n"}},
           "include/tern/http.h: is not in tern.h"},
      },
      check_everyone_is_used);
}

TEST(LayersFire, Cycles) {
  expect_fires(
      {
          {"line", {{"src/net/a.h", "#include \"net/b.h\"\n"}, {"src/net/b.h", ""}}, ""},
          {"itself", {{"src/net/a.h", "#include \"net/a.h\"\n"}}, "src/net/a.h -> src/net/a.h"},
          {"circle",
           {{"src/net/a.h", "#include \"net/b.h\"\n"},
            {"src/net/b.h", "#include \"net/c.h\"\n"},
            {"src/net/c.h", "#include \"net/a.h\"\n"}},
           "src/net/a.h -> src/net/b.h -> src/net/c.h -> src/net/a.h"},
          {"public circle",
           {{"include/tern/close.h", "#include \"tern/error.h\"\n"},
            {"include/tern/error.h", "#include \"tern/close.h\"\n"}},
           "include/tern/close.h -> include/tern/error.h -> include/tern/close.h"},
      },
      check_cycles);
}

TEST(LayersFire, Examples) {
  expect_fires(
      {
          {"promise and page",
           {{"examples/a.cc", "#include \"tern/tern.h\"\n#include \"page.h\"\n"}},
           ""},
          {"internal", {{"examples/a.cc", "#include \"net/fd.h\"\n"}}, "a program includes"},
      },
      check_examples);
}

}  // namespace
