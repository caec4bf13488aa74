// tern's programs as the subject, over TCP on loopback.
#pragma once

#include "conformance/link.h"
#include "support/process.h"
#include "support/socket_peer.h"

#include <optional>

namespace tern::conformance {

/// A connected socket that reads while it writes, so that neither side can block the other.
class TcpLink : public Link {
 public:
  Role subject() const override { return subject_; }
  bool write(std::string_view octets) override;
  Read read(std::chrono::milliseconds limit) override;
  void finish() override;

 protected:
  explicit TcpLink(Role subject) : subject_(subject) {}
  /// Takes the socket over: no blocking, no Nagle.
  void adopt(test::Socket socket);
  int fd() const { return socket_->fd(); }
  /// Up to and with the blank line; what is behind it stays for read().
  std::string read_head();

 private:
  void take_what_is_there();

  Role subject_;
  std::optional<test::Socket> socket_{};
  std::string in_{};
  std::optional<Read::State> end_{};
};

/// A client of echo_server.
class ServerLink : public TcpLink {
 public:
  /// `id` is of a case that is about compression, or empty.
  explicit ServerLink(std::uint16_t port, std::string_view id = {});
};

/// A server that one echo_back connects to.
class ClientLink : public TcpLink {
 public:
  /// `id` as above.
  explicit ClientLink(const std::vector<std::string>& flags, std::string_view id = {});
  ~ClientLink() override;

  /// How the program ended: 0 if it calls the end clean.
  int exit_code();

 private:
  test::Listener listener_{};
  std::optional<test::Process> process_{};
};

}  // namespace tern::conformance
