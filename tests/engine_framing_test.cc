// Frames become messages: groups 1 to 5 and 10 of the Autobahn suite as tables, and cases that the
// suite does not have.
#include "support/engine_table.h"

#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Strings = Peer::Strings;

std::string repeat(char c, std::size_t count) { return std::string(count, c); }

void run(const std::vector<EngineCase>& table) {
  for (const EngineCase& row : table) {
    run_case(row);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(EngineFraming, Rfc6455_5_6_Autobahn1_EchoesWholeMessages) {
  std::vector<EngineCase> table;
  for (const std::size_t size : {0u, 125u, 126u, 127u, 128u, 65535u, 65536u}) {
    const Frame as_text = text(repeat('*', size));
    const Frame as_binary = binary(repeat('\xFE', size));
    table.push_back({"1.1", {as_text}, {to_string(as_text)}});
    table.push_back({"1.2", {as_binary}, {to_string(as_binary)}});
  }
  run(table);
}

TEST(EngineFraming, Rfc6455_5_5_Autobahn2_AnswersPingsAndIgnoresPongs) {
  std::vector<Frame> ten;
  Strings pongs;
  for (int i = 0; i < 10; ++i) {
    ten.push_back(ping("payload-" + std::to_string(i)));
    pongs.push_back("pong payload-" + std::to_string(i));
  }
  const std::string odd("\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF", 8);
  const std::string longest = repeat('\xFE', 125);
  run({
      {"2.1", {ping()}, {"pong"}},
      {"2.2", {ping("Hello, world!")}, {"pong Hello, world!"}},
      {"2.3", {ping(odd)}, {"pong " + odd}},
      {"2.4", {ping(longest)}, {"pong " + longest}},
      {"2.5", {ping(repeat('\xFE', 126))}, {}, Errc::control_frame_too_long},
      {"2.7", {pong()}, {}},
      {"2.8", {pong("unsolicited pong payload")}, {}},
      {"2.9", {pong("unsolicited"), ping("asked")}, {"pong asked"}},
      {"2.10", ten, pongs},
  });
}

Frame with_rsv(Frame frame, unsigned rsv) {
  frame.rsv = rsv;
  return frame;
}

TEST(EngineFraming, Rfc6455_5_2_Autobahn3_RejectsReservedBits) {
  const auto error = Errc::frame_reserved_bits;
  const Frame hello = text("Hello, world!");
  const Strings echo{"text Hello, world!"};
  std::vector<EngineCase> table = {
      {"3.1", {with_rsv(hello, 1)}, {}, error},
      {"3.2", {hello, with_rsv(hello, 2), ping()}, echo, error},
      {"3.3", {hello, with_rsv(hello, 3), ping()}, echo, error},
      {"3.4", {hello, with_rsv(hello, 4), ping()}, echo, error},
      {"3.5", {with_rsv(binary("\x01\x02\x03\x04\x05\x06\x07\x08"), 5)}, {}, error},
      {"3.6", {with_rsv(ping("Hello, world!"), 6)}, {}, error},
      {"3.7", {with_rsv(closing(), 7)}, {}, error},
      {"RSV1 on a continuation", {text("a", false), with_rsv(more("b"), 4)}, {}, error},
      {"RSV1 on a pong", {with_rsv(pong(), 4)}, {}, error},
  };
  run(table);
}

TEST(EngineFraming, Rfc6455_5_2_Autobahn4_RejectsReservedOpcodes) {
  const auto error = Errc::frame_reserved_opcode;
  const Frame hello = text("Hello, world!");
  const Strings echo{"text Hello, world!"};
  std::vector<EngineCase> table;
  for (const unsigned base : {3u, 11u}) {
    table.push_back({"4.x.1", {Frame{base, ""}}, {}, error});
    table.push_back({"4.x.2", {Frame{base + 1, "reserved opcode payload"}}, {}, error});
    table.push_back({"4.x.3", {hello, Frame{base + 2, ""}, ping()}, echo, error});
    table.push_back({"4.x.4", {hello, Frame{base + 3, "Hello, world!"}, ping()}, echo, error});
    table.push_back({"4.x.5", {hello, Frame{base + 4, "Hello, world!"}, ping()}, echo, error});
  }
  run(table);
}

TEST(EngineFraming, Rfc6455_5_4_Autobahn5_JoinsOnlyFragmentsInOrder) {
  const auto nothing = Errc::unexpected_continuation;
  const Frame one = text("fragment1", false);
  const Frame two = more("fragment2");
  const Frame three = more("fragment3", false);
  const std::string joined = "text fragment1fragment2";
  Frame cut_ping = ping("fragment1");
  Frame cut_pong = pong("fragment1");
  cut_ping.fin = cut_pong.fin = false;
  run({
      {"5.1", {cut_ping, two}, {}, Errc::control_frame_fragmented},
      {"5.2", {cut_pong, two}, {}, Errc::control_frame_fragmented},
      {"5.3-5.5", {one, two}, {joined}},
      {"5.6-5.8", {one, ping("ping payload"), two}, {"pong ping payload", joined}},
      {"5.9-5.11", {more("continuation"), text("Hello, world!")}, {}, nothing},
      {"5.12-5.14", {more("continuation", false), text("Hello, world!")}, {}, nothing},
      {"5.15", {one, two, three, text("fragment4")}, {joined}, nothing},
      {"5.16", {three, one, two, three, one, two}, {}, nothing},
      {"5.17", {more("x"), one, two, more("x"), one, two}, {}, nothing},
      {"5.18", {one, text("fragment2")}, {}, Errc::expected_continuation},
      {"binary inside text", {one, binary("x")}, {}, Errc::expected_continuation},
      {"5.19-5.20",
       {one, more("fragment2", false), ping("pongme 1!"), more("fragment3", false),
        more("fragment4", false), ping("pongme 2!"), more("fragment5")},
       {"pong pongme 1!", "pong pongme 2!", "text fragment1fragment2fragment3fragment4fragment5"}},
      {"a pong between fragments", {one, pong("x"), two}, {joined}},
      {"empty fragments",
       {binary("", false), more("", false), more("x", false), more("")},
       {"binary x"}},
      {"two fragmented messages", {one, two, binary("a", false), more("b")}, {joined, "binary ab"}},
  });
}

TEST(EngineFraming, Rfc6455_5_4_Autobahn10_JoinsFragmentsOf1300Bytes) {
  const std::string payload = repeat('*', 65536);
  std::vector<Frame> frames;
  for (std::size_t at = 0; at < payload.size(); at += 1300) {
    const bool last = at + 1300 >= payload.size();
    frames.push_back({at == 0 ? 1u : 0u, payload.substr(at, 1300), last});
  }
  run({{"10.1.1", frames, {"text " + shown(payload)}}});
}

// Bytes that no frame builder makes. They follow a whole message, which must still be delivered.
struct RawCase {
  const char* rfc;
  std::string to_server;
  std::string to_client;
  Errc error;
};

std::string raw(unsigned byte_0, std::uint64_t length, int bits, bool masked) {
  std::string result(1, static_cast<char>(byte_0));
  result += length_bytes(length, bits, masked);
  return masked ? result + std::string(4, '\0') : result;
}

TEST(EngineFraming, Rfc6455_5_1_5_2_RejectsWrongMasksAndLengths) {
  const auto both = [](const char* rfc, std::uint64_t length, int bits, Errc error) {
    return RawCase{rfc, raw(0x82, length, bits, true), raw(0x82, length, bits, false), error};
  };
  const auto long_form = Errc::frame_length_not_minimal;
  const std::vector<RawCase> table = {
      {"5.1 unmasked", raw(0x81, 0, 7, false), "", Errc::frame_unmasked},
      {"5.1 unmasked ping", raw(0x89, 0, 7, false), "", Errc::frame_unmasked},
      {"5.1 unmasked close", raw(0x88, 0, 7, false), "", Errc::frame_unmasked},
      {"5.1 masked", "", raw(0x81, 0, 7, true), Errc::frame_masked},
      {"5.1 masked close", "", raw(0x88, 0, 7, true), Errc::frame_masked},
      both("5.2 0 in 16 bits", 0, 16, long_form),
      both("5.2 125 in 16 bits", 125, 16, long_form),
      both("5.2 125 in 64 bits", 125, 64, long_form),
      both("5.2 65535 in 64 bits", 65535, 64, long_form),
      both("5.2 2^63", std::uint64_t{1} << 63, 64, Errc::frame_length_top_bit),
      both("5.2 2^64-1", ~std::uint64_t{0}, 64, Errc::frame_length_top_bit),
  };
  for (const RawCase& row : table) {
    for (const Role role : {Role::server, Role::client}) {
      const std::string& bytes = role == Role::server ? row.to_server : row.to_client;
      if (bytes.empty()) continue;
      SCOPED_TRACE(std::string(row.rfc) + name(role));
      for (const std::size_t step : {Peer::all, std::size_t{1}}) {
        Peer peer(role);
        peer.receive(wire(peer.them, text("before")) + bytes, step);
        EXPECT_EQ(peer.events(), (Strings{"text before", "closed"}));
        expect_failed(peer, {"text before"}, row.error);
      }
    }
  }
}

TEST(EngineFraming, Rfc6455_5_7_ReadsTheExamples) {
  const std::string hello("\x81\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58", 11);
  Peer server(Role::server);
  server.receive(hello);
  EXPECT_EQ(server.written(), "\x81\x05Hello");
  Peer client(Role::client);
  client.receive(std::string("\x01\x03Hel\x80\x02lo\x89\x05Hello"));
  EXPECT_EQ(client.events(), (Strings{"text Hello", "ping Hello"}));
}

TEST(EngineFraming, Rfc6455_5_3_AcceptsAKeyOfZeros) {
  Peer peer(Role::server);
  peer.receive(std::string("\x81\x85\0\0\0\0Hello", 11), 1);
  EXPECT_EQ(peer.events(), (Strings{"text Hello"}));
}

TEST(EngineFraming, Rfc6455_5_3_AClientUsesAFreshKeyForEachFrame) {
  Peer client(Role::client);
  std::vector<std::string> keys;
  for (int i = 0; i < 200; ++i) {
    const std::size_t before = client.written().size();
    client.engine().send(std::string_view("Hello"));
    client.turn();
    keys.push_back(client.written().substr(before + 2, 4));
  }
  std::sort(keys.begin(), keys.end());
  // Among 200 random keys of 32 bits, two are equal in one of 200 000 runs. So two pairs are
  // allowed.
  EXPECT_GE(std::unique(keys.begin(), keys.end()) - keys.begin(), 198);
  EXPECT_EQ(client.frames(), Strings(200, "text Hello"));
}

// Large messages go through read_room(), through the assembly and through lent views.
TEST(EngineFraming, Rfc6455_5_4_EchoesLargeMessagesCutAtRandom) {
  std::mt19937 random(7);
  for (const Role role : {Role::server, Role::client}) {
    for (int round = 0; round < 40; ++round) {
      SCOPED_TRACE(std::string(name(role)) + std::to_string(round));
      Peer peer(role);
      peer.stash_every = random() % 3;
      peer.write_step = round % 2 == 0 ? Peer::all : 1 + random() % 70'000;
      std::vector<Frame> frames;
      Strings echoes;
      for (int message = 0; message < 4; ++message) {
        std::string payload(random() % 600'000, '\0');
        for (char& c : payload) c = static_cast<char>('a' + random() % 26);
        const std::size_t cut = round % 3 == 0 ? payload.size() : random() % (payload.size() + 1);
        frames.push_back(text(payload.substr(0, cut), cut == payload.size()));
        if (cut < payload.size()) frames.push_back(more(payload.substr(cut)));
        echoes.push_back(to_string(text(payload)));
      }
      std::string bytes = wire(peer.them, frames);
      while (!bytes.empty()) {
        const std::size_t size = std::min<std::size_t>(bytes.size(), 1 + random() % 300'000);
        peer.receive(bytes.substr(0, size));
        bytes.erase(0, size);
      }
      ASSERT_EQ(peer.events(), echoes);
      ASSERT_EQ(peer.frames(), echoes);
      expect_orderly_end(peer);
    }
  }
}

}  // namespace
}  // namespace tern::test
