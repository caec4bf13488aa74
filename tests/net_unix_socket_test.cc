// Unix sockets: the file and its mode, files that other programs left, and the end. Also the
// descriptors that systemd passes.
#include "net/inherited.h"
#include "net/unix_socket.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tern::test {
namespace {

using net::connect_unix;
using net::inherited_of;
using net::listen_unix;
using net::UnixListener;

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() { EXPECT_NE(::mkdtemp(name_.data()), nullptr) << errno; }
  ~Folder() { fs::remove_all(name_); }
  std::string file(const std::string& name) const { return name_ + '/' + name; }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(name_), fs::directory_iterator()));
  }

 private:
  std::string name_ = "/tmp/tern-unix-XXXXXX";
};

mode_t mode_of(const std::string& path) {
  struct stat found {};
  EXPECT_EQ(::lstat(path.c_str(), &found), 0) << path;
  return found.st_mode & 0777;
}

bool exists(const std::string& path) {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0;
}

// The file of a program that was killed: the socket is closed, and the file stays.
void leave_stale(const std::string& path) {
  UnixListener dead = listen_unix(path, {});
  ASSERT_FALSE(dead.error);
  const std::string kept = path + ".kept";
  ASSERT_EQ(::link(path.c_str(), kept.c_str()), 0);
  dead = UnixListener();
  ASSERT_EQ(::rename(kept.c_str(), path.c_str()), 0);
  ASSERT_EQ(connect_unix(path).error, std::errc::connection_refused);
}

TEST(UnixSocket, HasTheModeBeforeItAccepts) {
  const Folder folder;
  const std::string path = folder.file("a.sock");
  for (const std::uint32_t mode : {0600u, 0660u, 0777u}) {
    const UnixListener made = listen_unix(path, mode);
    ASSERT_FALSE(made.error) << made.error.message();
    EXPECT_EQ(mode_of(path), mode);
    EXPECT_TRUE(connect_unix(path));
  }
  const mode_t before = ::umask(0027);
  const UnixListener made = listen_unix(path, {});
  ::umask(before);
  EXPECT_EQ(mode_of(path), 0750u) << "without a mode the umask decides";
}

TEST(UnixSocket, RemovesItsFileAtTheEnd) {
  const Folder folder;
  const std::string path = folder.file("a.sock");
  UnixListener made = listen_unix(path, {});
  ASSERT_FALSE(made.error);
  UnixListener moved = std::move(made);
  made = UnixListener();
  EXPECT_TRUE(exists(path)) << "the other object has the file now";
  moved.fd.reset();
  moved.file.remove();
  EXPECT_EQ(folder.files(), 0u);
}

TEST(UnixSocket, ReplacesAFileOnlyIfNoProgramAcceptsThere) {
  const Folder folder;
  const std::string path = folder.file("a.sock");
  leave_stale(path);
  const UnixListener first = listen_unix(path, {});
  ASSERT_FALSE(first.error) << first.error.message();
  EXPECT_TRUE(connect_unix(path));
  EXPECT_EQ(listen_unix(path, {}).error, std::errc::address_in_use);
  EXPECT_TRUE(connect_unix(path)) << "the second one took nothing away";

  // A full queue does not mean that no program accepts.
  const std::string full = folder.file("full.sock");
  const UnixListener busy = listen_unix(full, {}, 0);
  const net::Opened waits = connect_unix(full);
  ASSERT_EQ(connect_unix(full).error, std::errc::resource_unavailable_try_again);
  EXPECT_EQ(listen_unix(full, {}).error, std::errc::address_in_use);

  const std::string text = folder.file("text");
  ASSERT_EQ(::close(::open(text.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
  EXPECT_EQ(listen_unix(text, {}).error, std::errc::file_exists) << "a file that is no socket";
  EXPECT_TRUE(fs::is_regular_file(text));

  const std::string missing = folder.file("missing/a.sock");
  EXPECT_EQ(listen_unix(missing, {}).error, std::errc::no_such_file_or_directory);
  EXPECT_EQ(listen_unix("", {}).error, std::errc::filename_too_long);
  EXPECT_EQ(listen_unix(std::string(108, 'a'), {}).error, std::errc::filename_too_long);
}

TEST(UnixSocket, LeavesAFileThatIsNotItsOwn) {
  const Folder folder;
  const std::string path = folder.file("a.sock");
  {
    UnixListener old = listen_unix(path, {});
    ASSERT_EQ(::unlink(path.c_str()), 0);
    UnixListener replacement = listen_unix(path, {});
    old = UnixListener();
    EXPECT_TRUE(exists(path)) << "another program replaced it";
    EXPECT_TRUE(connect_unix(path));
    // A child of fork() made none of the files.
    const pid_t child = ::fork();
    if (child == 0) {
      replacement = UnixListener();
      ::_exit(exists(path) ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    // While a duplicate accepts, as in a child of fork(), the file stays.
    const net::Opened duplicate = net::duplicate(replacement.fd.get());
    replacement = UnixListener();
    EXPECT_TRUE(connect_unix(path));
  }
  EXPECT_TRUE(exists(path));
}

// A program that starts locks the directory until it listens. Its file may be the one at the path.
TEST(UnixSocket, KeepsTheFileOfASuccessorThatIsJustStarting) {
  const Folder folder;
  const std::string path = folder.file("a.sock");
  UnixListener made = listen_unix(path, {});
  ASSERT_FALSE(made.error);
  {
    const net::Fd directory(::open(folder.file("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_EQ(::flock(directory.get(), LOCK_EX), 0);
    made.fd.reset();
    made.file.remove();
  }
  EXPECT_TRUE(exists(path));
}

// Any user may lock a directory that it may read.
TEST(UnixSocket, ALockOfAnotherProgramDoesNotHang) {
  const Folder folder;
  const net::Fd directory(::open(folder.file("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::flock(directory.get(), LOCK_EX), 0);
  const UnixListener made = listen_unix(folder.file("a.sock"), {});
  ASSERT_FALSE(made.error) << made.error.message();
  EXPECT_TRUE(connect_unix(folder.file("a.sock")));
}

TEST(UnixSocket, RemovesItsFileAlsoAfterAChangeOfTheWorkingDirectory) {
  const Folder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.file(""));
  UnixListener made = listen_unix("a.sock", 0600);
  fs::current_path(before);
  ASSERT_FALSE(made.error) << made.error.message();
  EXPECT_EQ(folder.files(), 1u);
  made = UnixListener();
  EXPECT_EQ(folder.files(), 0u);
}

TEST(UnixSocket, TheUmaskDoesNotNarrowAModeThatIsGiven) {
  const Folder folder;
  const mode_t before = ::umask(0777);
  const UnixListener made = listen_unix(folder.file("a.sock"), 0660);
  ::umask(before);
  ASSERT_FALSE(made.error) << made.error.message();
  EXPECT_EQ(mode_of(folder.file("a.sock")), 0660u);
}

TEST(UnixSocket, TakesAbstractNames) {
  const std::string name = "@tern-test-" + std::to_string(::getpid());
  UnixListener made = listen_unix(name, 0600);
  ASSERT_FALSE(made.error) << made.error.message();
  EXPECT_TRUE(connect_unix(name));
  EXPECT_EQ(net::local_name(made.fd.get()), "unix:" + name);
  EXPECT_EQ(listen_unix(name, {}).error, std::errc::address_in_use);
  EXPECT_FALSE(exists(name));
  made = UnixListener();
  EXPECT_EQ(connect_unix(name).error, std::errc::connection_refused);
}

TEST(UnixSocket, DuplicatesOnlyListeners) {
  const Folder folder;
  const UnixListener made = listen_unix(folder.file("a.sock"), {});
  ASSERT_FALSE(made.error);
  const net::Opened copy = net::duplicate_listener(made.fd.get());
  ASSERT_TRUE(copy);
  EXPECT_NE(::fcntl(copy.fd.get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_NE(::fcntl(copy.fd.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_TRUE(net::is_unix(copy.fd.get()));
  const net::Opened client = connect_unix(folder.file("a.sock"));
  const net::Fd datagrams(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const net::Fd fresh(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const net::Fd file(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const net::Fd* wrong : {&client.fd, &datagrams, &fresh, &file}) {
    EXPECT_EQ(net::duplicate_listener(wrong->get()).error, std::errc::invalid_argument);
  }
  EXPECT_EQ(net::duplicate_listener(-1).error, std::errc::bad_file_descriptor);
}

TEST(Inherited, ReadsTheVariablesOfSystemd) {
  struct Case {
    net::ListenVariables variables;
    std::string found;  // "3=web 4="
  };
  const Case cases[] = {
      {{}, ""},
      {{.pid = "7", .fds = "1"}, "3="},
      {{.pid = "7", .fds = "2", .names = "web:admin"}, "3=web 4=admin"},
      {{.pid = "7", .fds = "3", .names = "web::x"}, "3=web 4= 5=x"},
      {{.pid = "7", .fds = "2", .names = "web"}, "3=web 4="},
      {{.pid = "7", .fds = "1", .names = "web:more"}, "3=web"},
      {{.pid = "8", .fds = "1"}, ""},  // for another process
      {{.fds = "1"}, ""},
      {{.pid = "7"}, ""},
      {{.pid = "7", .fds = "0"}, ""},
      {{.pid = "7", .fds = "-1"}, ""},
      {{.pid = "7", .fds = "1x"}, ""},
      {{.pid = "7 ", .fds = "1"}, ""},
      {{.pid = "7", .fds = "99999999999"}, ""},
      {{.pid = "7", .fds = "4097"}, ""},
  };
  for (const Case& each : cases) {
    std::string found;
    for (const net::Inherited& one : inherited_of(each.variables, 7)) {
      found += (found.empty() ? "" : " ") + std::to_string(one.fd) + '=' + one.name;
    }
    EXPECT_EQ(found, each.found);
  }
}

}  // namespace
}  // namespace tern::test
