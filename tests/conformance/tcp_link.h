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
  bool write(std::string_view bytes) override;
  Read read(std::chrono::milliseconds limit) override;
  void finish() override;

 protected:
  explicit TcpLink(Role subject) : subject_(subject) {}
  /// Takes the socket over, and makes it non-blocking and without Nagle.
  void adopt(test::Socket socket);
  int fd() const { return socket_->fd(); }
  /// Reads up to the blank line, inclusive. Bytes behind it wait for read().
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
  /// `id` is the number of a case of compression, or empty.
  explicit ServerLink(std::uint16_t port, std::string_view id = {});
};

/// A server that one echo_back connects to.
class ClientLink : public TcpLink {
 public:
  /// `id` as above.
  explicit ClientLink(const std::vector<std::string>& flags, std::string_view id = {});
  ~ClientLink() override;

  /// The exit code of the program: 0 if it reports a clean end.
  int exit_code();

 private:
  test::Listener listener_{};
  std::optional<test::Process> process_{};
};

}  // namespace tern::conformance
