// A write that fails ends the connection, whichever write of a turn it is. The peer stays silent
// meanwhile, so that no other event ends the connection. The kernel decides when a write fails, so
// here the calls go through wrappers (see tern_wrap in tests/CMakeLists.txt).
#include "tern/tern.h"

#include "support/certificates.h"
#include "support/running_server.h"
#include "support/tls_socket.h"
#include "support/upgrade_text.h"
#include "support/wire.h"

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

namespace {

// The writes to the client with this port fail, after this many that do not. The first failure is a
// reset, and the later ones are EPIPE, as the system does it.
std::atomic<std::uint16_t> broken_port{0};
std::atomic<int> writes_left{0};
std::atomic<int> failures{0};

// Both ends of a connection are in this process: the server's is the one whose peer has the port.
bool fails(int fd) {
  if (broken_port == 0) return false;
  sockaddr_in name{};
  socklen_t bytes = sizeof name;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&name), &bytes) != 0 ||
      ntohs(name.sin_port) != broken_port || writes_left-- > 0) {
    return false;
  }
  errno = failures++ == 0 ? ECONNRESET : EPIPE;
  return true;
}

}  // namespace

extern "C" {
ssize_t __real_send(int, const void*, std::size_t, int);  // NOLINT
ssize_t __real_sendmsg(int, const msghdr*, int);          // NOLINT
ssize_t __real_sendfile(int, int, off_t*, std::size_t);   // NOLINT

ssize_t __wrap_send(int fd, const void* data, std::size_t size, int flags) {  // NOLINT
  return fails(fd) ? -1 : __real_send(fd, data, size, flags);
}

ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {  // NOLINT
  return fails(fd) ? -1 : __real_sendmsg(fd, message, flags);
}

ssize_t __wrap_sendfile(int fd, int file, off_t* offset, std::size_t bytes) {  // NOLINT
  return fails(fd) ? -1 : __real_sendfile(fd, file, offset, bytes);
}
}

namespace tern::test {
namespace {

namespace fs = std::filesystem;

constexpr int most_writes = 6;  // all writes of the first turns

/// A server with everything that is written in several writes.
class FailedWrites : public testing::TestWithParam<bool> {
 protected:
  static bool is_tls() { return GetParam(); }

  FailedWrites() : running_(options()) {
    std::string name = (fs::temp_directory_path() / "tern_write_XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    std::ofstream(root_ / "file", std::ios::binary) << std::string(std::size_t{4} << 20, 'a');
    running_.server.files("/files", root_.string());
    running_.server.get("/stream", [](const Request&) {
      return Response::stream("text/plain", [] { return std::optional(std::string(5'000, 'x')); });
    });
    running_.server.get("/page",
                        [](const Request&) { return Response::text(std::string(20'000, 'x')); });
    running_.server.route("/echo", echo());
    port_ = running_.start();
  }
  ~FailedWrites() override {
    broken_port = 0;
    running_.stop(std::chrono::milliseconds(0));
    fs::remove_all(root_);
  }

  // Sends the bytes to a server whose write number `working + 1` fails. Returns whether the server
  // ends TCP. `leaves`: the client sends its end of stream behind the bytes.
  bool ends(const std::string& bytes, int working, bool leaves) {
    TlsSocket client(port_);
    EXPECT_TRUE(!is_tls() || client.shake_hands());
    sockaddr_in name{};
    socklen_t size = sizeof name;
    EXPECT_EQ(::getsockname(client.fd(), reinterpret_cast<sockaddr*>(&name), &size), 0);
    writes_left = working;
    failures = 0;
    broken_port = ntohs(name.sin_port);
    EXPECT_TRUE(is_tls() ? client.send(bytes) : client.send_raw(bytes));
    if (leaves) {
      if (is_tls()) client.close_notify();
      client.fin();
    }
    const bool ended = client.tcp_ends();
    broken_port = 0;
    return ended;
  }

  // Lets each of the first writes fail. Returns how many connections had a failure, or -1 when the
  // server did not end one of them: each further one could take as long.
  int break_each_write(const std::string& bytes) {
    int broken = 0;
    for (int working = 0; working < most_writes; ++working) {
      for (const bool leaves : {true, false}) {
        if (!ends(bytes, working, leaves)) {
          ADD_FAILURE() << working << " writes work; leaves: " << leaves;
          return -1;
        }
        broken += failures > 0 ? 1 : 0;
      }
    }
    return broken;
  }

 private:
  static ServerOptions options() {
    ServerOptions options;
    if (!is_tls()) return options;
    static const Authority authority;
    options.tls = {.certificate_pem = authority.leaf.certificate(),
                   .private_key_pem = authority.leaf.key()};
    return options;
  }

  fs::path root_{};
  RunningServer running_;
  std::uint16_t port_ = 0;
};

TEST_P(FailedWrites, EndAConnectionThatSendsAFile) {
  EXPECT_EQ(break_each_write(page_request("/files/file")), 2 * most_writes);
}

TEST_P(FailedWrites, EndAConnectionThatSendsAStream) {
  EXPECT_EQ(break_each_write(page_request("/stream")), 2 * most_writes);
}

TEST_P(FailedWrites, EndAConnectionThatAnswersManyRequests) {
  std::string requests;
  for (int i = 0; i < 40; ++i) requests += page_request("/page");
  requests += page_request("/missing");  // its answer ends the connection
  EXPECT_GT(break_each_write(requests), 2);
}

TEST_P(FailedWrites, EndAWebSocketThatAnswersMessagesAndClose) {
  std::string bytes = upgrade_request();
  for (int i = 0; i < 40; ++i) bytes += wire(Role::client, text(std::string(1'000, 'x')));
  bytes += wire(Role::client, closing(1000));
  EXPECT_GE(break_each_write(bytes), 2);
}

INSTANTIATE_TEST_SUITE_P(PlainAndTls, FailedWrites, testing::Bool(),
                         [](const auto& row) { return row.param ? "Tls" : "Plain"; });

}  // namespace
}  // namespace tern::test
