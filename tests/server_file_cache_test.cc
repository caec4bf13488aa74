// Answers with small files that a worker keeps: when they count, that each change of a file is
// seen, and the bounds.
#include "http/body_source.h"
#include "server/file_cache.h"
#include "server/files.h"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

namespace fs = std::filesystem;

/// A folder whose files were changed in 2001.
struct Site {
  Site() {
    std::string name = (fs::temp_directory_path() / "tern_cache_XXXXXX").string();
    root = ::mkdtemp(name.data());
    fs::create_directories(root / "public/docs");
    write("public/index.html", "start");
    write("public/app.js", "0123456789");
    write("public/docs/index.html", "docs");
    write("public/docs/a b.txt", "spaces");
    write("public/none", "");
  }
  ~Site() { fs::remove_all(root); }
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  void write(std::string_view path, std::string_view text) const {
    std::ofstream(root / path, std::ios::binary) << text;
    const timespec times[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
    ::utimensat(AT_FDCWD, (root / path).c_str(), times, 0);
  }

  fs::path root{};
};

/// The files of that folder, and the cache of a worker that also keeps files of this moment.
struct KeptSite {
  explicit KeptSite(FilesOptions options = {}, server::FileCache::Bounds bounds = {.settled = {}})
      : files("/", (site.root / "public").string(), std::move(options)), cache(bounds) {
    EXPECT_TRUE(files.open());
  }

  /// The body of the answer; "(404)" if there is none. Whether it was kept before is in `hit`.
  std::string get(const std::string& path, std::vector<HeaderField> fields = {},
                  std::string_view method = "GET") {
    const server::FileAnswer answer =
        files.answer(Request({.method = method, .target = path, .fields = fields}), cache);
    kept = answer.kept != nullptr;
    auto& last = bodies[path.substr(0, path.find('?'))];
    hit = kept && answer.kept->shared_body() == last;
    if (kept) last = answer.kept->shared_body();
    if (answer.get() == nullptr) return "(404)";
    if (answer.get()->source() == nullptr) return std::string(answer.get()->body());
    std::array<std::byte, 1000> bytes;
    const auto got = answer.get()->source()->read(bytes);
    return {reinterpret_cast<const char*>(bytes.data()), got.value_or(0)};
  }
  bool hits(const std::string& path) {
    get(path);
    return hit;
  }
  fs::path at(const std::string& path) const { return site.root / "public" / path; }

  Site site{};
  server::FileSite files;
  server::FileCache cache;
  bool hit = false;
  bool kept = false;
  std::map<std::string, std::shared_ptr<const std::string>> bodies{};  // the last one of each path
};

TEST(ServerFileCache, ASmallFileIsAnsweredFromMemory) {
  KeptSite site({.cache_control = {{"*.js", "max-age=60"}}});
  EXPECT_EQ(site.get("/app.js"), "0123456789");
  EXPECT_FALSE(site.hit);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(site.get("/app.js?v=" + std::to_string(i)), "0123456789");
    EXPECT_TRUE(site.hit);
  }
  site.get("/app.js", {}, "HEAD");
  EXPECT_TRUE(site.hit);
  EXPECT_EQ(site.get("/"), "start");
  EXPECT_EQ(site.get("/"), "start");
  EXPECT_TRUE(site.hit);
  EXPECT_EQ(site.get("/none"), "");
  EXPECT_TRUE(site.hits("/none"));
  EXPECT_EQ(site.cache.files(), 3u);
  EXPECT_EQ(site.cache.bytes(), 15u);
}

// The fields of an answer from memory are those of an answer from the disk.
TEST(ServerFileCache, TheAnswerIsTheSame) {
  KeptSite site({.cache_control = {{"*.js", "max-age=60"}}});
  const auto fields_of = [&] {
    const server::FileAnswer answer =
        site.files.answer(Request({.method = "GET", .target = "/app.js"}), site.cache);
    return std::pair(answer.get()->code(), answer.get()->fields());
  };
  server::FileCache none({.file_bytes = 0, .settled = {}});
  const server::FileAnswer disk =
      site.files.answer(Request({.method = "GET", .target = "/app.js"}), none);
  EXPECT_EQ(disk.kept, nullptr);
  const auto expected = std::pair(disk.get()->code(), disk.get()->fields());
  EXPECT_EQ(fields_of(), expected);
  EXPECT_EQ(fields_of(), expected);
}

TEST(ServerFileCache, EachChangeIsSeen) {
  KeptSite site;
  const auto keep = [&](const std::string& path) {
    site.get(path);
    EXPECT_TRUE(site.hits(path)) << path;
  };
  keep("/app.js");
  site.site.write("public/app.js", "written in place");
  EXPECT_EQ(site.get("/app.js"), "written in place");
  keep("/app.js");
  fs::rename(site.at("docs/a b.txt"), site.at("app.js"));
  EXPECT_EQ(site.get("/app.js"), "spaces");
  keep("/app.js");
  fs::remove(site.at("app.js"));
  EXPECT_EQ(site.get("/app.js"), "(404)");
  fs::create_directory(site.at("app.js"));
  EXPECT_EQ(site.get("/app.js"), "(404)") << "an empty folder";
  keep("/docs/");
  fs::rename(site.at("docs"), site.at("old"));
  EXPECT_EQ(site.get("/docs/"), "(404)");
  // A link that leads to another release.
  fs::create_directories(site.at("one"));
  fs::create_directories(site.at("two"));
  site.site.write("public/one/x", "one");
  site.site.write("public/two/x", "two");
  fs::create_symlink("one", site.at("now"));
  EXPECT_EQ(site.get("/now/x"), "one");
  keep("/now/x");
  fs::create_symlink("two", site.at("next"));
  fs::rename(site.at("next"), site.at("now"));
  EXPECT_EQ(site.get("/now/x"), "two");
}

// The file is the same, but it lies outside of the folder now.
TEST(ServerFileCache, AnOldAnswerIsMadeAnew) {
  KeptSite site({}, {.settled = {}, .age = {}});
  EXPECT_EQ(site.get("/docs/"), "docs");
  EXPECT_TRUE(site.kept);
  fs::rename(site.at("docs"), site.site.root / "outside");
  fs::create_symlink(site.site.root / "outside", site.at("docs"));
  EXPECT_EQ(site.get("/docs/"), "(404)");
}

// Two changes within the granularity of the time of a file look like one.
TEST(ServerFileCache, AFileThatWasChangedLatelyIsNotKept) {
  KeptSite site({}, {});
  EXPECT_EQ(site.get("/app.js"), "0123456789");
  EXPECT_FALSE(site.kept);
  EXPECT_EQ(site.cache.files(), 0u);
}

TEST(ServerFileCache, AnAnswerThatDependsOnMoreIsMadeAnew) {
  KeptSite site({.index = {"first.html", "index.html"}});
  EXPECT_EQ(site.get("/"), "start");
  EXPECT_FALSE(site.kept);
  site.site.write("public/first.html", "first");
  EXPECT_EQ(site.get("/"), "first") << "it goes before the other one";
  EXPECT_TRUE(site.hits("/"));
  EXPECT_EQ(site.get("/app.js", {{"Range", "bytes=2-4"}}), "234");
  EXPECT_FALSE(site.kept);
  EXPECT_EQ(site.get("/app.js"), "0123456789");
  for (const char* const name : {"Range", "range", "If-None-Match", "if-modified-since", "If-Match",
                                 "If-Unmodified-Since", "If-Range"}) {
    site.get("/app.js", {{"Accept", "*/*"}, {name, "x"}});
    EXPECT_FALSE(site.kept) << name;
  }
  for (const char* const method : {"OPTIONS", "POST", "get"}) {
    site.get("/app.js", {}, method);
    EXPECT_FALSE(site.kept) << method;
  }
  EXPECT_TRUE(site.hits("/app.js"));
  KeptSite copies({.precompressed = true});
  EXPECT_EQ(copies.get("/app.js"), "0123456789");
  EXPECT_FALSE(copies.kept);
}

TEST(ServerFileCache, ALargerFileThatIsRequestedAgainGetsACopyForSendfile) {
  KeptSite site({}, {.least_copied = 10, .copies = 2, .settled = {}});
  const auto has_copy = [&](const std::string& path) {
    const server::FileAnswer answer =
        site.files.answer(Request({.method = "GET", .target = path}), site.cache);
    return answer.kept != nullptr && answer.kept->body_file() >= 0;
  };
  EXPECT_FALSE(has_copy("/app.js")) << "the first request";
  EXPECT_TRUE(has_copy("/app.js"));
  EXPECT_EQ(site.get("/app.js"), "0123456789");
  EXPECT_FALSE(has_copy("/"));
  EXPECT_FALSE(has_copy("/")) << "it is too small";
  for (const char* const name : {"b", "c"}) {
    site.site.write(std::string("public/") + name, "0123456789");
    EXPECT_FALSE(has_copy(std::string("/") + name));
  }
  EXPECT_TRUE(has_copy("/b"));
  EXPECT_FALSE(has_copy("/c")) << "there are enough";
  fs::remove(site.at("b"));
  EXPECT_EQ(site.get("/b"), "(404)");
  EXPECT_TRUE(has_copy("/c"));
}

TEST(ServerFileCache, ItsMemoryIsBounded) {
  KeptSite site({}, {.files = 3, .bytes = 100, .file_bytes = 50, .settled = {}});
  site.site.write("public/large", std::string(51, 'x'));
  EXPECT_EQ(site.get("/large"), std::string(51, 'x'));
  EXPECT_FALSE(site.kept);
  for (char name = 'a'; name <= 'f'; ++name) {
    const std::string path = std::string("/") + name;
    site.site.write("public" + path, std::string(name <= 'c' ? 10 : 40, name));
    EXPECT_EQ(site.get(path).front(), name);
    EXPECT_LE(site.cache.files(), 3u);
    EXPECT_LE(site.cache.bytes(), 100u);
    if (name >= 'b') {
      EXPECT_TRUE(site.hits("/a")) << "it was used after the others";
    }
  }
  EXPECT_FALSE(site.hits("/d"));
}

}  // namespace
}  // namespace tern::test
