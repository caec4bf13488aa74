// Compressed messages (RFC 7692) through a whole engine, in both roles. The other side is zlib.
#include "tern/engine.h"

#include "support/engine_table.h"
#include "support/zlib_peer.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Strings = std::vector<std::string>;

constexpr Role roles[] = {Role::server, Role::client};
constexpr std::size_t never = SIZE_MAX;

std::string packed(std::string_view message) { return ZlibSender().message(message); }
Frame packed_text(std::string_view message) { return compressed(text(packed(message))); }

// The agreement and options of an open engine.
struct Options {
  DeflateAgreement agreed{};
  Deflate deflate{.min_bytes = 0};
  Limits limits{};
};

std::unique_ptr<Peer> open_peer(Role role, const Options& options = {}) {
  return std::make_unique<Peer>(
      role, EngineOptions{.limits = options.limits, .deflate = options.deflate}, Start::established,
      ClientRequest{.host = "example.org"}, Agreement{.deflate = options.agreed});
}

// A row whose echo is not compressed.
EngineCase plain_echo(const char* id, std::vector<Frame> sent, Strings written = {},
                      Errc error = {}) {
  return {.id = id,
          .sent = std::move(sent),
          .written = std::move(written),
          .error = error,
          .options = {.deflate = Deflate{.min_bytes = never}},
          .deflate = DeflateAgreement{}};
}

// ---- input

TEST(EngineDeflate, Rfc7692_6_2_ReadsEveryFormOfAMessage) {
  const std::string hello = packed("Hello");
  run_case(plain_echo("one frame", {packed_text("Hello")}, {"text Hello"}));
  run_case(plain_echo("binary", {compressed(binary(packed("\x80")))}, {"binary \x80"}));
  run_case(plain_echo("empty", {packed_text("")}, {"text"}));
  run_case(plain_echo(
      "7.2.3.5, two blocks",
      {compressed(text(std::string("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13)))},
      {"text Hello"}));
  run_case(plain_echo("7.2.3.4, final block",
                      {compressed(text(ZlibSender().final_message("Hello"))), text("x")},
                      {"text Hello", "text x"}));
  run_case(plain_echo("uncompressed between",
                      {packed_text("Hello"), text("plain"), packed_text("again")},
                      {"text Hello", "text plain", "text again"}));
  run_case(plain_echo("5.1, fragments: RSV1 on the first alone",
                      {compressed(text(hello.substr(0, 3), false)), more(hello.substr(3))},
                      {"text Hello"}));
  run_case(
      plain_echo("fragments, also empty ones, and controls between",
                 {compressed(text("", false)), ping("a"), more(hello.substr(0, 1), false),
                  pong("b"), more("", false), ping("c"), more(hello.substr(1), false), more("")},
                 {"pong a", "pong c", "text Hello"}));
  run_case(plain_echo("a close between fragments is clean",
                      {compressed(text(hello.substr(0, 3), false)), ping()}, {"pong"}));
  run_case(plain_echo("several in a row", {packed_text("a"), packed_text("b"), packed_text("c")},
                      {"text a", "text b", "text c"}));
}

TEST(EngineDeflate, Rfc7692_6_RejectsRsv1OutsideOfFirstFrames) {
  const auto flagged = [](Frame frame) { return compressed(std::move(frame)); };
  run_case(plain_echo("on a ping", {text("x"), flagged(ping("x"))}, {"text x"},
                      Errc::frame_reserved_bits));
  run_case(plain_echo("on a pong", {flagged(pong())}, {}, Errc::frame_reserved_bits));
  run_case(plain_echo("on a Close", {flagged(closing(1000))}, {}, Errc::frame_reserved_bits));
  run_case(plain_echo("on a continuation",
                      {compressed(text("", false)), flagged(more(packed("x")))}, {},
                      Errc::frame_reserved_bits));
  run_case(plain_echo("on a continuation of a message that is not compressed",
                      {text("x", false), flagged(more("y"))}, {}, Errc::frame_reserved_bits));
  for (const unsigned rsv : {1u, 2u, 3u, 5u, 6u, 7u}) {
    run_case(plain_echo("RSV2 and RSV3", {Frame{1, packed("x"), true, rsv}}, {},
                        Errc::frame_reserved_bits));
  }
  run_case({.id = "without an agreement",
            .sent = {text("x"), packed_text("Hello")},
            .written = {"text x"},
            .error = Errc::frame_reserved_bits});
}

TEST(EngineDeflate, Rfc7692_7_2_2_RejectsCorruptMessages) {
  const std::string hello = packed("Hello");
  run_case(plain_echo("no deflate", {text("x"), compressed(text("Hello, tern"))}, {"text x"},
                      Errc::deflate_corrupt));
  run_case(plain_echo("reserved block", {compressed(binary("\x07"))}, {}, Errc::deflate_corrupt));
  run_case(plain_echo("no byte", {compressed(binary(""))}, {}, Errc::deflate_corrupt));
  run_case(plain_echo("cut", {compressed(binary(hello.substr(0, 4)))}, {}, Errc::deflate_corrupt));
  run_case(plain_echo("tail not left out",
                      {compressed(binary(hello + std::string("\0\0\xFF\xFF", 4)))}, {},
                      Errc::deflate_corrupt));
  run_case(plain_echo("garbage behind a final block",
                      {compressed(binary(ZlibSender().final_message("Hello") + "\x07"))}, {},
                      Errc::deflate_corrupt));
  run_case(plain_echo(
      "in the second fragment, and reported there",
      {compressed(binary(hello, false)), ping("a"), more(std::string("\x07\0\0\0", 4), false)},
      {"pong a"}, Errc::deflate_corrupt));
  // Without takeover, a message must not refer to earlier messages of this or another connection.
  run_case(
      plain_echo("a reference to the message before",
                 {packed_text("Hello"), compressed(text(std::string("\xf2\x00\x11\x00\x00", 5)))},
                 {"text Hello"}, Errc::deflate_corrupt));
}

TEST(EngineDeflate, Rfc6455_8_1_InflatedTextIsChecked) {
  run_case(plain_echo("κόσμε", {packed_text("κόσμε")}, {"text κόσμε"}));
  run_case(plain_echo("surrogate", {packed_text("ab\xed\xa0\x80")}, {}, Errc::text_not_utf8));
  run_case(plain_echo("cut at the end", {packed_text("ab\xe2\x82")}, {}, Errc::text_not_utf8));
  run_case(plain_echo("binary may have any bytes", {compressed(binary(packed("ab\xed")))},
                      {"binary ab\xed"}));
  // The failure comes as soon as it is certain: the message has not ended, and corrupt data
  // follows.
  ZlibSender sender;
  const std::string bad = sender.run("a\xF4\x90", Z_SYNC_FLUSH);
  run_case(plain_echo("fails early", {compressed(text(bad, false))}, {}, Errc::text_not_utf8));
  run_case(plain_echo("in front of corrupt data", {compressed(text(bad + "\x07", false))}, {},
                      Errc::text_not_utf8));
  const std::string euro = "\xE2\x82\xAC";
  ZlibSender cut;
  const std::string first = cut.run(euro.substr(0, 1), Z_SYNC_FLUSH);
  run_case(plain_echo("a character across blocks and fragments",
                      {compressed(text(first, false)), more(cut.message(euro.substr(1)))},
                      {"text " + euro}));
}

TEST(EngineDeflate, Rfc6455_10_4_TheLimitAppliesToTheInflatedSize) {
  for (const std::size_t limit :
       {0u, 1u, 100u, 16'383u, 16'384u, 16'385u, 65'535u, 65'536u, 65'537u, 70'000u, 1u << 20}) {
    for (const std::string& source : {std::string(limit + 1, 'x'), noise(limit + 1)}) {
      for (const Role role : roles) {
        for (const std::size_t piece : {Peer::all, std::size_t{1000}}) {
          SCOPED_TRACE(std::to_string(limit) + name(role));
          const Options options{.deflate = {.min_bytes = never},
                                .limits = {.max_message_bytes = limit}};
          const auto peer = open_peer(role, options);
          const std::string most = source.substr(0, limit);
          const std::string payload = packed(most);
          peer->receive(wire(peer->them, compressed(binary(payload))), piece);
          EXPECT_EQ(peer->frames(), Strings{to_string(binary(most))});
          const std::string half = payload.substr(0, payload.size() / 2);
          peer->receive({compressed(binary(half, false)), more(payload.substr(half.size()))});
          EXPECT_EQ(peer->frames(), Strings{to_string(binary(most))});
          peer->receive(wire(peer->them, compressed(binary(packed(source)))), piece);
          expect_failed(*peer, {}, Errc::message_too_big);
        }
      }
    }
  }
}

// The engine does not wait for the end of a fragment that inflates to too many bytes. It accepts a
// limited number of blocks that inflate to nothing.
TEST(EngineDeflate, Rfc6455_10_4_RejectsMessagesThatNeverEnd) {
  for (const Role role : roles) {
    const Options options{.limits = {.max_message_bytes = 5000, .max_fragments = 1 << 20}};
    const auto bomb = open_peer(role, options);
    const std::string zeros = ZlibSender().run(std::string(100'000, '\0'), Z_SYNC_FLUSH);
    ASSERT_LT(zeros.size(), 126u);
    const std::string masked = wire(bomb->them, binary(zeros));
    bomb->receive(wire_header(bomb->them, compressed(binary("", false)), 9'000) +
                  masked.substr(masked.size() - zeros.size()));
    expect_failed(*bomb, {}, Errc::message_too_big);

    const auto idle = open_peer(role, options);
    idle->receive(compressed(binary(packed("x") + std::string("\0\0\xFF\xFF", 4), false)));
    const std::string nothing("\0\0\0\xFF\xFF\0\0\0\xFF\xFF", 10);
    std::size_t sent = 0;
    for (; !idle->saw_closed() && sent < 1'000'000; sent += nothing.size()) {
      idle->receive(more(nothing, false));
    }
    EXPECT_LE(sent, 12'000u);
    expect_failed(*idle, {}, Errc::message_too_big);

    const auto announced = open_peer(role, options);
    announced->receive(wire_header(announced->them, compressed(binary("")), 1u << 20));
    expect_failed(*announced, {}, Errc::message_too_big);
  }
}

TEST(EngineDeflate, FragmentsAreCounted) {
  for (const Role role : roles) {
    const auto peer = open_peer(role, {.limits = {.max_fragments = 4}});
    peer->receive(compressed(binary("", false)));
    for (int i = 0; i < 3; ++i) peer->receive(more("", false));
    EXPECT_FALSE(peer->saw_closed());
    peer->receive(more(packed("x")));
    expect_failed(*peer, {}, Errc::too_many_fragments);
  }
}

// ---- windows and takeover

// Both directions of a connection, each with its own window.
TEST(EngineDeflate, Rfc7692_7_1_EchoesWithAnyWindowAndTakeover) {
  const Strings messages = {
      json(3000),  json(3000, 2), noise(700), "", "short", json(3000), std::string(70'000, 'z'),
      json(40'000)};
  for (const Role role : roles) {
    for (int window = 9; window <= 15; ++window) {
      for (int flags = 0; flags < 8; ++flags) {
        SCOPED_TRACE(std::to_string(window) + ' ' + std::to_string(flags) + name(role));
        const bool takeover = (flags & 1) != 0;
        const bool peer_takeover = (flags & 2) != 0;
        const DeflateAgreement agreed{static_cast<std::uint8_t>(window),
                                      static_cast<std::uint8_t>(24 - window), takeover,
                                      peer_takeover};
        const auto peer = open_peer(role, {.agreed = agreed});
        ZlibSender sender(24 - window);
        for (const std::string& message : messages) {
          if (!peer_takeover) sender.reset();
          const std::string payload = sender.message(message);
          if ((flags & 4) != 0) {
            const std::size_t half = payload.size() / 2;
            peer->receive({compressed(binary(payload.substr(0, half), false)), ping("p"),
                           more(payload.substr(half))});
          } else {
            peer->receive(wire(peer->them, compressed(binary(payload))), 1500);
          }
        }
        // The reader of the driver inflates with exactly the window and takeover of the agreement.
        Strings echoed;
        for (const Frame& frame : peer->reader().frames()) {
          if (frame.opcode < 8) echoed.push_back(shown(frame.payload));
          if (frame.payload.size() > 2000) {
            EXPECT_EQ(frame.rsv, 4u);
          }
        }
        Strings expected;
        for (const std::string& message : messages) expected.push_back(shown(message));
        EXPECT_EQ(echoed, expected);
      }
    }
  }
}

TEST(EngineDeflate, TakeoverMakesARepeatedMessageSmaller) {
  for (const Role role : roles) {
    for (const bool takeover : {false, true}) {
      const auto peer = open_peer(role, {.agreed = {.takeover = takeover}});
      std::size_t sizes[2];
      for (std::size_t& size : sizes) {
        const std::size_t before = peer->written().size();
        peer->at_now().send(json(5000));
        peer->turn();
        size = peer->written().size() - before;
      }
      EXPECT_EQ(sizes[1] < sizes[0] / 2, takeover) << sizes[0] << ' ' << sizes[1];
    }
  }
}

// ---- output

// The options have no threshold. With takeover the shortest messages are compressed, too, because
// later messages refer to them. Without takeover only messages that probably shrink are compressed.
TEST(EngineDeflate, TakeoverCompressesEveryMessageByDefault) {
  for (const Role role : roles) {
    for (const bool takeover : {false, true}) {
      const auto peer = open_peer(role, {.agreed = {.takeover = takeover}, .deflate = {}});
      const Strings messages = {json(16), "x", json(200), noise(64), json(1023), json(1024)};
      for (const std::string& message : messages) {
        peer->at_now().send(Message(MessageType::binary, message));
        peer->at_now().send(SharedMessage(Message(MessageType::binary, message)));
        peer->turn();
      }
      const auto& frames = peer->reader().frames();
      ASSERT_EQ(frames.size(), 2 * messages.size());
      for (std::size_t i = 0; i < frames.size(); ++i) {
        const std::string& message = messages[i / 2];
        EXPECT_EQ(frames[i].rsv != 0, takeover || message.size() >= 1024) << message.size();
        EXPECT_EQ(shown(frames[i].payload), shown(message));
      }
    }
  }
}

// The output must not be larger than that of one zlib context that compresses every message.
TEST(EngineDeflate, Rfc7692_7_2_1_TakeoverCompressesLikeOneZlibContext) {
  struct Row {
    const char* id;
    std::size_t size;
    bool noise_between;
  };
  const std::vector<Row> table = {{"JSON of 150, noise of 64 behind each", 150, true},
                                  {"JSON of 16", 16, false},
                                  {"a feed of JSON of 200", 200, false}};
  for (const Row& row : table) {
    for (const Role role : roles) {
      for (const bool shared : {false, true}) {
        SCOPED_TRACE(std::string(row.id) + name(role));
        const auto peer = open_peer(role, {.agreed = {.takeover = true}, .deflate = {}});
        ZlibSender zlib(15, Deflate{}.level);
        std::size_t least = 0;
        constexpr std::size_t count = 1000;
        for (std::uint64_t i = 1; i <= count; ++i) {
          const std::string bytes =
              row.noise_between && i % 2 == 0 ? noise(64, i) : json(row.size, i);
          const Message message(MessageType::binary, bytes);
          if (shared) {
            peer->at_now().send(SharedMessage(message));
          } else {
            peer->at_now().send(message);
          }
          peer->turn();
          least += zlib.message(bytes).size();
        }
        EXPECT_EQ(peer->reader().frames().size(), count);
        const std::size_t headers = count * (role == Role::client ? 8 : 4);
        EXPECT_LE(peer->written().size(), least + headers);
      }
    }
  }
}

TEST(EngineDeflate, Rfc7692_7_2_1_CompressesByThresholdAndOptions) {
  struct Row {
    const char* id;
    std::string message;
    bool compressed;
    std::size_t min_bytes = 1024;
    bool allowed = true;
    int window_bits = 15;
  };
  const auto table_of = [](bool takeover) {
    return std::vector<Row>{
        {"at the threshold", json(1024), true},
        {"below", json(1023), false},
        {"no threshold", std::string(30, 'x'), true, 0},
        {"not smaller; with takeover, later messages may refer to it", noise(2000), takeover},
        {"empty", "", false, 0},
        {"switched off for this message", json(5000), false, 1024, false},
        {"a peer that allows a window of 8", json(5000), false, 1024, true, 0},
        {"large", json(1 << 20), true},
    };
  };
  for (const Role role : roles) {
    for (const bool takeover : {false, true}) {
      for (const Row& row : table_of(takeover)) {
        SCOPED_TRACE(std::string(row.id) + name(role));
        const auto peer =
            open_peer(role, {.agreed = {.window_bits = static_cast<std::uint8_t>(row.window_bits),
                                        .takeover = takeover && row.window_bits != 0},
                             .deflate = {.min_bytes = row.min_bytes},
                             .limits = {.max_queued_bytes = 8 << 20}});
        const Message message(MessageType::binary, row.message);
        const SharedMessage shared(message);
        const SendOptions options{.compress = row.allowed};
        EXPECT_TRUE(peer->at_now().send(message, options));
        EXPECT_TRUE(peer->at_now().send_borrowed(message, options));
        EXPECT_TRUE(peer->at_now().send(shared, options));
        peer->turn();
        ASSERT_EQ(peer->reader().frames().size(), 3u);
        for (std::size_t i = 0; i < 3; ++i) {
          const Frame& frame = peer->reader().frames()[i];
          EXPECT_EQ(frame.rsv != 0, row.compressed) << i;
          EXPECT_EQ(shown(frame.payload), shown(row.message));
        }
      }
    }
  }
}

TEST(EngineDeflate, Rfc7692_7_2_1_TheThresholdAppliesToEachEcho) {
  const EngineOptions options{.deflate = Deflate{.min_bytes = 100}};
  Workspace workspace;
  Engine engine =
      *Engine::established(Role::server, {.deflate = DeflateAgreement{}}, options, workspace);
  engine.tick(Engine::TimePoint() + std::chrono::hours(1));
  const std::string large(100, 'x');
  std::string lent = wire(Role::client, {text("small"), text("as well"), text(large), text("and"),
                                         text(large), text(large)});
  engine.feed(0, std::as_writable_bytes(std::span(lent)));
  while (const Event event = engine.next()) {
    if (event.kind() == Event::Kind::message) engine.send(event.message());
  }
  FrameReader reader(Role::server);
  reader.take_compressed(15, false);
  for (const iovec& piece : engine.output()) {
    reader.feed({static_cast<const char*>(piece.iov_base), piece.iov_len});
  }
  std::vector<bool> compressed;
  for (const Frame& frame : reader.frames()) compressed.push_back(frame.rsv != 0);
  EXPECT_EQ(compressed, (std::vector<bool>{false, false, true, false, true, true}));
}

// Compressed and plain messages in many orders: the window of our compressor stays equal to that of
// the peer.
TEST(EngineDeflate, Rfc7692_7_2_1_TheWindowsOfBothSidesStayEqual) {
  for (const Role role : roles) {
    for (const bool takeover : {false, true}) {
      const auto peer = open_peer(role, {.agreed = {.takeover = takeover}});
      Strings sent;
      for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        const std::string message = seed % 5 == 0   ? noise(100 * seed, seed / 10)
                                    : seed % 7 == 0 ? noise(500) + json(500)
                                                    : json(97 * seed, seed % 4);
        const SendOptions options{.compress = seed % 6 != 0};
        sent.push_back(shown(message));
        if (seed % 3 == 0) {
          peer->at_now().send(SharedMessage(Message(MessageType::binary, message)), options);
        } else {
          peer->at_now().send(Message(MessageType::binary, message), options);
        }
        peer->turn();
      }
      Strings arrived;
      for (const Frame& frame : peer->reader().frames()) arrived.push_back(shown(frame.payload));
      EXPECT_EQ(arrived, sent);
    }
  }
}

TEST(EngineDeflate, TheQueueLimitCountsThePlainSize) {
  for (const Role role : roles) {
    const auto peer =
        open_peer(role, {.limits = {.max_queued_bytes = 10'000, .overflow = Overflow::reject}});
    peer->writable = 0;
    EXPECT_EQ(peer->at_now().send(json(20'000)), SendStatus::queued)
        << "an empty queue takes any message";
    const std::size_t queued = peer->engine().queued_bytes();
    EXPECT_LT(queued, 5'000u);
    EXPECT_EQ(peer->at_now().send(json(9'999)), SendStatus::full);
    EXPECT_EQ(peer->at_now().send(json(2'000)), SendStatus::queued);
    peer->writable = Peer::all;
    peer->turn();
    EXPECT_EQ(peer->reader().frames().size(), 2u);
  }
}

// An inflated message is valid until next() of its engine, even if other engines inflate meanwhile.
TEST(EngineDeflate, AnInflatedViewOutlivesTheWorkOfOtherEngines) {
  for (const Role role : roles) {
    const Role them = role == Role::server ? Role::client : Role::server;
    Workspace workspace;
    const EngineOptions options{};
    const Agreement agreement{.deflate = DeflateAgreement{}};
    std::vector<Engine> engines;
    std::vector<std::string> lent;
    std::vector<Message> views;
    const Strings texts = {json(900), std::string(20'000, 'b'), json(100'000, 3)};
    for (const std::string& each : texts) {
      engines.push_back(*Engine::established(role, agreement, options, workspace));
      lent.push_back(wire(them, packed_text(each)));
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
      engines[i].tick(Engine::TimePoint() + 1h);
      engines[i].feed(0, std::as_writable_bytes(std::span(lent[i])));
      EXPECT_EQ(engines[i].next().kind(), Event::Kind::open);
      Event event = engines[i].next();
      while (event.kind() == Event::Kind::working) event = engines[i].next();
      views.push_back(event.message());
    }
    for (std::size_t i = 0; i < texts.size(); ++i)
      EXPECT_EQ(shown(views[i].text()), shown(texts[i]));
  }
}

// ---- the work of one call of next()

TEST(EngineDeflate, OneCallInflates64KiBAtMost) {
  constexpr std::size_t size = std::size_t{1} << 20;
  for (const Role role : roles) {
    for (const std::size_t stash_every : {0u, 1u, 3u}) {
      const auto peer = open_peer(role);
      peer->echo = false;
      peer->stash_every = stash_every;
      peer->receive(wire(peer->them, {packed_text(std::string(size, 'a')), text("next")}));
      EXPECT_GE(peer->working, 15);
      EXPECT_LE(peer->working, 20);
      peer->turn();
      EXPECT_EQ(peer->events(), (Strings{"text " + shown(std::string(size, 'a')), "text next"}));
    }
  }
}

// Stored blocks without content (RFC 1951 §3.2.4) are work without output.
TEST(EngineDeflate, OneCallReads16KiBAtMost) {
  std::string blocks;
  for (int i = 0; i < 40'000; ++i) blocks += std::string_view("\0\0\0\xFF\xFF", 5);
  for (const Role role : roles) {
    const auto peer = open_peer(role);
    peer->receive(wire(peer->them, compressed(binary(blocks + '\0'))));
    EXPECT_GE(peer->working, 200'000 / 16'384);
    EXPECT_EQ(peer->events(), Strings{"binary"});
  }
}

// Messages behind our Close are not delivered, so they are not inflated, and a corrupt one is no
// fault.
TEST(EngineDeflate, NothingIsInflatedBehindOurClose) {
  const std::string whole = packed(std::string(200'000, 'a'));
  for (const Role role : roles) {
    for (const bool amid : {false, true}) {
      const auto peer = open_peer(role);
      if (amid) peer->receive(compressed(text(whole.substr(0, 100), false)));
      peer->at_now().close(CloseCode::normal);
      if (amid) peer->receive(more(whole.substr(100), true));
      peer->working = 0;
      peer->receive(wire(peer->them, {compressed(text("\xFF\xFF\xFF")), packed_text(whole)}));
      peer->receive(closing(1000));
      EXPECT_EQ(peer->working, 0);
      EXPECT_TRUE(peer->ending().clean) << peer->ending();
    }
  }
}

// Compressed bytes are inflated into a chunk, so read_room() offers no room for them. The echo
// references that chunk.
TEST(EngineDeflate, NoRoomIsOfferedForCompressedData) {
  for (const Role role : roles) {
    const auto peer = open_peer(role, {.deflate = {.min_bytes = never}});
    const std::string message = noise(400'000);
    const std::string bytes = wire(peer->them, compressed(binary(packed(message))));
    for (std::size_t at = 0; at < bytes.size(); at += 100'000) {
      peer->receive(bytes.substr(at, 100'000));
      EXPECT_TRUE(peer->engine().read_room().empty());
    }
    EXPECT_EQ(peer->frames(), Strings{to_string(binary(message))});
  }
}

// ---- one message for many connections

TEST(EngineDeflate, ASharedMessageIsCompressedForEachPeerThatAllowsIt) {
  struct Row {
    DeflateAgreement agreed;
    int window_bits;  // of the options
    bool compressed;
  };
  const std::vector<Row> table = {
      {{.window_bits = 12}, 12, true},
      {{.window_bits = 11}, 12, false},
      {{.window_bits = 15}, 15, true},  // the compressed form was made with a window of 12
      {{.window_bits = 15, .takeover = true}, 12, true},  // compressed by the connection itself
      {{.window_bits = 15, .peer_takeover = true}, 12, true},
      {{.window_bits = 0}, 12, false},
  };
  for (const Role role : roles) {
    for (const std::size_t size : {std::size_t{2000}, std::size_t{400'000}}) {
      const std::string message = json(size);
      const SharedMessage shared(message);
      std::string first;
      for (const Row& row : table) {
        const auto peer =
            open_peer(role, {.agreed = row.agreed, .deflate = {.window_bits = row.window_bits}});
        EXPECT_TRUE(peer->at_now().send(shared));
        peer->turn();
        ASSERT_EQ(peer->reader().frames().size(), 1u);
        EXPECT_EQ(shown(peer->reader().frames()[0].payload), shown(message));
        EXPECT_EQ(peer->reader().frames()[0].rsv != 0, row.compressed) << row.window_bits;
        if (!row.compressed || row.agreed.takeover || role == Role::client) continue;
        if (first.empty()) first = peer->written();
        EXPECT_TRUE(peer->written() == first) << "encoded once";
      }
    }
  }
}

TEST(EngineDeflate, ASharedMessageIsCompressedWithTheWindowOfTheOptions) {
  const std::string message = json(5000);
  const SharedMessage shared(message);
  // The window of this peer is too small for the shared form, so the engine does not make one.
  const auto small = open_peer(Role::server, {.agreed = {.window_bits = 9}});
  small->at_now().send(shared);
  small->turn();
  EXPECT_EQ(small->reader().frames().at(0).rsv, 0u);
  const auto large = open_peer(Role::server, {});
  large->at_now().send(shared);
  large->turn();
  EXPECT_EQ(large->reader().frames().at(0).rsv, 4u);
}

}  // namespace
}  // namespace tern::test
