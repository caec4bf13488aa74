// Runs examples/echo.cc, the server of ten lines, as a process. Its port is fixed, so another
// program may hold it. In that case the test checks only the error.

#include "tern/dial.h"

#include "support/process.h"
#include "support/raw_socket.h"

#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <string>
#include <sys/file.h>

namespace tern::test {
namespace {

constexpr std::uint16_t port = 9001;

// Lets a machine run this test only once at a time, because two runs would compete for the port.
class PortLock {
 public:
  PortLock() {
    const std::string file = testing::TempDir() + "tern-port-9001.lock";
    fd_ = ::open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (fd_ >= 0) ::flock(fd_, LOCK_EX);
  }
  PortLock(const PortLock&) = delete;
  PortLock& operator=(const PortLock&) = delete;
  ~PortLock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  int fd_ = -1;
};

TEST(ProgramEcho, EchoesOrReportsThatItsPortIsInUse) {
  const PortLock lock;
  const bool port_is_free = static_cast<bool>(RawSocket::bound(port));
  Process server({program("echo")});
  if (port_is_free) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!RawSocket::connect(port) && std::chrono::steady_clock::now() < deadline) {
      ::poll(nullptr, 0, 5);  // the server prints nothing when it listens
    }
    auto client = dial("ws://127.0.0.1:9001/echo");
    ASSERT_TRUE(client) << client.error().message();
    std::string answer;
    ASSERT_TRUE(client->send(Message("ten lines")));
    ASSERT_TRUE(client->receive(answer, patience));
    EXPECT_EQ(answer, "ten lines");
  }
  Process second({program("echo")});
  EXPECT_EQ(second.exit_code(), 1);
  EXPECT_NE(second.err().find("9001"), std::string::npos) << second.err();
  EXPECT_NE(second.err().find("in use"), std::string::npos) << second.err();
  if (port_is_free) {
    server.signal(SIGTERM);
    EXPECT_EQ(server.exit_code(), 0) << server.err();
  }
}

}  // namespace
}  // namespace tern::test
