// A folder with large files and a page without an end, for peers that do not read them.
#pragma once

#include "tern/server.h"

#include "faults/support/aftermath.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace tern::test {

/// The folder is removed at the end.
class LargeFiles {
 public:
  LargeFiles() {
    std::string name = (std::filesystem::temp_directory_path() / "tern_files_XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~LargeFiles() { std::filesystem::remove_all(root_); }
  LargeFiles(const LargeFiles&) = delete;
  LargeFiles& operator=(const LargeFiles&) = delete;

  std::string path() const { return root_.string(); }
  std::string at(const std::string& name) const { return (root_ / name).string(); }
  void make(const std::string& name, std::size_t size, char letter) const {
    std::ofstream(at(name), std::ios::binary) << std::string(size, letter);
  }
  /// Makes a file that was changed long ago: two changes within a tick of the kernel could have the
  /// same time.
  void make_old(const std::string& name, std::size_t size, char letter) const {
    make(name, size, letter);
    const timespec times[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
    EXPECT_EQ(::utimensat(AT_FDCWD, at(name).c_str(), times, 0), 0);
  }
  void make_sparse(const std::string& name, off_t size) const {
    make(name, 0, ' ');
    EXPECT_EQ(::truncate(at(name).c_str(), size), 0);
  }

 private:
  std::filesystem::path root_{};
};

/// The page /endless.
inline void add_endless(Server& server) {
  server.get("/endless", [](const Request&) {
    return Response::stream("text/plain", [] { return std::optional(std::string(5'000, 'x')); });
  });
}

/// Waits until the server has written what the sockets take.
inline void await_standstill(const Server& server) {
  std::uint64_t before = 0;
  int same = 0;
  EXPECT_TRUE(eventually([&] {
    const std::uint64_t now = server.counters().bytes_sent;
    same = now == before ? same + 1 : 0;
    before = now;
    return same == 50;
  }));
}

}  // namespace tern::test
