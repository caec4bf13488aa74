// X41: requests whose bodies come in part, slowly, without end, or longer than announced.
// Pass: the memory follows the bytes that arrived and is free after the answer. A body that is not
// complete ends with 408 at timeouts.body, one without end with 400, 413 or 431 at its limit, and
// nothing behind it is taken for a request. Other peers are served meanwhile. CI has 100 half
// bodies of 32 KiB and as many that are only announced; the full size is 2 000.
#include "faults/support/attacked.h"
#include "faults/support/memory.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace tern::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t half = 32 << 10;

std::string post(std::string_view fields) {
  return "POST /body HTTP/1.1\r\nHost: example.org\r\n" + std::string(fields) + "\r\n";
}

void take_bodies(Attacked& attacked) {
  attacked.server.post("/body", [](const Request& request) {
    return Response::text(std::to_string(request.body().size()));
  });
}

// The bytes of heap for each of `count` clients that send `request` and wait.
std::size_t heap_of_each(Attacked& attacked, std::vector<RawClient>& clients, std::size_t count,
                         const std::string& request) {
  const std::uint64_t received = attacked.server.counters().bytes_received;
  clients.reserve(clients.size() + count);
  const std::size_t before = heap_in_use();
  for (std::size_t i = 0; i < count; ++i) {
    clients.emplace_back(attacked.port());
    EXPECT_TRUE(clients.back().send(request));
  }
  EXPECT_TRUE(eventually([&] {
    return attacked.server.counters().bytes_received - received >= count * request.size();
  }));
  return (heap_in_use() - before) / count;
}

void half_bodies(std::size_t count, std::chrono::nanoseconds deadline) {
  Attacked attacked({.timeouts = {.body = deadline}, .max_unfinished_handshakes = 10'000});
  take_bodies(attacked);
  attacked.start();
  EXPECT_EQ(clean_echoes(attacked.port()), 1'001u);
  EXPECT_TRUE(attacked.deserted());
  const std::size_t heap_before = heap_in_use();
  const auto begun = Clock::now();
  std::vector<RawClient> clients;
  const std::string head = post("Content-Length: 65536\r\n");
  const std::size_t announced = heap_of_each(attacked, clients, count, head);
  const std::size_t begun_each =
      heap_of_each(attacked, clients, count, head + std::string(half, 'x'));
  std::cout << announced << " bytes of heap for an announced body, " << begun_each
            << " for a half one\n";
  if (!sanitized) {
    EXPECT_LE(announced, 4'096u) << "a length that is only announced takes no memory";
    EXPECT_LE(begun_each, 2 * half + 4'096u);
  }
  EXPECT_EQ(clean_echoes(attacked.port()), 1'001u);
  for (RawClient& client : clients) {
    EXPECT_TRUE(client.head().starts_with("HTTP/1.1 408 "));
  }
  EXPECT_GE(Clock::now() - begun, deadline);
  EXPECT_TRUE(
      eventually([&] { return refusals(attacked.server, Errc::body_timeout) == 2 * count; }));
  clients.clear();
  clients.shrink_to_fit();
  EXPECT_TRUE(attacked.deserted());
  EXPECT_TRUE(eventually([&] { return heap_in_use() < heap_before + 512 * 1024; }))
      << "the bodies are not freed";
}

TEST(Faults, X41_HalfBodiesTakeTheirBytesAndEndAtTheDeadline) { half_bodies(100, 3s); }
TEST(FaultsLong, X41_ThousandsOfHalfBodiesEndAtTheDeadline) { half_bodies(2'000, 29s); }

struct Endless {
  const char* what;
  const char* begin;
  const char* repeated;
  const char* status;
};
constexpr Endless endless[] = {
    {"an extension", "1;", "e", "400"},
    {"extensions of many chunks", "", "1;extension=value\r\nx\r\n", "400"},
    {"trailers", "0\r\n", "Name: value\r\n", "431"},
    {"a trailer", "0\r\nName: ", "v", "431"},
    {"chunks of one byte", "", "1\r\nx\r\n", "413"},
    {"digits of a size", "", "0", "400"},
};

TEST(Faults, X41_ABodyWithoutEndIsRefusedAtItsLimit) {
  Attacked attacked({.limits = {.max_body_bytes = 1'000}});
  take_bodies(attacked);
  attacked.start();
  strike(attacked, [&] {
    int fired = 0;
    for (const Endless& row : endless) {
      SCOPED_TRACE(row.what);
      RawClient client(attacked.port());
      client.send(post("Transfer-Encoding: chunked\r\n") + row.begin);
      std::string piece;
      while (piece.size() < 1'000) piece += row.repeated;
      // Less than the server discards behind a refusal, so that the answer arrives.
      for (int i = 0; i < 40 && client.send(piece); ++i) {
      }
      const std::string head = client.head();
      EXPECT_EQ(head.substr(9, 3), row.status) << head;
      fired += head.starts_with("HTTP/1.1 4") ? 1 : 0;
    }
    EXPECT_EQ(fired, static_cast<int>(std::size(endless)));
    return fired;
  });
}

// A body that is longer than announced is followed by a request that is none.
TEST(Faults, X41_BytesBehindABodyAreNotTakenForABody) {
  Attacked attacked;
  take_bodies(attacked);
  attacked.start();
  strike(attacked, [&] {
    int fired = 0;
    for (const char* const body : {"Hello\x01", "Hello world"}) {
      RawClient client(attacked.port());
      client.send(post("Content-Length: 5\r\n") + body + "\r\n\r\n");
      const std::string head = client.head();
      EXPECT_TRUE(head.starts_with("HTTP/1.1 200 ")) << head;
      EXPECT_EQ(client.body(1), "5");
      fired += client.head().starts_with("HTTP/1.1 400 ") ? 1 : 0;
    }
    EXPECT_EQ(fired, 2);
    return fired;
  });
}

TEST(Faults, X41_PeersThatLeaveInTheMiddleOfABody) {
  Attacked attacked;
  take_bodies(attacked);
  attacked.start();
  strike(attacked, [&] {
    const std::string whole = post("Transfer-Encoding: chunked\r\n") + "5\r\nHello\r\n0\r\n\r\n";
    int fired = 0;
    for (std::size_t cut = whole.find("\r\n\r\n") + 4; cut < whole.size(); ++cut) {
      RawClient fin(attacked.port());
      fin.send(whole.substr(0, cut));
      fin.finish();
      EXPECT_TRUE(fin.ends()) << "no answer to a request that is not complete";
      RawClient reset(attacked.port());
      reset.send(whole.substr(0, cut));
      reset.reset();
      ++fired;
    }
    return fired;
  });
}

}  // namespace
}  // namespace tern::test
