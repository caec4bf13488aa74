// How much one busy peer delays another one on the same loop. No time is measured. The handler of
// the busy peer's first message sends the quiet peer's message, and the test counts what the loop
// handles before that message.
#include "tern/server.h"

#include "support/certificates.h"
#include "support/raw_client.h"
#include "support/running_server.h"
#include "support/tls_socket.h"
#include "support/upgrade_text.h"
#include "support/wire.h"
#include "support/zlib_peer.h"

#include <atomic>
#include <functional>
#include <future>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <utility>

namespace tern::test {
namespace {

constexpr std::string_view offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

std::string repeat(std::string_view bytes, std::size_t times) {
  std::string all;
  all.reserve(bytes.size() * times);
  for (std::size_t i = 0; i < times; ++i) all += bytes;
  return all;
}

std::string sent(const Frame& frame) { return wire(Role::client, frame); }

// 1 KiB that inflates to 1 MiB, the limit.
std::string inflating_frame() {
  return sent(compressed(binary(ZlibSender().message(std::string(std::size_t{1} << 20, '\0')))));
}

// A server with a busy route and a quiet one, and its counts.
struct House {
  RunningServer running;
  std::function<void()> send_quiet{};  // sends the quiet peer's message
  int quiet_fd = -1;
  std::promise<void> all_is_sent{};     // the busy peer's bytes are in the kernel
  std::atomic<std::size_t> handled{0};  // messages of the busy peer, after its first one
  std::promise<std::size_t>
      before_quiet{};  // how many of them came before the quiet peer's message
  bool started = false;

  explicit House(ServerOptions options = {.deflate = Deflate()}) : running(std::move(options)) {
    running.server.route("/busy", Handlers{.on_message = [this](Connection&, Message) {
                           std::exchange(started, true) ? count() : begin();
                         }});
    running.server.route("/quiet", Handlers{.on_message = [this](Connection&, Message) {
                           before_quiet.set_value(handled);
                         }});
    running.server.get("/page", [this](const Request&) {
      std::exchange(started, true) ? count() : begin();
      return Response::text(std::string(100, 'x'));
    });
  }

  void count() { ++handled; }
  void begin() {
    all_is_sent.get_future().wait();
    send_quiet();
    int under_way = 1;  // once it is acknowledged, the quiet peer's message is at the loop
    while (::ioctl(quiet_fd, SIOCOUTQ, &under_way) == 0 && under_way > 0) {
    }
  }
  std::size_t result() {
    all_is_sent.set_value();
    return before_quiet.get_future().get();
  }
};

struct PlainHouse : House {
  const std::uint16_t port = running.start();
  RawClient quiet{port};

  PlainHouse() {
    EXPECT_TRUE(quiet.upgrade("/quiet"));
    quiet_fd = quiet.fd();
    send_quiet = [this] { EXPECT_TRUE(quiet.send(text("now"))); };
  }
};

const Authority& authority() {
  static const Authority made;
  return made;
}

struct TlsHouse : House {
  const std::uint16_t port;
  TlsSocket quiet;

  TlsHouse()
      : House({.tls = TlsServer{.certificate_pem = authority().leaf.certificate(),
                                .private_key_pem = authority().leaf.key()}}),
        port(running.start()),
        quiet(port) {
    upgrade(quiet, "/quiet");
    quiet_fd = quiet.fd();
    send_quiet = [this, sealed = quiet.seal(sent(text("now")))] {
      EXPECT_TRUE(quiet.send_raw(sealed));
    };
  }
  static void upgrade(TlsSocket& socket, std::string_view target) {
    EXPECT_TRUE(socket.shake_hands());
    EXPECT_TRUE(socket.send(upgrade_request({}, target)));
    EXPECT_TRUE(socket.receive_until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
  }
};

// The number of bytes that one call sends, so that nothing waits for the server.
void send_at_once(int fd, std::string_view bytes) {
  const int room = 1 << 20;
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  ASSERT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT),
            static_cast<ssize_t>(bytes.size()));
}

// Returns how many messages of the busy peer were handled before the quiet peer's message.
std::size_t handled_before_quiet(const std::string& busy, std::string_view fields = offer) {
  PlainHouse house;
  RawClient client(house.port);
  EXPECT_TRUE(client.upgrade("/busy", fields));
  send_at_once(client.fd(), sent(text("begin")) + busy);
  return house.result();
}

TEST(ServerFairness, InflatingFramesDelayNoPeer) {
  EXPECT_LE(handled_before_quiet(repeat(inflating_frame(), 100)), 1u);
}

TEST(ServerFairness, EmptyFramesDelayNoPeer) {
  EXPECT_LE(handled_before_quiet(repeat(sent(text("")), 20'000), {}), 2'000u);
}

TEST(ServerFairness, EmptyFragmentsDelayNoPeer) {
  const std::string fragments =
      sent(text("", false)) + repeat(sent(more("", false)), 16'000) + sent(more("", true));
  EXPECT_EQ(handled_before_quiet(fragments, {}), 0u);
}

TEST(ServerFairness, PingsDelayNoPeer) {
  EXPECT_EQ(handled_before_quiet(repeat(sent(ping("")), 20'000) + sent(text("end")), {}), 0u);
}

TEST(ServerFairness, PagesDelayNoPeer) {
  PlainHouse house;
  RawClient client(house.port);
  send_at_once(client.fd(), repeat("GET /page HTTP/1.1\r\nHost: x\r\n\r\n", 500));
  EXPECT_LE(house.result(), 100u);
}

// Sends a TLS record for each byte of the messages.
TEST(ServerFairness, TinyTlsRecordsDelayNoPeer) {
  TlsHouse house;
  TlsSocket client(house.port);
  TlsHouse::upgrade(client, "/busy");
  std::string records = client.seal(sent(text("begin")));
  for (const char byte : repeat(sent(text("")), 1'500)) records += client.seal({&byte, 1});
  send_at_once(client.fd(), records);
  EXPECT_LE(house.result(), 700u);
}

// Each record has a new key (RFC 8446 §4.6.3) and no plaintext.
TEST(ServerFairness, TlsKeyUpdatesDelayNoPeer) {
  TlsHouse house;
  TlsSocket client(house.port);
  TlsHouse::upgrade(client, "/busy");
  std::string records = client.seal(sent(text("begin")));
  for (int i = 0; i < 5'000; ++i) {
    ASSERT_EQ(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    ASSERT_EQ(SSL_do_handshake(client.ssl()), 1);
    records += client.seal({});
  }
  records += client.seal(sent(text("end")));
  send_at_once(client.fd(), records);
  EXPECT_EQ(house.result(), 0u);
}

}  // namespace
}  // namespace tern::test
