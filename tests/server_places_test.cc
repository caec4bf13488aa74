// The places where a server accepts: Unix sockets, several listeners, inherited sockets, names.
#include "tern/tern.h"

#include "support/certificates.h"
#include "support/raw_client.h"
#include "support/raw_socket.h"
#include "support/running_server.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

class Folder {
 public:
  Folder() { EXPECT_NE(::mkdtemp(name_.data()), nullptr) << errno; }
  ~Folder() { std::filesystem::remove_all(name_); }
  std::string file(const std::string& name) const { return name_ + '/' + name; }

 private:
  std::string name_ = "/tmp/tern-places-XXXXXX";
};

bool exists(const std::string& path) {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0;
}

RawClient connect_to(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  if (path.front() == '@') name.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&name), size), 0) << path << ' ' << errno;
  return RawClient(RawClient::Connected{fd});
}

std::string echoed(RawClient client) {
  if (!client.upgrade()) return "no upgrade: " + client.answer_head();
  client.send(text("hello"));
  return client.next();
}

Handlers reporting(Inbox<std::string>& peers) {
  return {.on_message = [&peers](Connection& conn, Message message) {
    peers.put(conn.remote_address());
    conn.send(message);
  }};
}

TEST(ServerPlaces, ServesAUnixSocketAndRemovesItsFile) {
  const Folder folder;
  const std::string path = folder.file("app.sock");
  const std::string abstract = "@tern-places-" + std::to_string(::getpid());
  Inbox<std::string> peers;
  for (const unsigned threads : {1u, 3u}) {
    RunningServer running({.listeners = {{.host = "unix:" + path}, {.host = "unix:" + abstract}},
                           .unix_mode = 0600,
                           .threads = threads});
    running.server.route("/echo", reporting(peers));
    EXPECT_EQ(running.start(), 0) << "it has no port";
    EXPECT_EQ(running.server.addresses(),
              (std::vector<std::string>{"unix:" + path, "unix:" + abstract}));
    struct stat found {};
    ASSERT_EQ(::lstat(path.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, 0600u);
    for (int i = 0; i < 8; ++i) {
      EXPECT_EQ(echoed(connect_to(i % 2 == 0 ? path : abstract)), "text hello");
      EXPECT_EQ(peers.take(), "unix:");
    }
    running.stop();
    EXPECT_FALSE(exists(path));
  }
}

TEST(ServerPlaces, AHostMayBeAUnixSocket) {
  const Folder folder;
  Server server({.host = "unix:" + folder.file("a")});
  server.route("/echo", echo());
  for (int i = 0; i < 2; ++i) {  // run() may be called again, and listens again
    ASSERT_TRUE(server.listen());
    std::jthread running([&] { EXPECT_TRUE(server.run()); });
    EXPECT_EQ(echoed(connect_to(folder.file("a"))), "text hello");
    Server second({.host = "unix:" + folder.file("a")});
    const auto listening = second.listen();
    ASSERT_FALSE(listening);
    EXPECT_EQ(listening.error().message(),
              "listen unix:" + folder.file("a") + ": Address already in use");
    server.stop(0s);
    running.join();
    EXPECT_FALSE(exists(folder.file("a")));
  }
  ASSERT_TRUE(server.listen());
  EXPECT_TRUE(exists(folder.file("a")));
}

TEST(ServerPlaces, AnUnusedListenLeavesNoFile) {
  const Folder folder;
  {
    Server server({.host = "unix:" + folder.file("a")});
    ASSERT_TRUE(server.listen());
    EXPECT_TRUE(exists(folder.file("a")));
  }
  EXPECT_FALSE(exists(folder.file("a")));
  Server on_folder({.host = "unix:" + folder.file("")});
  const auto refused = on_folder.listen();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(),
            "listen unix:" + folder.file("") + ": a file that is no socket has this path");
  // It opens all places or none.
  Server failing({.listeners = {{.host = "unix:" + folder.file("b")}, {.host = "192.0.2.1"}}});
  ASSERT_FALSE(failing.listen());
  EXPECT_FALSE(exists(folder.file("b")));
}

std::string port_of(const std::string& address) { return address.substr(address.rfind(':') + 1); }

// An origin of this server has the scheme of the listener.
TEST(ServerPlaces, SeveralListenersWithAndWithoutTls) {
  const Authority authority;
  const Folder folder;
  RunningServer running({.listeners = {{.host = "127.0.0.1"},
                                       {.host = "localhost", .tls = false},
                                       {.host = "unix:" + folder.file("a"), .tls = false}},
                         .threads = 2,
                         .tls = TlsServer{.certificate_pem = authority.leaf.certificate(),
                                          .private_key_pem = authority.leaf.key()}});
  running.server.route("/echo", echo());
  const std::uint16_t first = running.start();
  const std::vector<std::string> places = running.server.addresses();
  ASSERT_EQ(places.size(), 3u);
  EXPECT_EQ(places[0], "127.0.0.1:" + std::to_string(first));
  for (const bool secure : {true, false}) {
    const std::string where = "localhost:" + port_of(places[secure ? 0 : 1]);
    const std::string scheme = secure ? "s://" : "://";
    DialOptions options{.tls = {.ca_pem = authority.ca.certificate()}};
    options.headers = {{"Origin", "http" + scheme + where}};
    auto client = dial("ws" + scheme + where + "/echo", options);
    ASSERT_TRUE(client) << client.error().message();
    std::string answer;
    EXPECT_TRUE(client->send(Message("hello")));
    EXPECT_TRUE(client->receive(answer, 60s));
    EXPECT_EQ(answer, "hello");
    options.headers = {{"Origin", (secure ? "http://" : "https://") + where}};
    const auto refused = dial("ws" + scheme + where + "/echo", options);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().http_status(), 403);
  }
  EXPECT_EQ(echoed(connect_to(folder.file("a"))), "text hello");
}

TEST(ServerPlaces, InheritedSocketsStayOpenWhenTheServerEnds) {
  const RawSocket port = RawSocket::bound();
  port.listen();
  for (const unsigned threads : {1u, 2u}) {
    RunningServer running(
        {.listeners = {{.descriptor = port.fd(), .name = "web"}}, .threads = threads});
    running.server.route("/echo", echo());
    EXPECT_EQ(running.start(), port.port());
    EXPECT_EQ(running.server.addresses().front(), "127.0.0.1:" + std::to_string(port.port()));
    for (int i = 0; i < 4; ++i) EXPECT_EQ(echoed(RawClient(port.port())), "text hello");
    running.stop();
    EXPECT_EQ(::fcntl(port.fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    EXPECT_TRUE(RawClient(port.port()).connected()) << "it waits for the next server";
  }
  const RawSocket client = RawSocket::connect(port.port());
  Server wrong({.listeners = {{.descriptor = client.fd(), .name = "web"}}});
  const auto listening = wrong.listen();
  ASSERT_FALSE(listening);
  EXPECT_EQ(listening.error().message(), "listen: descriptor " + std::to_string(client.fd()) +
                                             " (web) is not a listening socket");
}

TEST(ServerPlaces, ANameIsEachOfItsAddresses) {
  std::string name(256, '\0');
  ASSERT_EQ(::gethostname(name.data(), name.size() - 1), 0);
  name.resize(std::strlen(name.c_str()));
  Server server({.host = name});
  const auto listening = server.listen();
  if (!listening && listening.error().code() == Errc::name_not_resolved) {
    GTEST_SKIP() << "this machine does not know its own name";
  }
  ASSERT_TRUE(listening) << listening.error().message();
  ASSERT_FALSE(server.addresses().empty());
  for (const std::string& address : server.addresses()) {
    EXPECT_TRUE(address.ends_with(':' + std::to_string(server.port()))) << address;
  }
  Server unknown({.host = "no-such-name.invalid"});
  const auto failed = unknown.listen();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Errc::name_not_resolved);
  const std::string why = failed.error().message();
  EXPECT_TRUE(why.starts_with("listen: resolve no-such-name.invalid")) << why;
  EXPECT_EQ(why.find("the name has no address"), why.rfind("the name has no address")) << why;
}

// A child of fork() has not made the file, so its end leaves the file to the others.
TEST(ServerPlaces, ChildrenOfForkShareAUnixSocket) {
  const Folder folder;
  const std::string path = folder.file("app.sock");
  Server server({.host = "unix:" + path});
  server.route("/echo", echo());
  ASSERT_TRUE(server.listen());
  const pid_t child = ::fork();
  if (child == 0) {
    server.stop(0s);
    ::_exit(server.run() && exists(path) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  std::jthread running([&] { EXPECT_TRUE(server.run()); });
  EXPECT_EQ(echoed(connect_to(path)), "text hello");
  server.stop(0s);
}

}  // namespace
}  // namespace tern::test
