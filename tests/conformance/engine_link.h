// tern::Engine as the subject: an echo without sockets.
#pragma once

#include "conformance/link.h"
#include "conformance/negotiation.h"
#include "support/engine_peer.h"

namespace tern::conformance {

/// Limits that no case exceeds. The largest cases are those of group 9: 16 MiB, or 65537 fragments.
inline EngineOptions bulk_options() {
  return {.limits = {.max_message_bytes = 16u << 20,
                     .max_fragments = 131'072,
                     .max_queued_bytes = 32u << 20}};
}

class EngineLink : public Link {
 public:
  /// Makes the handshake, and agrees on compression if the case tests that.
  explicit EngineLink(Role subject, EngineOptions options = bulk_options(),
                      std::string_view id = {})
      : peer_(subject, std::move(options), test::Start::handshake) {
    const std::string answered = "Sec-WebSocket-Extensions";
    const std::string value =
        subject == Role::server ? offer_of(id) : answer_of(id, test::field(peer_.head(), answered));
    peer_.upgrade(extension_line(value));
    agreed = subject == Role::server ? agreed_by(test::field(peer_.head(), answered), Role::client)
                                     : agreed_by(value, Role::server);
    given_ = peer_.head().size();
    test::require(peer_.engine().is_open(), "is not open");
  }

  Role subject() const override { return peer_.us; }
  bool write(std::string_view bytes) override {
    if (peer_.dead()) return false;
    peer_.receive(bytes, 512 << 10);
    return true;
  }
  Read read(std::chrono::milliseconds) override {
    peer_.frames();  // discards them, because the reader of the tester has its own
    peer_.events();
    if (given_ < peer_.written().size()) {
      Read read{Read::State::bytes, peer_.written().substr(given_)};
      given_ = peer_.written().size();
      return read;
    }
    return {peer_.dead() ? Read::State::fin : Read::State::nothing};
  }
  void finish() override {
    if (!peer_.dead()) peer_.receive_eof();
  }

 private:
  test::Peer peer_;
  std::size_t given_ = 0;
};

}  // namespace tern::conformance
