// X3: an allocation fails.
//
// Pass: each allocation of a scripted connect, echo and close fails once. There is no crash, no
// leak and no hang over 5 s. Only the affected connection or call fails. Closes are 1011, or 1006
// with the cause no_memory. Only constructors throw std::bad_alloc.
//
// The n-th allocation fails, for every n until none is left (support/no_memory.h). libcrypto is
// initialised before: see engine/workspace.cc.
// tests/alloc_test.cc does the same to an engine alone.
#include "tern/dial.h"

#include "faults/support/aftermath.h"
#include "faults/support/no_memory.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <gtest/gtest.h>
#include <iostream>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>

namespace tern::test {
namespace {

using memory_fault::armed;
using memory_fault::fired;
using Clock = std::chrono::steady_clock;

TEST(Faults, X03_OnlyTheNthAllocationFails) {
  std::uint64_t before = 0;
  {
    const NoMemory fault(1);
    const std::unique_ptr<int> first(new (std::nothrow) int(1));
    const std::unique_ptr<int> second(new (std::nothrow) int(2));
    const std::unique_ptr<int> third(new (std::nothrow) int(3));
    before = fired;
    armed = false;
    EXPECT_TRUE(first && !second && third);
  }
  EXPECT_EQ(before, 1u);
}

// Sends a small and a large message, a ping, fragments and a Close frame, and reads the answers
// until TCP ends.
void talk(std::uint16_t port, std::string_view path = "/echo") {
  RawClient client(port);
  if (!client.connected() || !client.upgrade(path)) return;
  client.send(wire(Role::client, {text("Hello"), ping("p"), binary(std::string(20'000, 'x')),
                                  text("frag", false), more("ment"), closing(1000)}));
  client.finish();
  while (client.frame()) {
  }
}

void ask(std::uint16_t port, std::string_view request) {
  RawClient client(port);
  client.send(request);
  client.finish();
  client.body(1'000);  // until the server ends TCP
}

// The number of sessions constructed, and of those that received their end.
struct Ends {
  std::atomic<int> constructed = 0;
  std::atomic<int> closed = 0;
};

// Session data of this size. Up to 8 bytes with the pointer lie in the connection; larger ones are
// allocated.
template <std::size_t size>
class Sized {
 public:
  explicit Sized(Ends& ends) : ends_(ends) { ++ends_.constructed; }
  void on_message(Connection& conn, Message msg) { conn.send(msg); }
  void on_close(Connection&, const CloseInfo&) { ++ends_.closed; }

 private:
  struct Empty {};
  Ends& ends_;
  [[no_unique_address]] std::conditional_t<size == 0, Empty, std::array<std::byte, size>> more_{};
};
static_assert(sizeof(Sized<0>) == 8 && sizeof(Sized<4096>) == 4096 + 8);

// Allocates in its constructor and always throws.
class Throwing {
 public:
  explicit Throwing(Ends&) : text_(std::make_unique<std::string>(200, 'x')) {
    throw std::runtime_error(*text_);
  }
  void on_message(Connection&, Message) {}

 private:
  std::unique_ptr<std::string> text_;
};

// Runs one server with one failure. Returns whether the failure happened.
bool serve_with(std::uint64_t number, bool good) {
  std::atomic<std::uint64_t> wrong = 0;
  House house({.timeouts = {.handshake = std::chrono::milliseconds(500)}});
  house.server.route("/watched",
                     Handlers{
                         .on_message = [](Connection& conn, Message msg) { conn.send(msg); },
                         .on_close =
                             [&wrong](Connection&, const CloseInfo& info) {
                               const bool fine = info.clean || info.error == Errc::no_memory;
                               wrong += fine ? 0 : 1;
                             },
                     });
  Ends ends;
  house.server.route<Sized<0>>("/small", std::ref(ends));
  house.server.route<Sized<4096>>("/large", std::ref(ends));
  house.server.route<Throwing>("/throws", std::ref(ends));
  house.server.route("/larger",
                     [&](Upgrade upgrade) { upgrade.accept<Sized<4096>>({}, std::ref(ends)); });
  house.server.route("/never", [](Upgrade) {});
  house.server.get("/page",
                   [](const Request&) { return Response::text("a page, of some length"); });
  EXPECT_TRUE(house.start()) << house.why();
  RawClient other(house.port());
  EXPECT_TRUE(other.upgrade());
  bool happened = false;
  {
    const NoMemory fault(number, good);
    const auto began = Clock::now();
    talk(house.port(), "/watched");
    for (const char* path : {"/small", "/large", "/throws", "/larger", "/never"}) {
      talk(house.port(), path);
    }
    ask(house.port(), page_request("/page"));
    ask(house.port(), upgrade_request({}, "/nowhere"));
    EXPECT_LE(Clock::now() - began, enough_time) << "a hang";
    happened = fired > 0;
  }
  EXPECT_TRUE(other.send(text("others live")));
  EXPECT_EQ(other.next(), "text others live");
  EXPECT_EQ(clean_echoes(house.port(), 10), 11u);
  EXPECT_EQ(wrong, 0u);
  EXPECT_TRUE(eventually([&] { return ends.constructed == ends.closed; }))
      << ends.constructed << " constructed, " << ends.closed << " received on_close";
  return happened;
}

// The same for requests with bodies. The peer of an answer that cannot be posted waits for
// timeouts.answer.
bool serve_bodies_with(std::uint64_t number, bool good) {
  House house({.timeouts = {.answer = std::chrono::milliseconds(100)}});
  house.server.post(
      "/page", [](const Request& request) { return Response::text(std::string(request.body())); });
  house.server.post("/exchange", [](Exchange exchange) {
    exchange.respond(Response::text(std::string(exchange.request().body())));
  });
  EXPECT_TRUE(house.start()) << house.why();
  RawClient other(house.port());
  EXPECT_TRUE(other.upgrade()) << "the server runs";
  bool happened = false;
  {
    const NoMemory fault(number, good);
    for (const char* path : {"/page", "/exchange"}) {
      const std::string start = std::string("POST ") + path + " HTTP/1.1\r\nHost: example.org\r\n";
      ask(house.port(), start + "Content-Length: 100\r\n\r\n" + std::string(100, 'b'));
      ask(house.port(), start + "Transfer-Encoding: chunked\r\n\r\n20;e\r\n" +
                            std::string(32, 'b') + "\r\n0\r\nTrailer: t\r\n\r\n");
    }
    happened = fired > 0;
  }
  EXPECT_EQ(clean_echoes(house.port(), 10), 11u);
  return happened;
}

template <class F>
void survive_each(bool good, F serve) {
  const sys::Bystander bystander;
  {
    House warm;
    ASSERT_TRUE(warm.start()) << warm.why();
    talk(warm.port());
  }
  const std::size_t descriptors = open_descriptors();
  std::uint64_t shots = 0;
  while (serve(shots, good)) ++shots;
  EXPECT_GE(shots, 20u) << "the test proves nothing";
  std::cout << shots << (good ? " times for good\n" : " times once\n");
  EXPECT_EQ(open_descriptors(), descriptors);
}

TEST(Faults, X03_AServerSurvivesEachAllocationThatFails) { survive_each(false, serve_with); }
TEST(Faults, X03_AServerSurvivesALastingShortage) { survive_each(true, serve_with); }
TEST(Faults, X03_BodiesSurviveEachAllocationThatFails) { survive_each(false, serve_bodies_with); }
TEST(Faults, X03_BodiesSurviveALastingShortage) { survive_each(true, serve_bodies_with); }

// The server that had no memory returns to its level.
TEST(Faults, X03_AServerThatHadNoMemoryLeaksNothing) {
  const sys::Bystander bystander;
  House house;
  ASSERT_TRUE(house.start()) << house.why();
  talk(house.port());
  Aftermath aftermath(house);
  for (std::uint64_t number = 0; number < 20; ++number) {
    const NoMemory fault(number, true);
    talk(house.port());
    aftermath.expect_fired(number == 0 ? fired.load() : 1, "malloc");
  }
  house.forget_log();
  aftermath.expect_clean();
}

// Construction, listening, running and stopping throw std::bad_alloc, return an error, or work.
bool construct_with(std::uint64_t number) {
  const NoMemory fault(number);
  try {
    Server server({.host = "127.0.0.1"});
    server.route("/echo", Handlers{.on_message = [](Connection&, Message) {}});
    if (server.listen()) {
      server.stop();
      static_cast<void>(server.run());
    }
  } catch (const std::bad_alloc&) {
  }
  return fired > 0;
}

TEST(Faults, X03_AServerThatCannotBeMadeLeaksNothing) {
  { const Server warm{ServerOptions{}}; }
  construct_with(1'000'000);
  const std::size_t descriptors = open_descriptors();
  const std::int64_t blocks = live_blocks();
  std::uint64_t shots = 0;
  while (construct_with(shots)) ++shots;
  EXPECT_GE(shots, 10u) << "the test proves nothing";
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_LE(live_blocks(), blocks);
}

// Dials, echoes and closes with one failure. Returns whether the failure happened.
bool dial_with(std::uint64_t number, bool good, const std::string& url) {
  const NoMemory fault(number, good);
  const auto began = Clock::now();
  {
    auto dialed = dial(url);
    if (dialed) {
      std::string got;
      for (const std::size_t size : {std::size_t{5}, std::size_t{20'000}}) {
        std::optional<std::string> sent;
        try {
          sent.emplace(size, 'x');
        } catch (const std::bad_alloc&) {  // ours
          break;
        }
        if (!dialed->send(std::string_view(*sent)) || !dialed->receive(got)) break;
      }
      dialed->close();
    }
  }
  const bool hung = Clock::now() - began > enough_time;
  const bool happened = fired > 0;
  armed = false;
  EXPECT_FALSE(hung);
  return happened;
}

TEST(Faults, X03_AClientSurvivesEachAllocationThatFails) {
  House house({}, Side::bystander);
  ASSERT_TRUE(house.start()) << house.why();
  const std::string url = "ws://localhost:" + std::to_string(house.port()) + "/echo";
  const sys::Names names("localhost", {"127.0.0.1"});
  dial_with(1'000'000, false, url);
  Aftermath aftermath(house);
  for (const bool good : {false, true}) {
    std::uint64_t shots = 0;
    while (dial_with(shots, good, url)) ++shots;
    std::cout << shots << (good ? " times for good\n" : " times once\n");
    aftermath.expect_fired(shots, "malloc", 20);
  }
  aftermath.expect_clean();
}

}  // namespace
}  // namespace tern::test
