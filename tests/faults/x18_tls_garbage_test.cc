// X18: the input is not TLS: plain HTTP, noise, a length that no record has, a hello of SSL 2 or of
// TLS 1.0, or nothing. Also a valid hello followed by garbage, and a broken record on an open
// connection. Pass: each one causes one refused handshake, or one end, with its cause. tern sends
// an alert where the peer can read one. The application receives no session. Each costs at most 1
// ms of CPU. Nothing leaks. The same for tern's client when its server sends garbage. CI has 20 of
// each kind; the full size is ten thousand in a row.
#include "faults/support/tls_attacked.h"

#include <chrono>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

std::string noise(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// The answer of the server: nothing, a plain alert, or its own part of the handshake and then an
// alert.
enum class Answer : std::uint8_t { nothing, alert, flight };

struct Garbage {
  const char* name;
  std::string bytes;
  Errc error;
  Answer answer;
};

std::string hello_of_tls_1_0(std::string hello) {
  // The version of the body, and no supported_versions: their type becomes an unknown one.
  hello[10] = '\x01';
  const std::size_t versions = hello.find(std::string("\x00\x2b\x00", 3));
  EXPECT_NE(versions, hello.npos);
  return hello.replace(versions, 2, "\xfa\xfa");
}

std::vector<Garbage> kinds(const std::string& hello, std::uint64_t seed) {
  return {
      {"plain HTTP", upgrade_request(), Errc::tls_failed, Answer::nothing},
      {"zeros", std::string(512, '\0'), Errc::tls_failed, Answer::nothing},
      {"noise", "\x7F\x7F" + noise(510, seed), Errc::tls_failed, Answer::nothing},
      {"a length of no record", std::string("\x16\x03\x01\xff\xff", 5) + noise(507, seed),
       Errc::tls_failed, Answer::alert},
      {"nothing", "", Errc::end_of_stream, Answer::nothing},
      {"one byte", "\x16", Errc::tls_truncated, Answer::nothing},
      {"half a hello", hello.substr(0, hello.size() / 2), Errc::tls_truncated, Answer::nothing},
      {"a hello of SSL 2",
       std::string("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", 11) + noise(37, seed),
       Errc::tls_failed, Answer::alert},
      {"a hello of TLS 1.0", hello_of_tls_1_0(hello), Errc::tls_failed, Answer::alert},
      {"a hello with a broken body", hello.substr(0, 40) + noise(hello.size() - 40, seed),
       Errc::tls_failed, Answer::alert},
      {"a good hello, then noise", hello + "\x7F\x7F" + noise(510, seed), Errc::tls_failed,
       Answer::flight},
      {"a good hello, then a broken record",
       hello + std::string("\x17\x03\x03\x00\x40", 5) + noise(64, seed), Errc::tls_failed,
       Answer::flight},
  };
}

std::string hello_of_client(std::uint16_t port) {
  TlsClient client(port);
  return client.hello();
}

void expect_answer(Socket& socket, const Garbage& garbage) {
  std::string answer;
  for (std::string more = socket.receive(); !more.empty(); more = socket.receive()) answer += more;
  const char first = answer.empty() ? '\0' : answer[0];  // the type of the record
  const char expected = garbage.answer == Answer::nothing ? '\0'
                        : garbage.answer == Answer::alert ? '\x15'
                                                          : '\x16';
  EXPECT_EQ(static_cast<int>(first), static_cast<int>(expected)) << answer.size() << " bytes";
}

Socket connect_to(std::uint16_t port) {
  RawClient client(port);
  return Socket(::fcntl(client.fd(), F_DUPFD_CLOEXEC, 0));
}

// Sends all kinds that often, and adds them to the expected counters of the server.
std::uint64_t throw_garbage(std::uint16_t port, int times, std::map<Errc, std::uint64_t>& thrown) {
  std::uint64_t count = 0;
  for (int i = 0; i < times; ++i) {
    for (const Garbage& garbage : kinds(hello_of_client(port), static_cast<std::uint64_t>(i))) {
      SCOPED_TRACE(garbage.name);
      Socket socket = connect_to(port);
      EXPECT_TRUE(socket.send(garbage.bytes));
      socket.shutdown_write();
      expect_answer(socket, garbage);
      ++thrown[garbage.error];
      ++count;
    }
    ++thrown[Errc::end_of_stream];  // the client that made the hello
  }
  return count;
}

TEST(Faults, X18_GarbageIsOneRefusalAndLeaksNothing) {
  AttackedTls attacked;
  const std::uint16_t port = attacked.start();
  std::map<Errc, std::uint64_t> thrown;
  strike_tls(attacked, [&] {
    const int sessions = attacked.opened;
    const auto begun = attacked.cpu_time();
    const std::uint64_t count = throw_garbage(port, 20, thrown);
    const auto each = (attacked.cpu_time() - begun) / count;
    if (!sanitized) {
      EXPECT_LE(each, 1ms);
      testing::Test::RecordProperty("microseconds_each", static_cast<int>(each / 1us));
    }
    EXPECT_TRUE(attacked.deserted());
    for (const auto& [error, number] : thrown) {
      EXPECT_EQ(refusals(attacked.server, error), number) << make_error_code(error).message();
    }
    EXPECT_EQ(attacked.opened, sessions) << "garbage became a session";
    return count;
  });
}

TEST(FaultsLong, X18_TenThousandRefusalsLeakNothing) {
  AttackedTlsProgram server;
  std::map<Errc, std::uint64_t> thrown;
  throw_garbage(server.port(), 50, thrown);
  server.take_level();
  const std::uint64_t count = throw_garbage(server.port(), 834, thrown);
  EXPECT_GE(count, 10'000u);
  server.expect_fired(count);
  if (!sanitized) {
    EXPECT_LE(server.grown(), std::size_t{256} << 10);
  }
  server.expect_clean_end();
}

// A record of an open connection with one changed bit, or other bytes in its place.
TEST(Faults, X18_ABrokenRecordOnAnOpenConnectionIsOneEnd) {
  AttackedTls attacked;
  const std::uint16_t port = attacked.start();
  strike_tls(attacked, [&] {
    std::uint64_t fired = 0;
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      for (std::size_t bit = 0; bit < 60 * 8; bit += 11) {
        SCOPED_TRACE(bit);
        TlsClient client(port, version);
        EXPECT_TRUE(client.upgrade());
        std::string record = client.seal(wire(Role::client, text(std::string(60, 'x'))));
        // With a larger length the server would wait for the rest.
        char& byte = record[bit / 8 == 3 || bit / 8 == 4 ? 0 : bit / 8];
        byte = static_cast<char>(byte ^ (1 << bit % 8));
        EXPECT_TRUE(client.send_raw(record));
        EXPECT_EQ(client.receive(), "");
        EXPECT_NE(client.reason().find("alert"), std::string::npos) << client.reason();
        client.fin();
        const auto info = attacked.ends.take();
        if (!info) return fired;
        EXPECT_EQ(info->error, Errc::tls_failed) << info->error.message();
        EXPECT_EQ(info->code, CloseCode::abnormal);
        EXPECT_FALSE(info->clean);
        ++fired;
      }
    }
    return fired;
  });
}

struct ServersGarbage {
  const char* name;
  std::string bytes;
  Errc error;
};

TEST(Faults, X18_AClientRefusesGarbageOfTheServer) {
  const std::vector<ServersGarbage> table = {
      {"plain HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", Errc::tls_failed},
      {"zeros", std::string(512, '\0'), Errc::tls_failed},
      {"noise", "\x7F\x7F" + noise(510, 7), Errc::tls_failed},
      {"a length of no record", std::string("\x16\x03\x03\xff\xff", 5) + noise(507, 8),
       Errc::tls_failed},
      {"nothing", "", Errc::end_of_stream},
      {"one byte", "\x16", Errc::tls_truncated},
      {"an alert", std::string("\x15\x03\x03\x00\x02\x02\x28", 7), Errc::tls_failed},
      {"close_notify", std::string("\x15\x03\x03\x00\x02\x01\x00", 7), Errc::tls_truncated},
      {"a hello of a client", std::string("\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9),
       Errc::tls_failed},
      {"a hello with a broken body",
       std::string("\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03", 11) + noise(84, 9),
       Errc::tls_failed},
  };
  strike_tls_clients([&] {
    for (const ServersGarbage& garbage : table) {
      SCOPED_TRACE(garbage.name);
      ScriptedPeer peer([&](Socket& socket) {
        EXPECT_FALSE(socket.receive().empty()) << "a hello";
        socket.send(garbage.bytes);
        socket.shutdown_write();
        EXPECT_TRUE(socket.receive_end());
      });
      const auto dialed = dial("wss://" + peer.authority() + "/echo", trusting());
      peer.join();
      EXPECT_FALSE(dialed);
      if (dialed) continue;
      EXPECT_EQ(dialed.error().code(), garbage.error) << dialed.error().message();
    }
    return table.size();
  });
}

TEST(Faults, X18_ABrokenRecordOfTheServerIsOneEnd) {
  strike_tls_clients([&] {
    std::uint64_t fired = 0;
    for (std::size_t byte = 0; byte < 40; byte += byte == 2 ? 3 : 2) {  // not the length
      SCOPED_TRACE(byte);
      TlsPeer peer([&](TlsSocket& socket) {
        answer(socket, wire(Role::server, text("whole")));
        std::string record = socket.seal(wire(Role::server, text(std::string(40, 'x'))));
        record[byte] = static_cast<char>(record[byte] ^ 1);
        socket.send_raw(record);
        EXPECT_EQ(socket.receive(), "");
        EXPECT_NE(socket.reason().find("alert"), std::string::npos) << socket.reason();
      });
      auto dialed = dial(peer.url(), trusting());
      EXPECT_TRUE(dialed);
      if (!dialed) return fired;
      std::string payload;
      EXPECT_TRUE(dialed->receive(payload));
      EXPECT_EQ(payload, "whole");
      const auto received = dialed->receive(payload);
      EXPECT_FALSE(received);
      if (received) return fired;
      EXPECT_EQ(received.error().code(), Errc::tls_failed) << received.error().message();
      EXPECT_EQ(dialed->close_info().code, CloseCode::abnormal);
      dialed->close();
      peer.join();
      ++fired;
    }
    return fired;
  });
}

}  // namespace
}  // namespace tern::test
