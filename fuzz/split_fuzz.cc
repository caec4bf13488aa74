// Checks that an engine reports the same events, echoes the same messages and ends the same way,
// however its input is cut into reads and wherever its driver stops and stashes. With the flag 4 a
// server takes bodies and answers pages, so that each part of a request is cut. Input: one byte of
// flags, one byte that is the seed of the cuts, then the bytes of the peer.
//
// Subject: src/frame/header.cc
#include "support/engine_peer.h"

#include <random>

namespace {

using tern::Role;
using tern::test::Peer;
using tern::test::require;

struct Outcome {
  Peer::Strings events{};
  Peer::Strings data{};      // echoes and the Close frame
  Peer::Strings controls{};  // pongs, compared separately because they may overtake echoes
  std::string head{};
  tern::test::Ending ending{};

  bool operator==(const Outcome&) const = default;
};

// Takes the body of each request that has one, and answers each request but an upgrade.
void serve_pages(Peer& peer) {
  peer.reads_bodies = true;
  peer.on_event = [&peer](tern::Event event) {
    const bool whole = event.kind() == tern::Event::Kind::body ||
                       (event.kind() == tern::Event::Kind::request &&
                        !peer.engine().has_unread_body() && peer.engine().upgrade_error());
    if (whole) peer.engine().respond(tern::Response::text("page"));
  };
}

// Whether the client is told to go on depends on the cuts: only while none of the body is there.
void remove_interim(std::string& head) {
  constexpr std::string_view interim = "HTTP/1.1 100 Continue\r\n\r\n";
  for (std::size_t at; (at = head.find(interim)) != head.npos;) head.erase(at, interim.size());
}

Outcome run(Role role, bool handshake, bool pages, std::string_view bytes, unsigned seed) {
  const auto start = handshake ? tern::test::Start::handshake : tern::test::Start::established;
  Peer peer(role, {.limits = {.max_message_bytes = 10'000, .max_fragments = 20}}, start);
  std::mt19937 random(seed);
  peer.stash_every = seed % 4;
  if (pages && role == Role::server) serve_pages(peer);
  std::string all(bytes);
  if (role == Role::client && handshake) all.insert(0, tern::test::upgrade_answer(peer.head()));
  const std::string request = role == Role::client ? peer.head() : "";
  for (std::size_t at = 0; at < all.size();) {
    // Seed 0 gives one read. Odd seeds give reads of 1 to 3 bytes, other seeds of 1 to 400.
    const std::size_t most = seed == 0 ? all.size() : seed % 2 == 1 ? 3 : 400;
    const std::size_t size = std::min<std::size_t>(1 + random() % most, all.size() - at);
    peer.receive(std::string_view(all).substr(at, seed == 0 ? all.size() : size));
    at += seed == 0 ? all.size() : size;
  }
  peer.receive_eof();
  Outcome outcome{.events = peer.events()};
  for (std::string& frame : peer.frames()) {
    const bool control = frame.starts_with("pong");
    (control ? outcome.controls : outcome.data).push_back(std::move(frame));
  }
  outcome.head = peer.head().substr(request.size());
  remove_interim(outcome.head);
  require(peer.dead() && peer.saw_closed(), "the engine does not end");
  outcome.ending = peer.ending();
  // The engine merges pongs if more than 32 wait, and the cuts decide how many wait.
  const auto pings =
      std::count_if(outcome.events.begin(), outcome.events.end(),
                    [](const std::string& event) { return event.starts_with("ping"); });
  if (pings > 32) outcome.controls.clear();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  size = std::min<std::size_t>(size, 1000);  // each byte may cost a turn
  const Role role = (data[0] & 1) != 0 ? Role::server : Role::client;
  const bool handshake = (data[0] & 2) != 0;
  const bool pages = (data[0] & 4) != 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Outcome whole = run(role, handshake, pages, bytes, 0);
  require(whole == run(role, handshake, pages, bytes, 1 + data[1] * 2u), "cuts change the outcome");
  require(whole == run(role, handshake, pages, bytes, 2 + data[1] * 2u), "cuts change the outcome");
  return 0;
}
