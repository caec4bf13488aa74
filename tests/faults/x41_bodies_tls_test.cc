// X41 over TLS: requests whose bodies come in part, byte by byte, without end, or longer than
// announced, and peers that leave in the middle of a record.
// Pass: as without TLS; an answer that ends the connection is followed by close_notify.
#include "faults/support/tls_attacked.h"

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;

std::string post(std::string_view fields) {
  return "POST /body HTTP/1.1\r\nHost: example.org\r\n" + std::string(fields) + "\r\n";
}

void take_bodies(Attacked& attacked) {
  attacked.server.post("/body", [](const Request& request) {
    return Response::text(std::to_string(request.body().size()));
  });
}

TEST(Faults, X41_HalfBodiesOverTlsEndAtTheDeadline) {
  constexpr int count = 20;
  AttackedTls attacked({.timeouts = {.body = 1s}});
  take_bodies(attacked);
  attacked.start();
  strike_tls(attacked, [&] {
    const sys::Bystander bystander;
    std::vector<std::unique_ptr<TlsClient>> clients;
    for (int i = 0; i < count; ++i) {
      clients.push_back(std::make_unique<TlsClient>(attacked.port()));
      EXPECT_TRUE(clients.back()->shake_hands());
      EXPECT_TRUE(clients.back()->send(post("Content-Length: 65536\r\n")));
      if (i % 2 == 0) {
        EXPECT_TRUE(clients.back()->send(std::string(32'768, 'x')));
      }
    }
    int fired = 0;
    for (const auto& client : clients) {
      const std::string head = client->head();
      EXPECT_TRUE(head.starts_with("HTTP/1.1 408 ")) << head;
      fired += head.starts_with("HTTP/1.1 408 ") ? 1 : 0;
      EXPECT_TRUE(client->receive().empty());
      EXPECT_TRUE(client->closed_properly());
    }
    return fired;
  });
}

TEST(Faults, X41_ABodyOverTlsMayComeInAnyRecords) {
  AttackedTls attacked({.limits = {.max_body_bytes = 1'000}});
  take_bodies(attacked);
  attacked.start();
  strike_tls(attacked, [&] {
    const sys::Bystander bystander;
    int fired = 0;
    TlsClient drips(attacked.port());
    EXPECT_TRUE(drips.shake_hands());
    for (const char each : post("Transfer-Encoding: chunked\r\n") + "5\r\nHello\r\n0\r\n\r\n") {
      EXPECT_TRUE(drips.send(std::string(1, each)));
      ++fired;
    }
    EXPECT_TRUE(drips.receive_until("\r\n\r\n5").starts_with("HTTP/1.1 200 "));
    TlsClient endless(attacked.port());
    EXPECT_TRUE(endless.shake_hands());
    std::string chunks = post("Transfer-Encoding: chunked\r\n");
    for (int i = 0; i < 1'001; ++i) chunks += "1\r\nx\r\n";
    EXPECT_TRUE(endless.send(chunks));
    EXPECT_TRUE(endless.head().starts_with("HTTP/1.1 413 "));
    TlsClient longer(attacked.port());
    EXPECT_TRUE(longer.shake_hands());
    EXPECT_TRUE(longer.send(post("Content-Length: 5\r\n") + "Hello world\r\n\r\n"));
    EXPECT_NE(longer.receive_until("HTTP/1.1 400 ").find("HTTP/1.1 400 "), std::string::npos);
    return fired;
  });
}

// The last record may be cut at any byte, and close_notify may be missing.
TEST(Faults, X41_PeersThatLeaveInTheMiddleOfABodyOverTls) {
  AttackedTls attacked;
  take_bodies(attacked);
  attacked.start();
  strike_tls(attacked, [&] {
    const sys::Bystander bystander;
    int fired = 0;
    for (std::size_t cut = 0; cut < 60; cut += 6) {
      for (const bool resets : {false, true}) {
        TlsClient client(attacked.port());
        EXPECT_TRUE(client.shake_hands());
        EXPECT_TRUE(client.send(post("Content-Length: 100\r\n") + "Hello"));
        const std::string record = client.seal(std::string(40, 'x'));
        EXPECT_TRUE(client.send_raw(record.substr(0, cut)));
        resets ? client.reset() : client.fin();
        if (!resets) {
          EXPECT_TRUE(client.tcp_ends());
        }
        ++fired;
      }
    }
    return fired;
  });
}

}  // namespace
}  // namespace tern::test
