// X35: the server's process is stopped (SIGSTOP) for longer than all its deadlines and then
// continues (SIGCONT), like a machine that was suspended or overloaded. Meanwhile the kernel has
// received the bytes that the server waits for: a pong, a message, the end of a request, a Close
// frame.
// Pass: the server reads before it judges, so it drops no peer. Each peer receives its answer, and
// each connection ends with 1000 on both sides. All bytes of the peers are in the kernel before the
// server continues, so no peer can be late on a busy machine.
// It runs plain and over TLS. Deadlines are 1 s instead of 5 to 20 s, and the server is stopped for
// 1.5 s.
#include "faults/support/flood.h"
#include "faults/support/memory.h"
#include "faults/support/tls_attacked.h"
#include "support/raw_client.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <memory>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

constexpr Timeouts deadlines{.handshake = 1s, .silence = 200ms, .pong = 1s, .close = 1s};
constexpr std::chrono::milliseconds stopped_for = 1500ms;
static_assert(stopped_for > deadlines.silence + deadlines.pong);
static_assert(stopped_for > deadlines.handshake && stopped_for > deadlines.close);

// A server in a process of its own. It writes its port to a pipe, and then how each connection
// ended.
class Child {
 public:
  explicit Child(Over over) {
    const ServerOptions tls = over == Over::tls ? over_tls() : ServerOptions();
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::_exit(serve(tls, ends[1]));
    }
    ::close(ends[1]);
    output_ = ::fdopen(ends[0], "r");
    std::setvbuf(output_, nullptr, _IONBF, 0);  // so that poll() sees each line
    const std::string port = line();
    port_ = port.empty() ? std::uint16_t{0} : static_cast<std::uint16_t>(std::stoi(port));
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    signal(SIGCONT);
    signal(SIGTERM);
    int status = -1;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    EXPECT_EQ(status, 0);
    std::fclose(output_);
  }

  void signal(int signo) const { ::kill(pid_, signo); }
  /// Stops the process. Returns when it no longer runs.
  void stop() const {
    signal(SIGSTOP);
    EXPECT_TRUE(eventually([&] { return state_of(pid_) == "T"; }));
  }
  std::uint16_t port() const { return port_; }
  /// Returns the next line that it writes. Fails after 60 seconds.
  std::string line() {
    pollfd ready{::fileno(output_), POLLIN, 0};
    std::array<char, 200> text{};
    if (::poll(&ready, 1, RawClient::patience_ms) != 1 ||
        std::fgets(text.data(), text.size(), output_) == nullptr) {
      ADD_FAILURE() << "the server writes nothing";
      return {};
    }
    const std::string_view all(text.data());
    return std::string(all.substr(0, all.find('\n')));
  }

 private:
  static int serve(ServerOptions options, int output) {
    options.host = "127.0.0.1";
    options.timeouts = deadlines;
    options.stop_on = {SIGTERM};
    Server server(options);
    server.route("/echo",
                 Handlers{.on_message =
                              [](Connection& conn, Message message) {
                                message.text() == "close" ? conn.close() : void(conn.send(message));
                              },
                          .on_close =
                              [output](Connection&, const CloseInfo& info) {
                                ::dprintf(output, "%d %s\n", static_cast<int>(info.code),
                                          info.clean ? "clean" : info.error.message().c_str());
                              }});
    if (!server.listen()) return 1;
    ::dprintf(output, "%d\n", server.port());
    return server.run() ? 0 : 2;
  }

  pid_t pid_ = -1;
  std::FILE* output_ = nullptr;
  std::uint16_t port_ = 0;
};

// The peers of a server that is stopped.
template <class Client>
struct Peers {
  explicit Peers(std::uint16_t port)
      : ponging(port), talking(port), answering(port), requesting(port) {}

  // Continues each connection until the server waits for its peer.
  void begin() {
    EXPECT_TRUE(ponging.upgrade());
    EXPECT_TRUE(talking.upgrade());
    EXPECT_EQ(ponging.next(), "ping tern-1");
    EXPECT_EQ(talking.next(), "ping tern-1");
    EXPECT_TRUE(answering.upgrade());
    EXPECT_TRUE(answering.send(text("close")));
    EXPECT_EQ(answering.next(), "close 1000");
    if constexpr (requires { requesting.shake_hands(); }) {
      EXPECT_TRUE(requesting.shake_hands());
    }
    EXPECT_TRUE(requesting.send(request.substr(0, request.size() / 2)));
  }
  // Whether the server has ended one of them already, because this machine was too slow.
  bool is_too_late() const {
    for (const int fd : {ponging.fd(), talking.fd(), answering.fd(), requesting.fd()}) {
      pollfd end{fd, POLLRDHUP, 0};
      if (::poll(&end, 1, 0) != 0) return true;
    }
    return false;
  }
  void send_the_rest() {
    EXPECT_TRUE(ponging.send(pong()));
    EXPECT_TRUE(answering.send(closing(1000)));
    EXPECT_TRUE(requesting.send(request.substr(request.size() / 2)));
    for (Client* client : {&ponging, &talking, &requesting}) {
      EXPECT_TRUE(client->send(text("behind it")));
      EXPECT_TRUE(client->send(closing(1000)));
    }
  }
  void expect_answers() {
    EXPECT_TRUE(requesting.head().starts_with("HTTP/1.1 101 "));
    for (Client* client : {&ponging, &talking, &requesting}) {
      EXPECT_EQ(client->next(), "text behind it");
      EXPECT_EQ(client->next(), "close 1000");
    }
    for (Client* client : {&ponging, &talking, &requesting, &answering}) {
      EXPECT_TRUE(client->ends());
    }
  }

  const std::string request = upgrade_request();
  Client ponging;     // must send a pong
  Client talking;     // must send a pong, but sends a message, which is a sign of life
  Client answering;   // must answer a Close frame
  Client requesting;  // must send the second half of its request
};

template <class Client>
void stop_and_go_on(Over over) {
  Child server(over);
  ASSERT_NE(server.port(), 0);
  auto peers = std::make_unique<Peers<Client>>(server.port());
  peers->begin();
  server.stop();
  for (int again = 0; peers->is_too_late(); ++again) {
    ASSERT_LT(again, 20) << "the machine is too slow to stop the server in time";
    server.signal(SIGCONT);
    peers = nullptr;
    for (int i = 0; i < 3; ++i) server.line();  // the ends of the open connections
    peers = std::make_unique<Peers<Client>>(server.port());
    peers->begin();
    server.stop();
  }
  peers->send_the_rest();
  ::poll(nullptr, 0, static_cast<int>(stopped_for.count()));  // the fault itself
  server.signal(SIGCONT);
  peers->expect_answers();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(server.line(), "1000 clean");
}

TEST(Faults, X35_AServerThatWasStoppedCutsNoPeer) { stop_and_go_on<RawClient>(Over::tcp); }
TEST(Faults, X35_AServerThatWasStoppedCutsNoPeerOverTls) { stop_and_go_on<TlsClient>(Over::tls); }

}  // namespace
}  // namespace tern::test
