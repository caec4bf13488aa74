// Text is UTF-8 (RFC 6455 §8.1): group 6 of the Autobahn suite. Invalid text is refused at its
// first wrong byte, and the engine sends no invalid text.
#include "support/bare_engine.h"
#include "support/engine_table.h"
#include "support/zlib_peer.h"

#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

namespace tern::test {
namespace {

using Strings = Peer::Strings;

// "κόσμε", the sample word of the suite. Its second letter is U+1F79, which takes three bytes.
const std::string kosme = "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5";

std::vector<Frame> fragments_of(const std::string& payload, std::size_t size) {
  std::vector<Frame> frames;
  for (std::size_t at = 0; at < payload.size(); at += size) {
    frames.push_back({at == 0 ? 1u : 0u, payload.substr(at, size), false});
  }
  frames.push_back(more(""));  // as in the suite, the last fragment is empty
  return frames;
}

TEST(EngineText, Rfc6455_5_6_Autobahn6_1_EchoesEmptyText) {
  run_case({"6.1.1", {text("")}, {"text"}});
  run_case({"6.1.2", {text("", false), more("", false), more("")}, {"text"}});
  run_case({"6.1.3",
            {text("", false), more("middle frame payload", false), more("")},
            {"text middle frame payload"}});
}

TEST(EngineText, Rfc6455_8_1_Autobahn6_2_AcceptsValidTextCutAnywhere) {
  const std::string latin =
      "Hello-\xC2\xB5@\xC3\x9F\xC3\xB6\xC3\xA4\xC3\xBC\xC3\xA0\xC3\xA1-UTF-8!!";
  const std::string echo = "text " + latin;
  run_case({"6.2.1", {text(latin)}, {echo}});
  run_case({"6.2.2", {text(latin.substr(0, 11), false), more(latin.substr(11))}, {echo}});
  run_case({"6.2.3", fragments_of(latin, 1), {echo}});
  run_case({"6.2.4", fragments_of(kosme, 1), {"text " + kosme}});
}

TEST(EngineText, Rfc6455_8_1_Autobahn6_3_RejectsInvalidTextCutAnywhere) {
  const std::string bad = kosme + "\xED\xA0\x80" + "edited";
  run_case({"6.3.1", {text(bad)}, {}, Errc::text_not_utf8});
  run_case({"6.3.2", fragments_of(bad, 1), {}, Errc::text_not_utf8});
}

// The engine must fail at the first byte after which no continuation is valid. It must not wait for
// the end of the frame or of the message, and must not fail earlier.
struct Early {
  const char* id;
  std::vector<std::string> writes;  // of the peer
  std::size_t fails_at;             // the index of the write that causes the failure
};

std::vector<Early> early(Role sender) {
  const std::string& k = kosme;
  const auto w = [&](const Frame& frame) { return wire(sender, frame); };
  const std::string one = w(text(k + "\xF4\x90\x80\x80" + "edited"));
  const std::size_t head = one.size() - 21;
  return {
      {"6.4.1", {w(text(k, false)), w(more("\xF4\x90\x80\x80", false)), w(more("edited"))}, 1},
      {"6.4.2", {w(text(k + "\xF4", false)), w(more("\x90", false)), w(more("\x80\x80"))}, 1},
      {"6.4.3", {one.substr(0, head + 11), one.substr(head + 11, 4), one.substr(head + 15)}, 1},
      {"6.4.4", {one.substr(0, head + 12), one.substr(head + 12, 1), one.substr(head + 13)}, 1},
      {"surrogate", {w(text("\xED", false)), w(more("\xA0", false)), w(more("\x80"))}, 1},
      {"overlong", {w(text("\xC0", false)), w(more("\xAF"))}, 0},
      {"a new character inside one", {w(text("\xE2\x82", false)), w(more("a"))}, 1},
      {"unfinished at FIN", {w(text("\xE2\x82", false)), w(more("", false)), w(more(""))}, 2},
  };
}

TEST(EngineText, Rfc6455_8_1_Autobahn6_4_FailsFast) {
  for (const Role role : {Role::server, Role::client}) {
    for (const Early& row : early(role == Role::server ? Role::client : Role::server)) {
      SCOPED_TRACE(std::string(row.id) + name(role));
      Peer peer(role);
      for (std::size_t i = 0; i < row.writes.size(); ++i) {
        ASSERT_FALSE(peer.saw_closed()) << i;
        peer.receive(row.writes[i]);
        if (i == row.fails_at) break;
      }
      EXPECT_EQ(peer.events(), Strings{"closed"});
      expect_failed(peer, {}, Errc::text_not_utf8);
    }
  }
}

// A frame of 1 MiB is checked while it arrives, also if it is read into read_room().
TEST(EngineText, Rfc6455_8_1_FailsFastInsideALargeFrame) {
  for (const Role role : {Role::server, Role::client}) {
    for (const std::size_t bad_at : {std::size_t{10}, std::size_t{70'000}, std::size_t{900'000}}) {
      SCOPED_TRACE(name(role));
      std::string payload(1 << 20, 'a');
      payload[bad_at] = '\xFF';
      Peer peer(role);
      const std::string bytes = wire(peer.them, text(payload));
      const std::size_t head = bytes.size() - payload.size();
      peer.receive(bytes.substr(0, head + bad_at), 30'000);
      ASSERT_FALSE(peer.saw_closed());
      peer.receive(bytes.substr(head + bad_at, 1));
      EXPECT_TRUE(peer.saw_closed());
      expect_failed(peer, {}, Errc::text_not_utf8);
    }
  }
}

struct Sequences {
  const char* id;
  bool valid;
  std::vector<std::string> payloads;
};

std::string sequence(char lead, char next, std::size_t count) {
  return lead + std::string(count, next);
}

// The last two code points of each plane.
std::vector<std::string> noncharacters() {
  std::vector<std::string> result = {"\xEF\xBF\xBE", "\xEF\xBF\xBF"};
  for (int plane = 1; plane <= 16; ++plane) {
    for (const char last : {'\xBE', '\xBF'}) {
      result.push_back({static_cast<char>(0xF0 | plane >> 2),
                        static_cast<char>(0x8F | (plane & 3) << 4), '\xBF', last});
    }
  }
  return result;
}

// U+FFF9 to U+FFFF.
std::vector<std::string> specials() {
  std::vector<std::string> result;
  for (int byte = 0xB9; byte <= 0xBF; ++byte) {
    result.push_back({'\xEF', '\xBF', static_cast<char>(byte)});
  }
  return result;
}

// Leads without their tails, each before a space.
std::string leads(int from, int to) {
  std::string result;
  for (int byte = from; byte <= to; ++byte) result += std::string{static_cast<char>(byte), ' '};
  return result;
}

std::string nearly_all_tails() {
  std::string result;
  for (int byte = 0x80; byte <= 0xBE; ++byte) result += static_cast<char>(byte);
  return result;
}

// A high surrogate and a low one, each as three bytes.
std::vector<std::string> surrogate_pairs() {
  std::vector<std::string> pairs;
  for (const char* high : {"\xED\xA0\x80", "\xED\xAD\xBF", "\xED\xAE\x80", "\xED\xAF\xBF"}) {
    for (const char* low : {"\xED\xB0\x80", "\xED\xBF\xBF"})
      pairs.push_back(high + std::string(low));
  }
  return pairs;
}

std::vector<Sequences> sequences() {
  const std::string nul(1, '\0');
  const std::vector<std::string> cut = {
      "\xC0", "\xE0\x80", "\xF0\x80\x80", sequence('\xF8', '\x80', 3), sequence('\xFC', '\x80', 4),
      "\xDF", "\xEF\xBF", "\xF7\xBF\xBF", sequence('\xFB', '\xBF', 3), sequence('\xFD', '\xBF', 4)};
  std::string all_cut;
  for (const std::string& one : cut) all_cut += one;
  return {
      {"6.5",
       true,
       {"hello$world", "hello\xC2\xA2world", "hello\xE2\x82\xACworld", "hello\xF0\xA4\xAD\xA2world",
        kosme}},
      {"6.7", true, {nul, "\xC2\x80", "\xE0\xA0\x80", "\xF0\x90\x80\x80"}},
      {"6.8",
       false,
       {sequence('\xF8', '\x80', 4).replace(1, 1, "\x88"),
        sequence('\xFC', '\x80', 5).replace(1, 1, "\x84")}},
      {"6.9", true, {"\x7F", "\xDF\xBF", "\xEF\xBF\xBF", "\xF4\x8F\xBF\xBF"}},
      {"6.10",
       false,
       {"\xF7\xBF\xBF\xBF", sequence('\xFB', '\xBF', 4), sequence('\xFD', '\xBF', 5)}},
      {"6.11", true, {"\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBD", "\xF4\x8F\xBF\xBF"}},
      {"6.11.5", false, {"\xF4\x90\x80\x80"}},
      {"6.12",
       false,
       {"\x80", "\xBF", "\x80\xBF", "\x80\xBF\x80", "\x80\xBF\x80\xBF", "\x80\xBF\x80\xBF\x80",
        "\x80\xBF\x80\xBF\x80\xBF", nearly_all_tails()}},
      {"6.13",
       false,
       {leads(0xC0, 0xDE), leads(0xE0, 0xEE), leads(0xF0, 0xF6), leads(0xF8, 0xFA),
        leads(0xFC, 0xFC)}},
      {"6.14", false, cut},
      {"6.15", false, {all_cut}},
      {"6.16", false, {"\xFE", "\xFF", "\xFE\xFE\xFF\xFF"}},
      {"6.17",
       false,
       {"\xC0\xAF", "\xE0\x80\xAF", "\xF0\x80\x80\xAF", "\xF8\x80\x80\x80\xAF",
        "\xFC\x80\x80\x80\x80\xAF"}},
      {"6.18",
       false,
       {"\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xF8\x87\xBF\xBF\xBF",
        "\xFC\x83\xBF\xBF\xBF\xBF"}},
      {"6.19",
       false,
       {"\xC0\x80", "\xE0\x80\x80", sequence('\xF0', '\x80', 3), sequence('\xF8', '\x80', 4),
        sequence('\xFC', '\x80', 5)}},
      {"6.20",
       false,
       {"\xED\xA0\x80", "\xED\xAD\xBF", "\xED\xAE\x80", "\xED\xAF\xBF", "\xED\xB0\x80",
        "\xED\xBE\x80", "\xED\xBF\xBF"}},
      {"6.21", false, surrogate_pairs()},
      {"6.22", true, noncharacters()},
      {"6.23", true, specials()},
  };
}

TEST(EngineText, Rfc6455_8_1_Autobahn6_5_to_6_23_ChecksEverySequence) {
  std::size_t cases = 0;
  for (const Sequences& group : sequences()) {
    for (const std::string& payload : group.payloads) {
      ++cases;
      ASSERT_EQ(is_utf8(payload), group.valid) << group.id;  // the table is consistent
      if (group.valid) {
        run_case({group.id, {text(payload)}, {"text " + payload}});
      } else {
        run_case({group.id, {text(payload)}, {}, Errc::text_not_utf8});
        run_case({group.id,
                  {text("ok "), text("x" + payload + "y")},
                  {"text ok "},
                  Errc::text_not_utf8});
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_EQ(cases, 121u);
}

TEST(EngineText, Rfc6455_8_1_Autobahn6_6_ChecksEveryPrefix) {
  for (std::size_t size = 1; size <= kosme.size(); ++size) {
    const std::string prefix = kosme.substr(0, size);
    const bool valid = size == 2 || size == 5 || size == 7 || size == 9 || size == 11;
    if (valid) {
      run_case({"6.6", {text(prefix)}, {"text " + prefix}});
    } else {
      run_case({"6.6", {text(prefix)}, {}, Errc::text_not_utf8});
    }
  }
}

TEST(EngineText, Rfc6455_5_6_BinaryIsNotChecked) {
  run_case({"binary", {binary("\xFF\xFE\x80")}, {"binary \xFF\xFE\x80"}});
  run_case({"binary fragments",
            {binary("\xFF", false), more("\xED\xA0\x80")},
            {"binary \xFF\xED\xA0\x80"}});
}

// The check of one message must not depend on the message before.
TEST(EngineText, Rfc6455_8_1_EachMessageIsCheckedByItself) {
  run_case({"text after binary",
            {binary("\xE2\x82", false), more(""), text("a\xC3\xA9")},
            {"binary \xE2\x82", "text a\xC3\xA9"}});
  run_case({"pings inside a character",
            {text("\xE2\x82", false), ping("\xFF"), more("\xAC")},
            {"pong \xFF", "text \xE2\x82\xAC"}});
}

// ---- output

constexpr Role both_roles[] = {Role::server, Role::client};

struct Refused {
  const char* id;
  std::string text;
};

std::vector<Refused> refused() {
  return {{"Latin-1",
           "Gr\xFC\xDF"
           "e"},
          {"a surrogate", kosme + "\xED\xA0\x80"},
          {"cut in a character", "\xE2\x82"},
          {"beyond Unicode", "\xF4\x90\x80\x80"},
          {"overlong", "\xC0\xAF"},
          {"the last of many", std::string(100'000, 'x') + "\x80"}};
}

// The peer would fail the connection with 1007, so send() reports not_utf8 and writes nothing.
TEST(EngineText, Rfc6455_5_6_TextThatIsNotUtf8IsNotSent) {
  for (const Role role : both_roles) {
    for (const bool deflate : {false, true}) {
      for (const Refused& row : refused()) {
        SCOPED_TRACE(row.id);
        const std::optional<DeflateAgreement> agreed =
            deflate ? std::optional(DeflateAgreement{.takeover = true}) : std::nullopt;
        Peer peer(role, {}, Start::established, {}, {.deflate = agreed});
        const Message bad(row.text);
        const SharedMessage shared(bad);
        EXPECT_EQ(peer.at_now().send(bad), SendStatus::not_utf8);
        EXPECT_EQ(peer.at_now().send_borrowed(bad), SendStatus::not_utf8);
        EXPECT_EQ(peer.at_now().send(shared), SendStatus::not_utf8);
        EXPECT_EQ(peer.at_now().send(SharedMessage(shared)), SendStatus::not_utf8);
        EXPECT_FALSE(peer.at_now().send(bad));
        EXPECT_EQ(peer.engine().queued_bytes(), 0u);
        peer.turn();
        EXPECT_EQ(peer.frames(), Strings());
        // The connection stays open. A binary message may have any bytes, and valid text is sent.
        EXPECT_TRUE(peer.at_now().send(Message(MessageType::binary, row.text)));
        EXPECT_TRUE(peer.at_now().send(std::string_view("x")));
        EXPECT_TRUE(peer.at_now().send(SharedMessage(std::string_view(kosme))));
        peer.turn();
        Strings arrived;
        for (const Frame& frame : peer.reader().frames()) arrived.push_back(frame.payload);
        EXPECT_EQ(arrived, (Strings{row.text, "x", kosme}));
        // After close(), send() reports `closed`, also for invalid text.
        peer.at_now().close(CloseCode::normal);
        EXPECT_EQ(peer.engine().send(bad), SendStatus::closed);
        EXPECT_EQ(peer.engine().send(shared), SendStatus::closed);
      }
    }
  }
}

TEST(EngineText, UncheckedTextIsSentAsItIs) {
  for (const Role role : both_roles) {
    Bare bare(role);
    const std::string bad = "\xFF";
    const SendOptions unchecked{.check_text = false};
    EXPECT_EQ(bare.engine.send(Message(bad), unchecked), SendStatus::queued);
    EXPECT_EQ(bare.engine.send_borrowed(Message(bad), unchecked), SendStatus::queued);
    EXPECT_EQ(bare.engine.send(SharedMessage(Message(bad)), unchecked), SendStatus::queued);
    EXPECT_EQ(bare.write().size(), 3 * (role == Role::server ? 3u : 7u));
  }
}

// The ways in which a message can arrive: whole, in fragments, in small reads, from a stash, large,
// compressed.
struct Arrival {
  const char* id;
  std::size_t fragment = Peer::all;
  std::size_t read = Peer::all;
  std::size_t stash_every = 0;
  std::size_t size = 40;
  bool compressed = false;
};

constexpr Arrival arrivals[] = {
    {"whole"},
    {.id = "in fragments", .fragment = 7},
    {.id = "byte by byte", .read = 1},
    {.id = "stashed", .stash_every = 1},
    {.id = "large", .read = 100'000, .size = 400'000},
    {.id = "large and in fragments", .fragment = 70'000, .read = 5'000, .size = 400'000},
    {.id = "compressed", .compressed = true},
    {.id = "compressed and large", .size = 400'000, .compressed = true},
};

std::vector<Frame> frames_of(unsigned opcode, const std::string& payload, const Arrival& arrival) {
  const std::string bytes = arrival.compressed ? ZlibSender().message(payload) : payload;
  std::vector<Frame> frames;
  std::size_t at = 0;
  do {
    frames.push_back({at == 0 ? opcode : 0u, bytes.substr(at, arrival.fragment), false});
    at += frames.back().payload.size();
  } while (at < bytes.size());
  frames.back().fin = true;
  if (arrival.compressed) frames.front().rsv = 4;
  return frames;
}

// A received text was checked already. A part of it is checked again, because it may end inside a
// character. A binary message was not checked.
TEST(EngineText, Rfc6455_5_6_SkipsTheCheckOnlyForAWholeReceivedText) {
  for (const Role role : both_roles) {
    for (const Arrival& arrival : arrivals) {
      SCOPED_TRACE(arrival.id);
      std::optional<DeflateAgreement> agreed;
      if (arrival.compressed) agreed.emplace();
      const EngineOptions options{.limits = {.max_queued_bytes = 8 << 20}};
      Peer peer(role, options, Start::established, {}, {.deflate = agreed});
      peer.echo = false;
      peer.stash_every = arrival.stash_every;
      std::vector<SendStatus::Value> statuses;
      peer.on_event = [&](Event event) {
        if (event.kind() != Event::Kind::message) return;
        const Message message = event.message();
        const auto send = [&](MessageType type, std::size_t size) {
          const Message part(type, message.bytes().first(size));
          statuses.push_back(peer.engine().send(part).value());
        };
        send(MessageType::text, message.size() - 1);
        send(MessageType::text, message.size() - 2);
        send(MessageType::text, message.size());
        send(MessageType::binary, message.size() - 1);
      };
      const std::string ends_with_two = std::string(arrival.size - 2, 'x') + "\xC3\xA4";
      std::string bytes;
      for (const Frame& frame : frames_of(1, ends_with_two, arrival)) {
        bytes += wire(peer.them, frame);
      }
      for (const Frame& frame : frames_of(2, std::string(arrival.size, '\xFF'), arrival)) {
        bytes += wire(peer.them, frame);
      }
      peer.receive(bytes, arrival.read);
      using enum SendStatus::Value;
      // The fill level of the queue does not matter here.
      for (SendStatus::Value& value : statuses) {
        if (value == congested) value = queued;
      }
      EXPECT_EQ(statuses, (std::vector{not_utf8, queued, queued, queued, not_utf8, not_utf8,
                                       not_utf8, queued}));
    }
  }
}

}  // namespace
}  // namespace tern::test
