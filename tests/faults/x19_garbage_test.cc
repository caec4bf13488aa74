// X19: the input is not WebSocket: a TLS hello, an HTTP/2 preface, zeros, noise.
// Pass: an error answer or the end, no session, no leak. The same for tern's client when its server
// sends garbage before and after the 101, and for an open connection. CI has 200 of each kind, a
// few with 1 MiB; the full size is 10 000 in a row.
#include "faults/support/attacked.h"
#include "faults/support/memory.h"
#include "faults/support/served_process.h"
#include "support/socket_peer.h"

#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace tern::test {
namespace {

std::string noise(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

struct Garbage {
  const char* name;
  std::string bytes;
};

// The start of a TLS 1.2 ClientHello, record and handshake header, and its random.
std::string tls_hello() {
  return std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + noise(506, 3);
}

std::vector<Garbage> kinds(std::uint64_t seed) {
  return {
      {"a TLS hello", tls_hello()},
      {"an HTTP/2 preface", std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33)},
      {"zeros", std::string(512, '\0')},
      {"ones", std::string(512, '\xFF')},
      {"blank lines", "\r\n\r\n\r\n\r\n"},
      {"noise", noise(512, seed)},
      {"a line without an end", std::string(20'000, 'A')},
      {"frames without a handshake", wire(Role::client, {text("Hello"), closing(1000)})},
      {"SSH", "SSH-2.0-OpenSSH_9.2\r\n"},
  };
}

// Sends the bytes and FIN. Returns the answer of the server.
std::string answer_to(std::uint16_t port, std::string_view bytes) {
  RawClient client(port);
  client.send(bytes);
  client.finish();
  return client.head();
}

// Sends all kinds that often. Returns how many were refused with an answer or without one.
std::uint64_t throw_garbage(std::uint16_t port, int times) {
  std::uint64_t thrown = 0;
  for (int i = 0; i < times; ++i) {
    for (const Garbage& garbage : kinds(static_cast<std::uint64_t>(i))) {
      const std::string answer = answer_to(port, garbage.bytes);
      EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 4") ||
                  answer.starts_with("HTTP/1.1 505"))
          << garbage.name << ": " << answer;
      ++thrown;
    }
  }
  return thrown;
}

TEST(Faults, X19_GarbageIsRefusedAndLeaksNothing) {
  Attacked attacked;
  const std::uint16_t port = attacked.start();
  strike(attacked, [&] {
    const int sessions = attacked.opened;
    const std::uint64_t thrown = throw_garbage(port, 200);
    EXPECT_EQ(attacked.opened, sessions) << "garbage became a session";
    return thrown;
  });
}

TEST(Faults, X19_ObviousFaultsAreAnswered) {
  Attacked attacked;
  const std::uint16_t port = attacked.start();
  EXPECT_TRUE(answer_to(port, tls_hello()).starts_with("HTTP/1.1 400 "));
  const std::string preface = answer_to(port, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  // Its target and its version are invalid: 400 or 505.
  EXPECT_TRUE(preface.starts_with("HTTP/1.1 400 ") || preface.starts_with("HTTP/1.1 505 "))
      << preface;
  EXPECT_TRUE(answer_to(port, std::string(512, '\0')).starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(answer_to(port, std::string(20'000, 'A')).starts_with("HTTP/1.1 414 "));
}

TEST(Faults, X19_MebibytesOfNoiseTakeNoMemory) {
  AttackedProgram server;
  for (std::uint64_t i = 0; i < 10; ++i) {
    RawClient client(server.port());
    client.send(noise(1 << 20, i));  // cut off at some point
    client.finish();
    client.head();
  }
  if (!sanitized) {
    EXPECT_LE(server.grown(), std::size_t{1} << 20);
  }
  server.expect_fired(10);
  server.expect_clean_end();
}

TEST(FaultsLong, X19_TenThousandRefusalsLeakNothing) {
  AttackedProgram server;
  throw_garbage(server.port(), 110);
  server.take_level();
  server.expect_fired(throw_garbage(server.port(), 1'112));
  if (!sanitized) {
    EXPECT_LE(server.grown(), std::size_t{256} << 10);
  }
  server.expect_clean_end();
}

// An open connection, in both roles: a protocol error. The application receives only messages that
// are valid by chance.
TEST(Faults, X19_NoiseOnAnOpenConnectionIsOneEnd) {
  Attacked attacked;
  const std::uint16_t port = attacked.start();
  strike(attacked, [&] {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      RawClient client(port);
      EXPECT_TRUE(client.upgrade());
      // RSV1 makes the first byte invalid.
      client.send('\xC1' + noise(2'000, seed));
      EXPECT_TRUE(client.next().starts_with("close 1002 a "));
      client.reset();
      const auto info = attacked.ends.take();
      if (!info) return seed;
      EXPECT_EQ(info->error, Errc::frame_reserved_bits) << info->error.message();
    }
    return std::uint64_t{200};
  });
}

TEST(Faults, X19_AClientRefusesGarbageOfTheServer) {
  strike_clients([&] {
    std::uint64_t refused = 0;
    for (const bool upgraded : {false, true}) {
      for (const Garbage& garbage : kinds(7)) {
        SCOPED_TRACE(garbage.name);
        ScriptedPeer peer([&](Socket& socket) {
          const std::string head = socket.receive_head();
          if (upgraded) socket.send(upgrade_answer(head));
          socket.send((upgraded ? "\xC1" : "") + garbage.bytes);
          socket.shutdown_write();
          socket.receive_end();
        });
        auto dialed = dial(peer.url());
        EXPECT_EQ(static_cast<bool>(dialed), upgraded);
        std::string payload;
        if (dialed) {
          const auto received = dialed->receive(payload);
          EXPECT_EQ(received.error().code(), Errc::frame_reserved_bits);
          EXPECT_EQ(dialed->close_info().code, CloseCode::protocol_error);
          dialed->close();
        } else {
          const auto code = dialed.error().code();
          EXPECT_TRUE(code == Errc::http_malformed || code == Errc::http_version_unsupported ||
                      code == Errc::end_of_stream || code == Errc::head_too_big ||
                      code == Errc::request_line_too_long)
              << dialed.error().message();
        }
        peer.join();
        ++refused;
      }
    }
    return refused;
  });
}

}  // namespace
}  // namespace tern::test
