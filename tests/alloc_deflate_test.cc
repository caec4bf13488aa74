// Memory of connections with compression: which bytes a connection keeps, that small echoes
// allocate nothing, what a bomb costs (fault row X15), and what happens when there is no memory,
// also for zlib.
#include "tern/engine.h"

#include "engine/encoded_message.h"
#include "engine/publication_deflater.h"
#include "support/counting_malloc.h"
#include "support/quiet_driver.h"
#include "support/short_of_memory.h"
#include "support/wire.h"
#include "support/zlib_peer.h"

#include <cstddef>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace tern::test {
namespace {

std::string packed(Role sender, std::string_view message) {
  return wire(sender, compressed(binary(ZlibSender().message(message))));
}

const EngineOptions compress_all{.deflate = Deflate{.min_bytes = 0}};

TEST(AllocDeflate, ASmallEchoAllocatesNothing) {
  struct Row {
    const char* name;
    std::string message;
  };
  const std::vector<Row> table = {{"empty", ""},           {"16", std::string(16, 'x')},
                                  {"1 KiB", json(kib)},    {"16 KiB", json(16 * kib)},
                                  {"noise", noise(2'000)}, {"100 KiB", json(100 * kib)}};
  for (const Role role : roles) {
    for (const bool takeover : {false, true}) {
      for (const Row& row : table) {
        SCOPED_TRACE(row.name);
        Workspace workspace;
        const DeflateAgreement agreed{.takeover = takeover, .peer_takeover = takeover};
        QuietDriver driver(role, compress_all, workspace, {.deflate = agreed});
        const std::string bytes = packed(peer_of(role), row.message);
        for (int i = 0; i < 10; ++i) driver.turn(bytes);
        const std::size_t before = allocations;
        const std::size_t events = driver.events;
        for (int i = 0; i < 50; ++i) driver.turn(bytes);
        EXPECT_EQ(allocations, before);
        EXPECT_EQ(driver.events - events, 50u);
      }
    }
  }
}

// Without memory the publisher compresses nothing, and the next publication is compressed again.
TEST(AllocDeflate, EveryAllocationOfAPublisherFails) {
  bool fired = true;
  for (std::size_t n = 0; fired; ++n) {
    SCOPED_TRACE(n);
    auto compress = engine::make_publication_deflater(Deflate{});
    const SharedMessage first{Message(json(16 * kib))};
    const SharedMessage second{Message(json(16 * kib))};
    faults = 0;
    fails_at = allocations + n;
    compress(first);
    fails_at = none;
    fired = faults > 0;
    EXPECT_EQ(first.encoded()->compressed() == nullptr, fired);
    compress(second);
    EXPECT_NE(second.encoded()->compressed(), nullptr);
    if (!fired) {
      EXPECT_GE(n, 3u);
    }
  }
}

// Returns the heap bytes that a connection keeps after it has received and sent a compressed
// message.
std::size_t kept_by_each(Role role, const DeflateAgreement& agreed, const Deflate& deflate) {
  constexpr std::size_t connections = 100;
  const EngineOptions options{.deflate = deflate};
  Workspace workspace;
  const std::string bytes = packed(peer_of(role), json(3'000));
  std::vector<std::unique_ptr<QuietDriver>> drivers;
  drivers.reserve(connections + 1);
  const auto add = [&] {
    drivers.push_back(
        std::make_unique<QuietDriver>(role, options, workspace, Agreement{.deflate = agreed}));
    drivers.back()->turn(bytes);
    EXPECT_EQ(drivers.back()->events, 2u);
  };
  add();
  const std::size_t before = live_bytes;
  for (std::size_t i = 0; i < connections; ++i) add();
  const std::size_t own =
      malloc_usable_size(drivers.back().get()) + 64 * kib;  // the size of the driver itself
  return (live_bytes - before) / connections - own;
}

TEST(AllocDeflate, IdleConnectionsKeepOnlyTheAgreedContexts) {
  for (const Role role : roles) {
    const Deflate usual{.min_bytes = 0};
    EXPECT_LE(kept_by_each(role, {}, usual), 64u) << "no context of its own";
    const Deflate takeover{.takeover = true, .peer_takeover = true, .min_bytes = 0};
    const std::size_t whole = kept_by_each(role, {15, 15, true, true}, takeover);
    EXPECT_GT(whole, 290'000u);
    EXPECT_LT(whole, 320'000u);
    Deflate small = takeover;
    small.memory_level = 5;
    const std::size_t little = kept_by_each(role, {12, 12, true, true}, small);
    EXPECT_LT(little, 56'000u);
    const std::size_t inflating = kept_by_each(role, {15, 15, false, true}, takeover);
    EXPECT_LT(inflating, 44'000u);
    RecordProperty("no_takeover", std::to_string(kept_by_each(role, {}, usual)));
    RecordProperty("takeover", std::to_string(whole));
    RecordProperty("takeover_12_5", std::to_string(little));
    RecordProperty("peer_takeover", std::to_string(inflating));
  }
}

TEST(AllocDeflate, TheEndGivesContextsBack) {
  for (const Role role : roles) {
    const EngineOptions options{.deflate = Deflate{.takeover = true, .min_bytes = 0}};
    Workspace workspace;
    QuietDriver driver(role, options, workspace, {.deflate = DeflateAgreement{15, 15, true, true}});
    driver.turn(packed(peer_of(role), json(3'000)));
    const std::size_t before = live_bytes;
    driver.engine.terminate(Errc::terminated);
    EXPECT_LT(live_bytes + 290'000, before);
  }
}

// ---- bombs

constexpr std::size_t slack = 64 * kib;

// A message of 100 MiB of zeros, which takes 100 KiB on the wire.
const std::string& bomb() {
  static const std::string payload =
      ZlibSender(15, 9).message(std::string(std::size_t{100} << 20, '\0'));
  return payload;
}

TEST(AllocDeflate, Rfc6455_10_4_ABombCostsNoMoreThanTheLimit) {
  EXPECT_LT(bomb().size(), 110'000u);
  for (const Role role : roles) {
    for (const bool peer_takeover : {false, true}) {
      for (const std::size_t limit :
           {std::size_t{1000}, std::size_t{100'000}, std::size_t{1} << 20, std::size_t{3} << 20}) {
        SCOPED_TRACE(limit);
        const std::string whole = wire(peer_of(role), compressed(binary(bomb())));
        std::vector<Frame> fragments;
        for (std::size_t at = 0; at < bomb().size(); at += 103) {
          fragments.push_back(at == 0 ? compressed(binary(bomb().substr(0, 103), false))
                                      : more(bomb().substr(at, 103), false));
        }
        const std::string cut = wire(peer_of(role), fragments);
        for (const std::string& bytes : {whole, cut}) {
          const EngineOptions options{.limits = {.max_message_bytes = limit}};
          Workspace workspace;
          QuietDriver driver(role, options, workspace,
                             {.deflate = DeflateAgreement{.peer_takeover = peer_takeover}});
          const std::size_t before = live_bytes;
          peak_bytes = live_bytes;
          driver.turn(bytes);
          EXPECT_EQ(driver.engine.close_info().error, Errc::message_too_big);
          EXPECT_LE(peak_bytes - before, limit + slack);
        }
      }
    }
  }
}

TEST(AllocDeflate, Rfc6455_10_4_ManyBombsCostNoMoreThanTheirLimits) {
  const EngineOptions options{.limits = {.max_message_bytes = 200'000}};
  Workspace workspace;
  std::vector<std::unique_ptr<QuietDriver>> drivers;
  for (int i = 0; i < 100; ++i) {
    drivers.push_back(std::make_unique<QuietDriver>(Role::server, options, workspace,
                                                    Agreement{.deflate = DeflateAgreement{}}));
  }
  // Each connection holds almost as much as it may, and no message is complete.
  const std::string bytes =
      wire(Role::client,
           compressed(binary(ZlibSender().run(std::string(199'999, '\0'), Z_SYNC_FLUSH), false)));
  const std::string rest = wire(Role::client, more(bomb(), false));
  const std::size_t before = live_bytes;
  peak_bytes = live_bytes;
  for (auto& driver : drivers) driver->turn(bytes);
  EXPECT_LE(peak_bytes - before, drivers.size() * (200'000 + slack));
  for (auto& driver : drivers) {
    driver->turn(rest);
    EXPECT_EQ(driver->engine.close_info().error, Errc::message_too_big);
  }
  EXPECT_LE(peak_bytes - before, drivers.size() * (200'000 + slack));
}

// ---- no memory

// Compressed messages of every kind in both directions, with half of the output not written.
class Compressed : public Exercise {
 public:
  explicit Compressed(Role role)
      : Exercise(4 << 20),
        shared_(std::string_view(payload_)),
        hello_(packed(peer_of(role), "Hello")) {
    ZlibSender sender;
    const auto message = [&](std::string_view text) {
      sender.reset();
      return sender.message(text);
    };
    const std::string large = message(json(60'000));
    bytes_ =
        wire(peer_of(role),
             {compressed(text(message("small"))), ping("p"),
              compressed(binary(message(json(40'000)))), text("plain"),
              compressed(text(large.substr(0, 100), false)), ping("q"), more(large.substr(100)),
              compressed(binary(message(noise(9'000)))), compressed(text(message("last")))});
  }

  void run(Engine& engine) {
    std::span<std::byte> rest = std::as_writable_bytes(std::span(bytes_));
    for (std::size_t turn = 0; turn < 8 || (!rest.empty() && engine.wants_input()); ++turn) {
      engine.tick(start_time);
      if (engine.wants_input()) {
        const std::size_t size = std::min<std::size_t>(rest.size(), 3'000);
        engine.feed(0, rest.first(size));
        rest = rest.subspan(size);
      }
      pull(engine, turn);
      engine.send(shared_);
      engine.send_borrowed(std::string_view(payload_), {.compress = turn % 3 != 0});
      if (turn % 2 == 0) write(engine, 2'000);
      engine.settle();
    }
    engine.close(CloseCode::normal, "done");
    finish(engine);
  }
  const std::string& hello() const { return hello_; }
  static constexpr std::size_t least_frames = 16;

 private:
  std::string bytes_{};
  std::string payload_ = json(10'000);
  SharedMessage shared_;
  std::string hello_;
};

TEST(AllocDeflate, EveryAllocationFailsOnce) {
  const EngineOptions options{.limits = {.max_queued_bytes = 8 << 20},
                              .deflate = Deflate{.min_bytes = 100}};
  std::size_t reports = 0;
  for (const Role role : roles) {
    for (const bool takeover : {false, true}) {
      const Agreement agreement{
          .deflate = DeflateAgreement{.takeover = takeover, .peer_takeover = takeover}};
      for (const bool permanent : {false, true}) {
        Shortage result{.fired = true};
        for (std::size_t n = 0; result.fired; ++n) {
          SCOPED_TRACE(n);
          result = run_short(Compressed(role), role, options, agreement, n, permanent);
          reports += result.reported ? 1 : 0;
        }
      }
    }
  }
  EXPECT_GT(reports, 40u);
}

// ---- where large messages grow

TEST(AllocDeflate, ALargeMessageThatGrowsIsNotHeldTwice) {
  constexpr std::size_t limit = std::size_t{4} << 20;
  const EngineOptions options{.limits = {.max_message_bytes = limit}};
  Workspace workspace;
  QuietDriver driver(Role::server, options, workspace, {.deflate = DeflateAgreement{}});
  driver.echo = false;
  const std::string bytes = packed(Role::client, std::string(limit, 'x'));
  const std::size_t before = live_bytes;
  peak_bytes = live_bytes;
  driver.turn(bytes);
  EXPECT_EQ(driver.events, 2u);
  EXPECT_LE(peak_bytes - before, limit + slack);
}

}  // namespace
}  // namespace tern::test
