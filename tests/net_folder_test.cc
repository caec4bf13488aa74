// Files of one folder, with both guards: no path and no link leads out of it, and nothing that is
// opened makes the caller wait.
#include "net/folder.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

namespace tern::net {
namespace {

namespace fs = std::filesystem;
using Kind = OpenedFile::Kind;

/// A directory with a folder "public" and a secret beside it.
class Site {
 public:
  Site() {
    std::string name = (fs::temp_directory_path() / "tern_folder_XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    fs::create_directories(root_ / "public" / "a" / "b");
    write("secret", "secret");
    write("public/page.html", "page");
    write("public/a/b/c.txt", "deep");
    write("public/empty", "");
  }
  ~Site() { fs::remove_all(root_); }
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  fs::path at(std::string_view path) const { return root_ / path; }
  void write(std::string_view path, std::string_view text) const {
    std::ofstream(at(path), std::ios::binary) << text;
  }

 private:
  fs::path root_{};
};

std::string text_of(const OpenedFile& file) {
  std::array<std::byte, 64> bytes;
  const auto got = read_at(file.fd.get(), 0, bytes);
  return got ? std::string(reinterpret_cast<const char*>(bytes.data()), *got) : "(failed)";
}

class NetFolder : public testing::TestWithParam<Folder::Guard> {
 protected:
  void SetUp() override {
    ASSERT_FALSE(folder.open(site.at("public").string()));
    if (GetParam() == Folder::Guard::kernel && folder.guard() == Folder::Guard::walk)
      GTEST_SKIP() << "this kernel has no openat2";
    ASSERT_FALSE(folder.open(site.at("public").string(), GetParam()));
  }
  bool is_kernel() const { return GetParam() == Folder::Guard::kernel; }

  Site site{};
  Folder folder{};
};

TEST_P(NetFolder, OpensFilesAndFoldersInside) {
  const OpenedFile page = folder.open_file("page.html");
  EXPECT_EQ(page.kind, Kind::regular);
  EXPECT_EQ(page.facts.size, 4u);
  EXPECT_EQ(text_of(page), "page");
  EXPECT_EQ(text_of(folder.open_file("a/b/c.txt")), "deep");
  EXPECT_EQ(folder.open_file("empty").facts.size, 0u);
  EXPECT_EQ(folder.open_file("a").kind, Kind::folder);
  EXPECT_EQ(folder.open_file("a/b").kind, Kind::folder);
  EXPECT_EQ(folder.open_file("").kind, Kind::folder);
  EXPECT_EQ((::fcntl(page.fd.get(), F_GETFD) & FD_CLOEXEC), FD_CLOEXEC);
}

TEST_P(NetFolder, NoPathLeadsOut) {
  fs::create_symlink(site.at("secret"), site.at("public/absolute"));
  fs::create_symlink("../secret", site.at("public/relative"));
  fs::create_symlink("..", site.at("public/up"));
  fs::create_symlink("/", site.at("public/top"));
  fs::create_symlink("/proc/self/root", site.at("public/magic"));
  fs::create_symlink("loop", site.at("public/loop"));
  const std::string secret = site.at("secret").string();
  const std::vector<std::string> paths = {"../secret",
                                          "a/../../secret",
                                          secret,
                                          "absolute",
                                          "relative",
                                          "up/secret",
                                          "top" + secret,
                                          "magic" + secret,
                                          "loop",
                                          "..",
                                          "a/..",
                                          "/proc/self/root" + secret,
                                          "up/public/up/secret",
                                          "a/b/../../../secret"};
  for (const std::string& path : paths) {
    const OpenedFile file = folder.open_file(path);
    if (file.kind == Kind::folder) continue;  // "a/.." is inside
    EXPECT_EQ(file.kind, Kind::none) << path;
    const int why = file.error.value();
    EXPECT_TRUE(why == EXDEV || why == ELOOP || why == ENOTDIR || why == ENOENT)
        << path << ": " << file.error.message();
  }
  EXPECT_EQ(folder.open_file("..").kind, Kind::none);
}

// The guard for old kernels follows no link at all.
TEST_P(NetFolder, LinksThatStayInsideAreFollowedByTheKernelOnly) {
  fs::create_symlink("page.html", site.at("public/link"));
  fs::create_symlink("../page.html", site.at("public/a/link"));
  fs::create_symlink("a/b", site.at("public/dir"));
  for (const char* const path : {"link", "a/link", "dir/c.txt"}) {
    EXPECT_EQ(folder.open_file(path).kind, is_kernel() ? Kind::regular : Kind::none) << path;
  }
}

TEST_P(NetFolder, AFifoASocketAndADeviceAreNotOpened) {
  const std::string fifo = site.at("public/fifo").string();
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  // To open a FIFO would wake its writer.
  const Fd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  ASSERT_GE(::inotify_add_watch(watch.get(), fifo.c_str(), IN_OPEN), 0);
  EXPECT_EQ(folder.open_file("fifo").kind, Kind::other);
  std::array<char, 512> events{};
  EXPECT_EQ(::read(watch.get(), events.data(), events.size()), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_FALSE(folder.look_at("fifo"));
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = site.at("public/socket").string();
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(folder.open_file("socket").kind, Kind::other);
  ::close(fd);
}

TEST_P(NetFolder, ReportsWhyNothingWasOpened) {
  EXPECT_EQ(folder.open_file("absent").error.value(), ENOENT);
  EXPECT_EQ(folder.open_file("absent/x").error.value(), ENOENT);
  EXPECT_EQ(folder.open_file("page.html/x").error.value(), ENOTDIR);
  EXPECT_EQ(folder.open_file(std::string("page.html\0x", 11)).error.value(), ENOENT);
  EXPECT_EQ(folder.open_file(std::string(300, 'x')).error.value(), ENAMETOOLONG);
  EXPECT_EQ(folder.open_file(std::string(5'000, 'x')).error.value(), ENAMETOOLONG);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const OpenedFile file = folder.open_file("page.html");
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(file.error.value(), EMFILE);
}

TEST_P(NetFolder, FactsTellThatAFileWasChanged) {
  const OpenedFile file = folder.open_file("page.html");
  EXPECT_EQ(facts_of(file.fd.get()), file.facts);
  ASSERT_EQ(::truncate(site.at("public/page.html").c_str(), 2), 0);
  EXPECT_NE(facts_of(file.fd.get()), file.facts);
  const OpenedFile again = folder.open_file("page.html");
  EXPECT_EQ(again.facts.size, 2u);
  const timespec times[2] = {{0, UTIME_OMIT}, {1, 500}};
  ASSERT_EQ(::utimensat(AT_FDCWD, site.at("public/page.html").c_str(), times, 0), 0);
  EXPECT_NE(facts_of(again.fd.get()), again.facts);
  EXPECT_EQ(folder.open_file("page.html").facts.modified.time_since_epoch().count(), 1'000'000'500);
  // Another file of the same name is not this file.
  site.write("public/new", "other");
  fs::rename(site.at("public/new"), site.at("public/page.html"));
  const auto facts = facts_of(again.fd.get());
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->size, 2u);
  std::array<std::byte, 8> bytes;
  EXPECT_EQ(read_at(again.fd.get(), 2, bytes), 0u);
  EXPECT_EQ(read_at(again.fd.get(), 1, bytes), 1u);
  EXPECT_EQ(read_at(-1, 0, bytes), std::nullopt);
  EXPECT_EQ(facts_of(-1), std::nullopt);
}

// A clock that is wrong, or an archive, may give a file any time. Nanoseconds end in the year 2262.
TEST_P(NetFolder, AFileMayHaveAnyTime) {
  for (const std::int64_t seconds :
       {std::int64_t{10'413'792'000}, std::int64_t{1} << 40, -(std::int64_t{1} << 40)}) {
    const timespec times[2] = {{0, UTIME_OMIT}, {seconds, 999'999'999}};
    ASSERT_EQ(::utimensat(AT_FDCWD, site.at("public/page.html").c_str(), times, 0), 0);
    const OpenedFile file = folder.open_file("page.html");
    EXPECT_EQ(file.kind, Kind::regular);
    const auto modified = file.facts.modified.time_since_epoch();
    EXPECT_EQ(modified.count() < 0, seconds < 0) << seconds;
    EXPECT_EQ(facts_of(file.fd.get()), file.facts);
  }
}

TEST_P(NetFolder, TheIdentityTellsEveryChange) {
  const auto before = folder.look_at("page.html");
  ASSERT_TRUE(before);
  EXPECT_EQ(folder.look_at("page.html"), before);
  EXPECT_EQ(identity_of(folder.open_file("page.html").fd.get()), before);
  EXPECT_FALSE(folder.look_at("absent"));
  EXPECT_FALSE(folder.look_at("a"));
  EXPECT_EQ(identity_of(-1), std::nullopt);
  site.write("public/new", "page");
  const timespec times[2] = {{0, UTIME_OMIT},
                             {before->facts.modified.time_since_epoch().count() / 1'000'000'000,
                              before->facts.modified.time_since_epoch().count() % 1'000'000'000}};
  ASSERT_EQ(::utimensat(AT_FDCWD, site.at("public/new").c_str(), times, 0), 0);
  fs::rename(site.at("public/new"), site.at("public/page.html"));
  const auto after = folder.look_at("page.html");
  ASSERT_TRUE(after);
  EXPECT_EQ(after->facts, before->facts);
  EXPECT_NE(after, before);
}

TEST_P(NetFolder, AFolderThatIsNoneIsAnError) {
  Folder other;
  EXPECT_EQ(other.open(site.at("absent").string(), GetParam()).value(), ENOENT);
  EXPECT_EQ(other.open(site.at("secret").string(), GetParam()).value(), ENOTDIR);
  EXPECT_EQ(other.open(site.at("absent").string()).value(), ENOENT);
}

INSTANTIATE_TEST_SUITE_P(Guards, NetFolder,
                         testing::Values(Folder::Guard::kernel, Folder::Guard::walk),
                         [](const auto& each) {
                           return each.param == Folder::Guard::kernel ? "kernel" : "walk";
                         });

}  // namespace
}  // namespace tern::net
