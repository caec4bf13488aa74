// Cases with input frames, output frames and the end, run in both roles and cut in every way.
#pragma once

#include "support/engine_peer.h"

#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

namespace tern::test {

struct EngineCase {
  const char* id;
  std::vector<Frame> sent;
  std::vector<std::string> written{};  // the frames that an echo writes, without its Close frame
  Errc error{};  // the cause if the engine fails the connection; none: it stays open
  EngineOptions options{};
  std::optional<DeflateAgreement> deflate{};  // if set, there is no run with a handshake
};

inline const char* name(Role role) { return role == Role::server ? "server" : "client"; }

/// The peer closes with 1000; the engine answers; a client waits for the server's FIN (§7.1.1).
inline void expect_orderly_end(Peer& peer) {
  peer.receive(closing(1000));
  EXPECT_EQ(peer.frames(), (std::vector<std::string>{"close 1000"}));
  EXPECT_EQ(peer.dead(), peer.us == Role::server);
  peer.receive_eof();
  EXPECT_TRUE(peer.dead());
  ASSERT_TRUE(peer.saw_closed());
  EXPECT_EQ(peer.ending(), (Ending{.code = 1000, .clean = true, .by_peer = true}));
}

/// The engine failed the connection (§7.1.7): its Close frame is the last frame and has the code
/// and reason of close_info().
inline void expect_failed(Peer& peer, std::vector<std::string> written, Errc error) {
  const int code = static_cast<int>(close_code(error));
  std::vector<std::string> frames = peer.frames();
  ASSERT_TRUE(peer.saw_closed());
  const std::string reason(close_reason(error));
  EXPECT_EQ(peer.ending(), (Ending{.code = code, .reason = reason, .error = error}));
  written.push_back(to_string(closing(code, reason)));
  EXPECT_EQ(frames, written);
  EXPECT_FALSE(peer.engine().is_open());
  EXPECT_FALSE(peer.engine().send(std::string_view("late")));
  // The rest of the input has no effect. TCP ends at the latest at its deadline.
  peer.receive(text("behind"));
  peer.receive_eof();
  EXPECT_TRUE(peer.dead());
  EXPECT_EQ(peer.frames(), std::vector<std::string>{});
}

inline void run_pieces(const EngineCase& row, Role role, const std::vector<std::string>& pieces,
                       std::size_t step = Peer::all, Start start = Start::established) {
  Peer peer(role, row.options, start, {.host = "example.org", .target = "/echo"},
            {.deflate = row.deflate});
  if (start == Start::handshake) peer.upgrade();
  for (const std::string& piece : pieces) peer.receive(piece, step);
  if (row.error != Errc{}) {
    expect_failed(peer, row.written, row.error);
  } else {
    EXPECT_EQ(peer.frames(), row.written);
    EXPECT_FALSE(peer.saw_closed());
    expect_orderly_end(peer);
  }
}

/// Feeds a case whole (also after a real handshake), frame by frame, byte by byte, and cut in two
/// at every byte.
inline void run_case(const EngineCase& row) {
  for (const Role role : {Role::server, Role::client}) {
    const Role sender = role == Role::server ? Role::client : Role::server;
    const std::string bytes = wire(sender, row.sent);
    SCOPED_TRACE(std::string(row.id) + ", engine is the " + name(role));
    if (!row.deflate) run_pieces(row, role, {bytes}, Peer::all, Start::handshake);
    run_pieces(row, role, {bytes});
    std::vector<std::string> each;
    for (const Frame& frame : row.sent) each.push_back(wire(sender, frame));
    run_pieces(row, role, each);
    run_pieces(row, role, {bytes}, 1);
    run_pieces(row, role, {bytes}, 997);
    // Long cases are cut around both ends, and at some places between.
    const std::size_t stride = bytes.size() > 1000 ? 4099 : 1;
    for (std::size_t cut = 1; cut < bytes.size();) {
      SCOPED_TRACE(cut);
      run_pieces(row, role, {bytes.substr(0, cut), bytes.substr(cut)});
      if (testing::Test::HasFailure()) return;
      const bool near_end = cut < 20 || bytes.size() - cut < 20;
      cut = near_end ? cut + 1 : std::min(cut + stride, std::max(bytes.size() - 19, cut + 1));
    }
  }
}

}  // namespace tern::test
