// Memory: what the engine must not allocate. This program puts its own malloc before the C
// library's, so it counts every allocation, also those of operator new.
#include "tern/engine.h"

#include "support/wire.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <gtest/gtest.h>
#include <malloc.h>
#include <memory>
#include <string>
#include <vector>

extern "C" {
void* __libc_malloc(std::size_t);                 // NOLINT
void* __libc_calloc(std::size_t, std::size_t);    // NOLINT
void* __libc_realloc(void*, std::size_t);         // NOLINT
void* __libc_memalign(std::size_t, std::size_t);  // NOLINT
void __libc_free(void*);                          // NOLINT
}

namespace {

std::size_t allocations = 0;
std::size_t live_bytes = 0;

void* counted(void* block) noexcept {
  ++allocations;
  live_bytes += block == nullptr ? 0 : malloc_usable_size(block);
  return block;
}

void forget(void* block) noexcept {
  live_bytes -= block == nullptr ? 0 : malloc_usable_size(block);
}

}  // namespace

extern "C" {
void* malloc(std::size_t size) { return counted(__libc_malloc(size)); }
void* calloc(std::size_t count, std::size_t size) { return counted(__libc_calloc(count, size)); }
void* realloc(void* block, std::size_t size) {
  forget(block);
  return counted(__libc_realloc(block, size));
}
void* memalign(std::size_t alignment, std::size_t size) {
  return counted(__libc_memalign(alignment, size));
}
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  *block = memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}
void free(void* block) {
  forget(block);
  __libc_free(block);
}
}

namespace tern::test {
namespace {

constexpr std::size_t kib = 1024;
constexpr Role roles[] = {Role::server, Role::client};
constexpr auto start_time = Engine::TimePoint() + std::chrono::hours(1);

Role peer_of(Role role) { return role == Role::server ? Role::client : Role::server; }

// A driver that allocates nothing itself.
class Driver {
 public:
  Driver(Role role, const EngineOptions& options, Workspace& workspace)
      : engine(std::move(*Engine::established(role, {}, options, workspace))) {
    engine.tick(start_time);
    turn({});
  }

  void turn(std::string_view octets) {
    std::memcpy(buffer_->data(), octets.data(), octets.size());
    engine.tick(start_time);
    engine.feed(0, std::span(*buffer_).first(octets.size()));
    while (const Event event = engine.next()) {
      ++events;
      if (event.kind() == Event::Kind::message) engine.send(event.message());
    }
    for (;;) {
      std::size_t size = 0;
      for (const iovec& piece : engine.output()) size += piece.iov_len;
      if (size == 0) break;
      written += size;
      engine.consume_output(size);
    }
    engine.settle();
  }

  Engine engine;
  std::size_t events = 0;
  std::size_t written = 0;

 private:
  using Buffer = std::array<std::byte, 256 * kib>;
  std::unique_ptr<Buffer> buffer_ = std::make_unique<Buffer>();
};

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

// Whole, cut inside the header, inside the payload, and as fragments: none needs the heap once the
// workspace is warm; nor do pings, nor the keys of a client.
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
        Driver driver(role, options, workspace);
        const std::string octets = wire(peer_of(role), row.frames);
        const std::string_view first =
            std::string_view(octets).substr(0, std::min(cut, octets.size()));
        const std::string_view rest = std::string_view(octets).substr(first.size());
        const auto round = [&] {
          if (!first.empty()) driver.turn(first);
          driver.turn(rest);
        };
        for (int i = 0; i < 10; ++i) round();
        const std::size_t before = allocations;
        const std::size_t events = driver.events;
        for (int i = 0; i < 1'100; ++i) round();  // a client's random block is used up and filled
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
  Driver warm(Role::server, options, workspace);
  warm.turn(wire(Role::client, text("Hello")));
  const std::size_t before = live_bytes;
  for (int i = 0; i < 1'000; ++i) {
    engines.push_back(std::move(*Engine::established(Role::server, {}, options, workspace)));
    engines.back().tick(start_time);
    EXPECT_EQ(engines.back().next().kind(), Event::Kind::open);
    EXPECT_FALSE(engines.back().next());
  }
  EXPECT_EQ(live_bytes, before);
  EXPECT_LE(sizeof(Engine), 64u);
}

// Memory follows what was received, never what was announced (RFC 6455 §10.4).
TEST(Alloc, AHeaderThatAnnouncesMuchCostsLittle) {
  for (const Role role : roles) {
    for (const std::size_t payload : {std::size_t{0}, std::size_t{1}, std::size_t{1000}}) {
      const EngineOptions options{.limits = {.max_message_bytes = std::size_t{1} << 40}};
      Workspace workspace;
      Driver driver(role, options, workspace);
      const std::size_t before = live_bytes;
      std::string octets = wire_header(peer_of(role), binary(""), options.limits.max_message_bytes);
      octets.append(payload, 'x');
      const std::size_t own = live_bytes - before;
      driver.turn(octets);
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
    Driver driver(role, options, workspace);
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
    Driver driver(role, options, workspace);
    const std::string octets = wire(peer_of(role), ping(std::string(125, 'x')));
    std::string lent = octets;
    const std::size_t before = live_bytes;
    for (int i = 0; i < 100'000; ++i) {
      lent.assign(octets);
      driver.engine.feed(0, std::as_writable_bytes(std::span(lent)));
      while (driver.engine.next()) {
      }
      if (i % 3 == 0) static_cast<void>(driver.engine.output());
      driver.engine.ping(std::as_bytes(std::span(octets)));
    }
    EXPECT_LE(driver.engine.queued_bytes(), (33u + 17u) * 131u);
    EXPECT_LE(live_bytes - before, 128 * kib);
  }
}

TEST(Alloc, LargeMessagesGiveMemoryBack) {
  for (const Role role : roles) {
    EngineOptions options{.limits = {.max_message_bytes = 64 << 20, .max_queued_bytes = 64 << 20}};
    Workspace workspace;
    Driver driver(role, options, workspace);
    driver.turn(wire(peer_of(role), text("Hello")));
    const std::size_t before = live_bytes;
    {
      const std::string octets = wire(peer_of(role), binary(std::string(40 << 20, 'x')));
      std::string_view rest = octets;
      while (!rest.empty()) {
        driver.turn(rest.substr(0, 200 * kib));
        rest.remove_prefix(std::min<std::size_t>(rest.size(), 200 * kib));
      }
      EXPECT_GE(driver.written, std::size_t{40} << 20);
    }
    EXPECT_LE(live_bytes - before, std::size_t{9} << 20) << "8 MiB are kept for the next";
  }
}

}  // namespace
}  // namespace tern::test
