// X44: peers read large files and endless streams slowly or not at all; a file is changed, cut,
// replaced or removed while it is sent; no descriptor is left for one more file.
//
// Pass: each slow reader costs at most 256 KiB of memory, however large its body is, and echoes go
// on beside them. After a change no byte of another version is sent: the connection is reset, and
// the log names the file. A file that was replaced or removed is sent to its end. Without
// descriptors the answer is 503 with Retry-After, the files that are open are sent to their end,
// and later requests succeed.
//
// The files are sparse or small, so the size for CI is the full size.
#include "faults/support/aftermath.h"
#include "faults/support/large_files.h"
#include "faults/support/memory.h"

#include <cerrno>
#include <deque>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

namespace fs = std::filesystem;

constexpr int small_buffer = 4'096;
constexpr std::size_t large = std::size_t{8} << 20;  // more than the buffers of a socket

/// A house with a folder.
class Site : public LargeFiles {
 public:
  Site() : house({.timeouts = {.stall = std::chrono::minutes(10)}}) {
    house.server.files("/", path());
    add_endless(house.server);
    EXPECT_TRUE(house.start()) << house.why();
  }
  ~Site() { house.stop(std::chrono::seconds(1)); }
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  House house;
};

// Returns how many bytes of memory the readers cost while they read nothing.
std::size_t read_slowly(Site& site, std::size_t readers) {
  const std::size_t heap = heap_in_use();
  std::deque<RawClient> slow;
  for (std::size_t i = 0; i < readers; ++i) {
    slow.emplace_back(site.house.port(), small_buffer);
    const std::string head = slow.back().ask(page_request(i % 2 == 0 ? "/huge" : "/endless"));
    EXPECT_TRUE(head.starts_with("HTTP/1.1 200 ")) << head;
  }
  await_standstill(site.house.server);
  const std::size_t used = heap_in_use() - heap;
  EXPECT_EQ(clean_echoes(site.house.port(), 100), 101u);
  for (RawClient& client : slow) {  // they go on where they stopped
    EXPECT_EQ(client.body(1'000'000).size(), 1'000'000u);
  }
  return used;
}

TEST(Faults, X44_SlowReadersOfLargeBodiesCostLittleMemory) {
  constexpr std::size_t readers = 30;
  const sys::Bystander bystander;
  Site site;
  site.make_sparse("huge", off_t{1} << 40);
  // More readers than below fill the pools.
  EXPECT_LE(read_slowly(site, 2 * readers), 2 * readers * (std::size_t{256} << 10));
  Aftermath aftermath(site.house);
  read_slowly(site, readers);
  aftermath.expect_fired(site.house.server.counters().bytes_sent >> 20, "a body that waits",
                         readers);
  aftermath.expect_clean();
}

struct Change {
  const char* name;
  std::function<void(const Site&)> make;
  bool resets;
};

const std::vector<Change>& changes() {
  static const std::vector<Change> all = {
      {"cut", [](const Site& site) { EXPECT_EQ(::truncate(site.at("file").c_str(), 1'000), 0); },
       true},
      {"emptied", [](const Site& site) { site.make("file", 0, 'b'); }, true},
      {"written over",
       [](const Site& site) {
         const int fd = ::open(site.at("file").c_str(), O_WRONLY | O_CLOEXEC);
         const std::string other(large, 'b');
         EXPECT_EQ(::pwrite(fd, other.data(), other.size(), 0), static_cast<ssize_t>(other.size()));
         ::close(fd);
       },
       true},
      {"appended to",
       [](const Site& site) { std::ofstream(site.at("file"), std::ios::app) << "more"; }, true},
      {"replaced",
       [](const Site& site) {
         site.make("new", large, 'b');
         fs::rename(site.at("new"), site.at("file"));
       },
       false},
      {"removed", [](const Site& site) { fs::remove(site.at("file")); }, false},
  };
  return all;
}

// Returns how many connections were reset because of a change.
std::uint64_t change_while_sent(Site& site) {
  std::uint64_t resets = 0;
  for (const Change& change : changes()) {
    SCOPED_TRACE(change.name);
    site.make_old("file", large, 'a');
    RawClient client(site.house.port(), small_buffer);
    const std::string head = client.ask(page_request("/file"));
    EXPECT_EQ(field(head, "Content-Length"), std::to_string(large));
    await_standstill(site.house.server);
    change.make(site);
    std::size_t got = 0;
    bool same = true;
    while (got < large && client.read_error() == 0) {
      const std::string more = client.body(65'536);
      if (more.empty()) break;
      same = same && more.find_first_not_of('a') == more.npos;
      got += more.size();
    }
    EXPECT_TRUE(same);
    if (change.resets) {
      EXPECT_LT(got, large);
      EXPECT_EQ(client.read_error(), ECONNRESET);
      const auto log = site.house.log();
      resets += !log.empty() &&
                log.back().find("/file was changed while it was sent") != std::string::npos;
    } else {
      EXPECT_EQ(got, large);
    }
  }
  site.house.forget_log();
  return resets;
}

TEST(Faults, X44_NoByteOfAnotherVersionFollowsTheHeadOfAFile) {
  const sys::Bystander bystander;
  Site site;
  EXPECT_EQ(change_while_sent(site), 4u);
  Aftermath aftermath(site.house);
  aftermath.expect_fired(change_while_sent(site), "a change", 4);
  aftermath.expect_clean();
}

/// Allows `more` descriptors than are open now, as long as it lives.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t more) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const int lowest = ::dup(STDERR_FILENO);
    ::close(lowest);
    rlimit lower = before_;
    lower.rlim_cur = static_cast<rlim_t>(lowest) + more;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &lower), 0);
  }
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

constexpr std::size_t clients = 8;
constexpr std::size_t served = 5;

// Returns how many requests were refused.
std::uint64_t exhaust_descriptors(Site& site) {
  std::uint64_t refused = 0;
  std::deque<RawClient> all;
  for (std::size_t i = 0; i < clients; ++i) {
    all.emplace_back(site.house.port(), small_buffer);
    all.back().ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");  // it is accepted
  }
  {
    const DescriptorLimit limit(served);
    for (std::size_t i = 0; i < clients; ++i) {
      const std::string head = all[i].ask(page_request("/file"));
      if (i < served) {
        EXPECT_TRUE(head.starts_with("HTTP/1.1 200 ")) << head;
      } else {
        EXPECT_TRUE(head.starts_with("HTTP/1.1 503 ")) << head;
        EXPECT_EQ(field(head, "Retry-After"), "1");
        ++refused;
      }
    }
  }
  const auto log = site.house.log();
  EXPECT_NE(log.back().find("/file: no file is sent: Too many open files"), std::string::npos);
  for (std::size_t i = 0; i < served; ++i) EXPECT_EQ(all[i].body(large).size(), large);
  RawClient later(site.house.port());
  EXPECT_TRUE(later.ask(page_request("/file", "HEAD")).starts_with("HTTP/1.1 200 "));
  site.house.forget_log();
  return refused;
}

TEST(Faults, X44_WithoutDescriptorsTheAnswerIs503) {
  const sys::Bystander bystander;
  Site site;
  site.make("file", large, 'a');
  exhaust_descriptors(site);
  Aftermath aftermath(site.house);
  aftermath.expect_fired(exhaust_descriptors(site), "EMFILE", clients - served);
  aftermath.expect_clean();
}

}  // namespace
}  // namespace tern::test
