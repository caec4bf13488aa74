// Memory of an engine: the cases in which it must not allocate, and what happens when there is no
// memory.
#include "tern/engine.h"

#include "support/counting_malloc.h"
#include "support/quiet_driver.h"
#include "support/short_of_memory.h"
#include "support/upgrade_text.h"
#include "support/wire.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tern::test {
namespace {

TEST(Alloc, TheCounterCounts) {
  const std::size_t before = allocations;
  const std::size_t live = live_bytes;
  auto block = std::make_unique<std::array<char, 1000>>();
  (*block)[0] = 'x';
  asm volatile("" : : "r"(block.get()) : "memory");
  EXPECT_EQ(allocations, before + 1);
  EXPECT_GE(live_bytes, live + 1000);
  block.reset();
  EXPECT_EQ(live_bytes, live);
}

// Messages arrive whole, cut inside the header or the payload, and as fragments. None of them needs
// the heap after the workspace is warm. Neither do pings or the keys of a client.
TEST(Alloc, ASmallEchoAllocatesNothing) {
  struct Row {
    const char* name;
    std::vector<Frame> frames;
  };
  const std::vector<Row> table = {
      {"empty", {text("")}},
      {"16", {text(std::string(16, 'x'))}},
      {"1000", {binary(std::string(1000, 'x'))}},
      {"16 KiB", {binary(std::string(16 * kib, 'x'))}},
      {"100 in a read", std::vector<Frame>(100, text("Hello"))},
      {"ping", {ping("Hello")}},
      {"40 pings", std::vector<Frame>(40, ping("Hello"))},
      {"fragments", {text("Hel", false), ping("x"), more("lo")}},
  };
  for (const Role role : roles) {
    for (const Row& row : table) {
      for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{4}}) {
        SCOPED_TRACE(row.name);
        const EngineOptions options;
        Workspace workspace;
        QuietDriver driver(role, options, workspace);
        const std::string bytes = wire(peer_of(role), row.frames);
        const std::string_view first =
            std::string_view(bytes).substr(0, std::min(cut, bytes.size()));
        const std::string_view rest = std::string_view(bytes).substr(first.size());
        const auto round = [&] {
          if (!first.empty()) driver.turn(first);
          driver.turn(rest);
        };
        for (int i = 0; i < 10; ++i) round();
        const std::size_t before = allocations;
        const std::size_t events = driver.events;
        for (int i = 0; i < 1'100; ++i)
          round();  // a client uses up its random block and fills it again
        EXPECT_EQ(allocations, before);
        EXPECT_GE(driver.events - events, 1'100u);
        EXPECT_GT(driver.written, 1'100u);
      }
    }
  }
}

TEST(Alloc, AnIdleConnectionHoldsNoHeap) {
  const EngineOptions options;
  Workspace workspace;
  std::vector<Engine> engines;
  engines.reserve(1'000);
  QuietDriver warm(Role::server, options, workspace);
  warm.turn(wire(Role::client, text("Hello")));
  const std::size_t before = live_bytes;
  for (int i = 0; i < 1'000; ++i) {
    engines.push_back(std::move(*Engine::established(Role::server, {}, options, workspace)));
    engines.back().tick(start_time);
    EXPECT_EQ(engines.back().next().kind(), Event::Kind::open);
    EXPECT_FALSE(engines.back().next());
  }
  EXPECT_EQ(live_bytes, before);
  EXPECT_LE(sizeof(Engine), 80u);  // LiveConnection has room for that, see there
}

// Gives an engine input in two reads, reads bodies and answers pages, and drops the output.
void serve_pages(Engine& engine, std::string& bytes, std::size_t cut, const Response& page) {
  const auto all = std::as_writable_bytes(std::span(bytes));
  for (const auto piece : {all.first(cut), all.subspan(cut)}) {
    engine.tick(start_time);
    engine.feed(0, piece);
    while (const Event event = engine.next()) {
      if (event.kind() == Event::Kind::body) engine.respond(page);
      if (event.kind() != Event::Kind::request) continue;
      engine.has_unread_body() ? static_cast<void>(engine.read_body())
                               : static_cast<void>(engine.respond(page));
    }
    while (engine.queued_bytes() > 0) engine.consume_output(engine.output().front().iov_len);
    engine.settle();
  }
}

const std::string requests =
    "GET /a HTTP/1.1\r\nHost: example.org\r\n\r\n"
    "POST /b HTTP/1.1\r\nHost: example.org\r\nContent-Length: 200\r\n\r\n" +
    std::string(200, 'b') +
    "POST /c HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n"
    "1f;a=b\r\n0123456789012345678901234567890\r\n0\r\nTrailer: t\r\n\r\n";

// Between two requests a connection keeps neither its block nor a parser nor the body.
TEST(Alloc, AConnectionBetweenRequestsHoldsNoHeap) {
  const EngineOptions options;
  const Response page = Response::text("fine");
  Workspace workspace;
  std::vector<Engine> engines;
  engines.reserve(1'000);
  std::string bytes = requests;
  std::size_t before = 0;
  for (int i = 0; i < 1'000; ++i) {
    engines.push_back(std::move(*Engine::server(options, workspace)));
    serve_pages(engines.back(), bytes, 150, page);
    EXPECT_FALSE(engines.back().finished());
    if (i == 0) before = live_bytes;  // the workspace keeps a block and a parser
  }
  EXPECT_EQ(live_bytes, before);
  for (Engine& engine : engines) serve_pages(engine, bytes, 150, page);
  EXPECT_EQ(live_bytes, before);
}

TEST(Alloc, EveryAllocationOfABodyFails) {
  const Response page = Response::text("fine");
  for (const std::size_t cut : {std::size_t{0}, std::size_t{150}, std::size_t{350}}) {
    for (const bool permanent : {false, true}) {
      bool fired = true;
      for (std::size_t n = 0; fired; ++n) {
        SCOPED_TRACE(n);
        const EngineOptions options;
        Workspace workspace;
        std::string bytes = requests;
        faults = 0;
        for_good = permanent;
        fails_at = allocations + n;
        auto engine = Engine::server(options, workspace);
        if (engine) serve_pages(*engine, bytes, cut, page);
        fails_at = none;
        fired = faults > 0;
        if (!engine || !fired) continue;
        EXPECT_TRUE(engine->finished());
        EXPECT_EQ(engine->close_info().error, Errc::no_memory);
      }
    }
  }
}

// The next piece of a stream may need memory, for itself or for the queue. The caller of pull()
// learns of it, and the connection has ended.
TEST(Alloc, EveryAllocationOfAStreamFails) {
  std::string bytes = "GET /a HTTP/1.1\r\nHost: example.org\r\n\r\n";
  bool fired = true;
  for (std::size_t n = 0; fired; ++n) {
    SCOPED_TRACE(n);
    const EngineOptions options;
    Workspace workspace;
    auto engine = Engine::server(options, workspace);
    engine->tick(start_time);
    engine->feed(0, std::as_writable_bytes(std::span(bytes)));
    EXPECT_EQ(engine->next().kind(), Event::Kind::request);
    engine->respond(Response::stream("text/plain", [count = 0]() mutable {
      return ++count < 3 ? std::optional(std::string(100 * kib, 'x')) : std::nullopt;
    }));
    faults = 0;
    fails_at = allocations + n;
    bool threw = false;
    do {
      try {
        engine->pull();
      } catch (const std::bad_alloc&) {
        threw = true;
      }
      while (engine->queued_bytes() > 0) engine->consume_output(engine->output().front().iov_len);
    } while (engine->wants_pull());
    fails_at = none;
    fired = faults > 0;
    EXPECT_EQ(threw, fired);
    EXPECT_EQ(engine->close_info().error == Errc::no_memory, fired);
    if (!fired) {
      EXPECT_GE(n, 2u);
    }
  }
}

// The part of a frame that the socket did not take. No Close frame may follow its first part.
TEST(Alloc, EveryAllocationOfTheRestOfAFrameFails) {
  const SharedMessage message{Message(std::string(kib, 'x'))};
  bool fired = true;
  for (std::size_t n = 0; fired; ++n) {
    SCOPED_TRACE(n);
    const EngineOptions options;
    Workspace workspace;
    QuietDriver driver(Role::server, options, workspace);
    QuietDriver other(Role::server, options, workspace);
    other.engine.send("x");  // it holds the block that the workspace keeps
    const std::span<const std::byte> rest = driver.engine.direct_frame(message).subspan(10);
    faults = 0;
    fails_at = allocations + n;
    driver.engine.send_rest(message, rest, true);
    fails_at = none;
    fired = faults > 0;
    driver.write();
    EXPECT_EQ(driver.written, fired ? 0 : rest.size());
    EXPECT_EQ(driver.engine.is_open(), !fired);
    if (!fired) {
      EXPECT_GE(n, 1u);
    }
  }
}

// After a frame that came in two reads, the block of the connection goes back to the workspace.
TEST(Alloc, AnIdleConnectionHoldsNoBlockAfterACutFrame) {
  ::mallopt(M_MMAP_THRESHOLD, 1 << 24);  // otherwise a buffer sometimes counts as whole pages
  for (const Role role : roles) {
    for (const Frame& frame : {ping("Hello"), text("Hello")}) {
      const EngineOptions options;
      Workspace workspace;
      const std::string bytes = wire(peer_of(role), frame);
      std::vector<std::unique_ptr<QuietDriver>> drivers;
      const auto add = [&] {
        drivers.push_back(std::make_unique<QuietDriver>(role, options, workspace));
        drivers.back()->turn(bytes.substr(0, bytes.size() - 2));
        drivers.back()->turn(bytes.substr(bytes.size() - 2));
      };
      add();
      const std::size_t warm = live_bytes;
      add();
      const std::size_t one = live_bytes - warm;  // a driver's own buffer
      EXPECT_LE(one, 256 * kib + kib) << "no block for the second engine";
    }
  }
}

// Memory follows the bytes received, never the length announced (RFC 6455 §10.4).
TEST(Alloc, AHeaderThatAnnouncesMuchCostsLittle) {
  for (const Role role : roles) {
    for (const std::size_t payload : {std::size_t{0}, std::size_t{1}, std::size_t{1000}}) {
      const EngineOptions options{.limits = {.max_message_bytes = std::size_t{1} << 40}};
      Workspace workspace;
      QuietDriver driver(role, options, workspace);
      const std::size_t before = live_bytes;
      std::string bytes = wire_header(peer_of(role), binary(""), options.limits.max_message_bytes);
      bytes.append(payload, 'x');
      const std::size_t own = live_bytes - before;
      driver.turn(bytes);
      EXPECT_TRUE(driver.engine.is_open());
      EXPECT_TRUE(driver.engine.read_room().empty());
      EXPECT_LE(live_bytes - before - own, 64 * kib);
    }
  }
}

TEST(Alloc, TinyFragmentsCostNoMoreThanTheirPayload) {
  for (const Role role : roles) {
    const EngineOptions options;
    Workspace workspace;
    QuietDriver driver(role, options, workspace);
    const std::string first = wire(peer_of(role), binary("x", false));
    const std::string next = wire(peer_of(role), more("x", false));
    const std::size_t before = live_bytes;
    driver.turn(first);
    for (int i = 1; i < 16'384; ++i) driver.turn(next);
    EXPECT_TRUE(driver.engine.is_open());
    EXPECT_LE(live_bytes - before, 2 * 16 * kib + 48 * kib);
  }
}

TEST(Alloc, UnreadPongsAndPingsAreBounded) {
  for (const Role role : roles) {
    const EngineOptions options;
    Workspace workspace;
    QuietDriver driver(role, options, workspace);
    const std::string bytes = wire(peer_of(role), ping(std::string(125, 'x')));
    std::string lent = bytes;
    const std::size_t before = live_bytes;
    for (int i = 0; i < 100'000; ++i) {
      lent.assign(bytes);
      driver.engine.feed(0, std::as_writable_bytes(std::span(lent)));
      while (driver.engine.next()) {
      }
      if (i % 3 == 0) static_cast<void>(driver.engine.output());
      driver.engine.ping(std::as_bytes(std::span(bytes)));
    }
    EXPECT_LE(driver.engine.queued_bytes(), (33u + 17u) * 131u);
    EXPECT_LE(live_bytes - before, 128 * kib);
  }
}

TEST(Alloc, LargeMessagesGiveMemoryBack) {
  for (const Role role : roles) {
    EngineOptions options{.limits = {.max_message_bytes = 64 << 20, .max_queued_bytes = 64 << 20}};
    Workspace workspace;
    QuietDriver driver(role, options, workspace);
    driver.turn(wire(peer_of(role), text("Hello")));
    const std::size_t before = live_bytes;
    {
      const std::string bytes = wire(peer_of(role), binary(std::string(40 << 20, 'x')));
      std::string_view rest = bytes;
      while (!rest.empty()) {
        driver.turn(rest.substr(0, 200 * kib));
        rest.remove_prefix(std::min<std::size_t>(rest.size(), 200 * kib));
      }
      EXPECT_GE(driver.written, std::size_t{40} << 20);
    }
    EXPECT_LE(live_bytes - before, std::size_t{9} << 20) << "8 MiB are kept for the next";
  }
}

// ---- no memory

// Everything that a connection does, with half of its output not written.
class Conversation : public Exercise {
 public:
  explicit Conversation(Role role)
      : Exercise(8 << 20),
        bytes_(wire(peer_of(role), {text("small"), ping("p"), binary(std::string(300 * kib, 'b')),
                                    text("frag", false), ping("q"), more(std::string(20'000, 'f')),
                                    pong("r"), binary(std::string(5'000, 'c')), text("last")})),
        shared_(std::string_view(payload_)),
        hello_(wire(peer_of(role), text("Hello"))) {}

  void run(Engine& engine) {
    std::span<std::byte> rest = std::as_writable_bytes(std::span(bytes_));
    for (std::size_t turn = 0; turn < 8 || (!rest.empty() && engine.wants_input()); ++turn) {
      engine.tick(start_time);
      feed(engine, rest);
      pull(engine, turn);
      engine.send(shared_);
      engine.send_borrowed(std::string_view(payload_));
      engine.ping();
      if (turn % 2 == 0) write(engine, 10'000);
      engine.settle();
    }
    engine.close(CloseCode::normal, "done");
    finish(engine);
  }
  const std::string& hello() const { return hello_; }
  static constexpr std::size_t least_frames = 21;

 private:
  void feed(Engine& engine, std::span<std::byte>& rest) {
    if (!engine.wants_input()) return;
    const auto room = engine.read_room();
    const std::size_t in_room = std::min({room.size(), rest.size(), std::size_t{50'000}});
    if (in_room > 0) std::memcpy(room.data(), rest.data(), in_room);
    rest = rest.subspan(in_room);
    const std::size_t lent = std::min<std::size_t>(rest.size(), 30'000);
    engine.feed(in_room, rest.first(lent));
    rest = rest.subspan(lent);
  }

  std::string bytes_;
  std::string payload_ = std::string(10'000, 's');
  SharedMessage shared_;
  std::string hello_;
};

// The n-th allocation fails, for every n: alone, or with all later ones. Only that connection ends.
TEST(Alloc, EveryAllocationFailsOnce) {
  const EngineOptions options{.limits = {.max_queued_bytes = 8 << 20}};
  const Agreement agreement{.protocol = "a protocol of some length"};
  std::size_t reports = 0;
  for (const Role role : roles) {
    for (const bool permanent : {false, true}) {
      Shortage result{.fired = true};
      for (std::size_t n = 0; result.fired; ++n) {
        SCOPED_TRACE(n);
        result = run_short(Conversation(role), role, options, agreement, n, permanent);
        reports += result.reported ? 1 : 0;
      }
    }
  }
  EXPECT_GT(reports, 20u);
}

TEST(Alloc, EveryAllocationOfAServersHandshakeFails) {
  const std::string request =
      "GET /echo HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  for (const bool permanent : {false, true}) {
    bool fired = true;
    std::size_t refused = 0;
    for (std::size_t n = 0; fired; ++n) {
      SCOPED_TRACE(n);
      const EngineOptions options;
      Workspace workspace;
      Conversation exercise(Role::server);
      std::string lent = request;
      faults = 0;
      for_good = permanent;
      fails_at = allocations + n;
      auto engine = Engine::server(options, workspace);
      if (engine) {
        engine->tick(start_time);
        engine->feed(0, std::as_writable_bytes(std::span(lent)));
        exercise.pull(*engine, 1);
        exercise.run(*engine);
      }
      fails_at = none;
      fired = faults > 0;
      if (!engine) continue;
      EXPECT_EQ(exercise.closed, 1u);
      EXPECT_TRUE(engine->finished());
      EXPECT_TRUE(fired || engine->close_info().opened);
      refused += engine->close_info().error == Errc::no_memory ? 1 : 0;
    }
    EXPECT_GT(refused, 3u);
  }
}

// A server that stops closes a connection whose request is not answered yet: with 503, or with
// nothing if there is no memory.
TEST(Alloc, EveryAllocationOfACloseBeforeTheAnswerFails) {
  bool fired = true;
  std::size_t failed = 0;
  for (std::size_t n = 0; fired; ++n) {
    SCOPED_TRACE(n);
    const EngineOptions options;
    Workspace workspace;
    std::string lent = upgrade_request();
    auto engine = Engine::server(options, workspace);
    ASSERT_TRUE(engine);
    engine->tick(start_time);
    engine->feed(0, std::as_writable_bytes(std::span(lent)));
    ASSERT_EQ(engine->next().kind(), Event::Kind::request);
    faults = 0;
    for_good = true;
    fails_at = allocations + n;
    engine->close(CloseCode::going_away);
    EXPECT_EQ(engine->next().kind(), Event::Kind::closed);
    fails_at = none;
    fired = faults > 0;
    failed += fired ? 1 : 0;
    EXPECT_EQ(engine->close_info().error == Errc::no_memory, fired);
    EXPECT_EQ(engine->output().empty(), fired);
  }
  EXPECT_GT(failed, 2u);
}

TEST(Alloc, EveryAllocationOfAClientsRequestFails) {
  const EngineOptions options;
  Workspace workspace;
  const ClientRequest request{.host = "a-host-of-some-length.example.org",
                              .target = "/a/path/of/some/length",
                              .protocols = {"a-protocol-of-some-length"}};
  std::size_t refused = 0;
  bool fired = true;
  for (std::size_t n = 0; fired; ++n) {
    SCOPED_TRACE(n);
    faults = 0;
    for_good = false;
    fails_at = allocations + n;
    const auto engine = Engine::client(request, options, workspace);
    fails_at = none;
    fired = faults > 0;
    ASSERT_EQ(static_cast<bool>(engine), !fired);
    if (engine) continue;
    EXPECT_EQ(engine.error().code(), Errc::no_memory);
    ++refused;
  }
  EXPECT_GT(refused, 3u);
}

TEST(Alloc, EveryAllocationOfAClientsHandshakeFails) {
  const ClientRequest request{.host = "example.org", .target = "/echo"};
  for (const bool permanent : {false, true}) {
    bool fired = true;
    std::size_t reports = 0;
    for (std::size_t n = 0; fired; ++n) {
      SCOPED_TRACE(n);
      const EngineOptions options{.limits = {.max_queued_bytes = 8 << 20}};
      Workspace workspace;
      Conversation exercise(Role::client);
      auto engine = Engine::client(request, options, workspace);
      ASSERT_TRUE(engine);
      engine->tick(start_time);
      const iovec head = engine->output().front();
      std::string answer = upgrade_answer({static_cast<const char*>(head.iov_base), head.iov_len});
      engine->consume_output(head.iov_len);
      faults = 0;
      for_good = permanent;
      fails_at = allocations + n;
      engine->feed(0, std::as_writable_bytes(std::span(answer)));
      exercise.pull(*engine, 1);
      exercise.run(*engine);
      fails_at = none;
      fired = faults > 0;
      EXPECT_EQ(exercise.closed, 1u);
      EXPECT_TRUE(engine->finished());
      EXPECT_TRUE(fired || engine->close_info().opened);
      reports += engine->close_info().error == Errc::no_memory ? 1 : 0;
      FrameReader reader(Role::client);
      reader.feed(exercise.written());
      ASSERT_EQ(reader.fault(), "");
    }
    EXPECT_GT(reports, 3u);
  }
}

}  // namespace
}  // namespace tern::test
