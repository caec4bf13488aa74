// The output queue alone. Outbound::is_consistent() is true after each call, and the bytes leave in
// order, for any sequence of calls and any size of writes.
#include "engine/outbound.h"
#include "support/wire.h"

#include <algorithm>
#include <deque>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace tern::engine {
namespace {

using test::FrameReader;

constexpr std::size_t everything = SIZE_MAX;

// Sanitizers and debug builds check the whole queue after each call.
#ifdef NDEBUG
constexpr bool slow_build = !std::string_view(TERN_LINK_FLAGS).empty();
#else
constexpr bool slow_build = true;
#endif

frame::Header header_of(frame::Opcode opcode, std::size_t length) {
  return {.length = length, .opcode = opcode, .fin = true};
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// An output queue, and all that it borrows.
struct Queue {
  explicit Queue(Role role = Role::server) : sender(role) { out.start(role); }

  void copy(const std::string& payload) {
    out.append_copy(header_of(frame::Opcode::text, payload.size()), bytes_of(payload));
  }
  void borrow(const std::string& payload) {
    lent.push_back(payload);
    out.append_borrowed(header_of(frame::Opcode::text, payload.size()), bytes_of(lent.back()));
  }
  void chunk(const std::string& payload) {
    base::ChunkRef chunk = pool.take(payload.size());
    std::copy(payload.begin(), payload.end(), reinterpret_cast<char*>(chunk.data()));
    out.append_chunk(header_of(frame::Opcode::text, payload.size()), {chunk.data(), payload.size()},
                     chunk);
  }
  /// Borrows whole frames that follow each other in memory.
  void frames(const std::vector<std::string>& payloads) {
    std::vector<std::size_t> sizes;
    std::string all;
    for (const std::string& payload : payloads) {
      all += test::wire(Role::server, {test::text(payload)});
      sizes.push_back(all.size());
    }
    lent.push_back(all);
    std::size_t begin = 0;
    for (const std::size_t end : sizes) {
      out.append_frame(bytes_of(lent.back()).subspan(begin, end - begin));
      begin = end;
    }
  }
  void control(frame::Opcode opcode, const std::string& payload) {
    out.append_control(header_of(opcode, payload.size()), bytes_of(payload));
  }
  /// Ends the lending: the memory changes behind it.
  void settle() {
    out.settle();
    for (std::string& memory : lent) std::fill(memory.begin(), memory.end(), '\xEE');
  }
  std::string write(std::size_t most = everything) {
    std::string written;
    for (const iovec& piece : out.output()) {
      written.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    }
    written.resize(std::min(most, written.size()));
    out.consume(written.size());
    return written;
  }
  std::vector<std::string> read_all() {
    FrameReader reader(sender);
    while (!out.empty()) reader.feed(write());
    EXPECT_EQ(reader.fault(), "");
    std::vector<std::string> payloads;
    for (const test::Frame& frame : reader.frames()) payloads.push_back(frame.payload);
    return payloads;
  }

  Role sender;
  base::ChunkPool pool{};
  std::deque<std::string> lent{};
  Outbound out{pool};
};

using Strings = std::vector<std::string>;

TEST(EngineOutbound, FramesSideBySideAreOnePiece) {
  Queue queue;
  queue.frames({"one", "two"});
  EXPECT_EQ(queue.out.output().size(), 1u);
  queue.copy("three");
  queue.copy("four");
  EXPECT_EQ(queue.out.output().size(), 2u);
  EXPECT_EQ(queue.read_all(), (Strings{"one", "two", "three", "four"}));
  EXPECT_TRUE(queue.out.output().empty());
}

TEST(EngineOutbound, ControlFramesKeepTheirOrder) {
  Queue queue;
  queue.copy("message");
  queue.control(frame::Opcode::ping, "1");
  queue.control(frame::Opcode::pong, "2");
  queue.copy("behind");
  queue.control(frame::Opcode::ping, "3");
  EXPECT_TRUE(queue.out.has_pings());
  EXPECT_EQ(queue.read_all(), (Strings{"1", "2", "3", "message", "behind"}));
  EXPECT_FALSE(queue.out.has_pings());
}

TEST(EngineOutbound, Rfc6455_4_2_2_FramesWaitBehindHttp) {
  for (const std::size_t written : {0u, 2u, 6u, 9u}) {
    Queue queue;
    queue.out.append_bytes(bytes_of("head\n"));
    queue.out.append_body(std::make_shared<const std::string>("body\n"));
    queue.out.append_bytes(bytes_of("101\n"));
    std::string all = queue.write(written);
    queue.control(frame::Opcode::ping, "p");
    queue.copy("message");
    EXPECT_TRUE(queue.out.is_consistent());
    all += queue.write();
    EXPECT_EQ(all, "head\nbody\n101\n" +
                       test::wire(Role::server, {test::ping("p"), test::text("message")}));
  }
}

// The descriptor is only a number here: the queue opens and reads nothing.
TEST(EngineOutbound, TellsWhichPartOfTheOutputLiesInAFile) {
  constexpr int descriptor = 7;
  const std::string body = "0123456789";
  for (std::size_t written = 0; written < 5 + body.size(); ++written) {
    SCOPED_TRACE(written);
    Queue queue;
    queue.out.append_bytes(bytes_of("head\n"));
    EXPECT_LT(queue.out.output_file().descriptor, 0);
    queue.out.append_body(std::make_shared<const std::string>(body), descriptor);
    queue.out.append_bytes(bytes_of("next\n"));
    std::string all = queue.write(written);
    const OutputFile file = queue.out.output_file();
    const std::size_t of_body = written - std::min<std::size_t>(written, 5);
    EXPECT_EQ(file.descriptor, descriptor);
    EXPECT_EQ(file.before, 5 - std::min<std::size_t>(written, 5));
    EXPECT_EQ(file.offset, of_body);
    EXPECT_EQ(file.bytes, body.size() - of_body);
    queue.out.output();
    all += queue.write(file.before + file.bytes);
    EXPECT_LT(queue.out.output_file().descriptor, 0) << "the file is written";
    EXPECT_EQ(all + queue.write(), "head\n" + body + "next\n");
  }
}

TEST(EngineOutbound, TheNewestControlReplacesTheLastOfItsKind) {
  Queue queue;
  Strings expected;
  for (std::size_t i = 0; i < Outbound::max_pongs + 5; ++i) {
    queue.control(frame::Opcode::pong, "pong " + std::to_string(i));
    if (i + 1 < Outbound::max_pongs) expected.push_back("pong " + std::to_string(i));
    if (i == 3) queue.control(frame::Opcode::ping, "ping");
    if (i == 3) expected.push_back("ping");
    EXPECT_TRUE(queue.out.is_consistent());
  }
  expected.push_back("pong " + std::to_string(Outbound::max_pongs + 4));
  EXPECT_EQ(queue.read_all(), expected);
}

TEST(EngineOutbound, TheEmergencyFrameNeedsNoMemory) {
  for (std::size_t pieces = 0; pieces < 40; ++pieces) {
    Queue queue;
    const auto body = std::make_shared<const std::string>("page\n");
    for (std::size_t i = 0; i < pieces; ++i) queue.out.append_body(body);
    queue.copy("dropped");
    queue.control(frame::Opcode::ping, "dropped");
    queue.out.append_emergency(bytes_of("emergency"));
    EXPECT_TRUE(queue.out.is_consistent());
    const std::string all = queue.write();
    EXPECT_EQ(all.size(), 5 * pieces + 9);
    EXPECT_TRUE(all.ends_with("emergency"));
  }
}

TEST(EngineOutbound, DroppingKeepsThePieceThatIsBegun) {
  Queue queue;
  queue.borrow(std::string(5'000, 'a'));
  queue.copy("dropped");
  std::string all = queue.write(1);
  queue.control(frame::Opcode::ping, "dropped");
  queue.out.drop_unstarted();
  EXPECT_TRUE(queue.out.is_consistent());
  all += queue.write();
  EXPECT_EQ(all, test::wire(Role::server, {test::text(std::string(5'000, 'a'))}));
  EXPECT_TRUE(queue.out.empty());
}

// ---- random calls

/// Calls random functions, and remembers which messages have to leave.
class RandomCalls {
 public:
  RandomCalls(Role role, unsigned seed) : queue_(role), reader_(role), random_(seed) {}

  void run(int calls) {
    for (int i = 0; i < calls && !testing::Test::HasFailure(); ++i) {
      call();
      ASSERT_TRUE(queue_.out.is_consistent()) << "after call " << i;
      ASSERT_LE(queue_.out.output().size(), Outbound::max_iovecs);
    }
    drain();
  }

 private:
  std::string next_payload(std::size_t least, std::size_t more) {
    std::string payload = std::to_string(number_++) + ' ';
    payload.append(least + random_() % more, 'p');
    expected_.push_back(payload);
    return payload;
  }

  void call() {
    const unsigned which = random_() % 16;
    if (which < 4) return queue_.copy(next_payload(0, 300));
    if (which < 6) return control();
    if (which < 9) return write(random_() % (which == 6 ? 20 : 20'000));
    if (which < 10) return queue_.settle();
    if (which < 11 && random_() % 20 == 0) return drop();
    if (queue_.sender == Role::client) return queue_.copy(next_payload(4'000, 20'000));
    if (which < 12) return queue_.borrow(next_payload(4'096, 5'000));
    if (which < 13) return queue_.chunk(next_payload(4'096, 5'000));
    if (which < 14) return shared();
    Strings frames;
    for (std::size_t i = random_() % 5 + 1; i > 0; --i) frames.push_back(next_payload(0, 300));
    queue_.frames(frames);
  }

  void control() {
    const bool pong = random_() % 2 == 0;
    queue_.control(pong ? frame::Opcode::pong : frame::Opcode::ping, std::to_string(number_++));
  }

  void shared() {
    const SharedMessage message{std::string_view(next_payload(4'096, 5'000))};
    const std::string frame = test::wire(Role::server, {test::text(expected_.back())});
    const auto whole = std::as_bytes(std::span(message.message().text()));
    queue_.out.append_shared(message, {whole.data() - (frame.size() - whole.size()), frame.size()});
  }

  void write(std::size_t most) {
    const std::size_t queued = queue_.out.queued_bytes();
    const std::string written = queue_.write(most);
    ASSERT_EQ(queue_.out.queued_bytes(), queued - written.size());
    read(written);
  }

  void drop() {
    queue_.out.drop_unstarted();
    drain();
    expected_.clear();
  }

  void drain() {
    while (!queue_.out.empty()) read(queue_.write());
  }

  // Messages leave in order and whole; controls leave in order.
  void read(const std::string& written) {
    reader_.feed(written);
    ASSERT_EQ(reader_.fault(), "");
    for (const test::Frame& frame : reader_.frames()) {
      if (frame.opcode == 1) {
        ASSERT_FALSE(expected_.empty());
        ASSERT_EQ(frame.payload, expected_.front());
        expected_.pop_front();
      } else {
        ASSERT_GT(std::stol(frame.payload), last_control_);
        last_control_ = std::stol(frame.payload);
      }
    }
    reader_.forget();
  }

  Queue queue_;
  FrameReader reader_;
  std::mt19937 random_;
  std::deque<std::string> expected_{};
  long number_ = 0;
  long last_control_ = -1;
};

TEST(EngineOutbound, AnyCallsKeepItConsistentAndInOrder) {
  for (const Role role : {Role::server, Role::client}) {
    for (unsigned seed = 0; seed < 30; ++seed) {
      SCOPED_TRACE(seed);
      RandomCalls(role, seed).run(slow_build ? 150 : 1'000);
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace tern::engine
