// However the input of an engine is cut into reads, and wherever its driver stops and stashes, the
// same events come, the same messages are echoed, and it ends the same way. Input: one octet of
// flags, one that seeds the cuts, then what the peer sends.
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
  Peer::Strings controls{};  // pongs may overtake echoes, so they are compared apart
  std::string head{};
  tern::test::Ending ending{};

  bool operator==(const Outcome&) const = default;
};

Outcome run(Role role, bool handshake, std::string_view octets, unsigned seed) {
  const auto start = handshake ? tern::test::Start::handshake : tern::test::Start::established;
  Peer peer(role, {.limits = {.max_message_bytes = 10'000, .max_fragments = 20}}, start);
  std::mt19937 random(seed);
  peer.stash_every = seed % 4;
  std::string all(octets);
  if (role == Role::client && handshake) all.insert(0, tern::test::upgrade_answer(peer.head()));
  const std::string request = role == Role::client ? peer.head() : "";
  for (std::size_t at = 0; at < all.size();) {
    // Seed 0: in one read. Odd seeds: mostly octet-wise.
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
  require(peer.dead() && peer.told_closed(), "does not end");
  outcome.ending = peer.ending();
  // More than 32 pongs that wait are merged: how many wait depends on the cuts.
  const auto pings =
      std::count_if(outcome.events.begin(), outcome.events.end(),
                    [](const std::string& event) { return event.starts_with("ping"); });
  if (pings > 32) outcome.controls.clear();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  size = std::min<std::size_t>(size, 1000);  // each octet may cost a turn
  const Role role = (data[0] & 1) != 0 ? Role::server : Role::client;
  const bool handshake = (data[0] & 2) != 0;
  const std::string_view octets(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Outcome whole = run(role, handshake, octets, 0);
  require(whole == run(role, handshake, octets, 1 + data[1] * 2u), "cuts change the outcome");
  require(whole == run(role, handshake, octets, 2 + data[1] * 2u), "cuts change the outcome");
  return 0;
}
