// Two TLS ends in memory, without sockets. A test decides how many bytes each call of a transport
// moves, and which call fails.
#pragma once

#include "tern/tls.h"

#include "net/transport.h"
#include "support/certificates.h"
#include "support/made_ssl.h"
#include "tls/context.h"
#include "tls/transport.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace tern::test {

/// The bytes in one direction.
struct Wire {
  std::string bytes{};
  bool ended = false;
};

/// The limits and counters that both ends of a pair share.
struct WireRules {
  static constexpr std::size_t all = static_cast<std::size_t>(-1);

  std::size_t read_at_most = all;   ///< the limit of one read
  std::size_t write_at_most = all;  ///< the limit of one write
  std::size_t capacity = all;       ///< the limit of bytes in one direction
  std::error_code write_error{};    ///< if set, each write fails with it
  std::size_t fail_at =
      0;  ///< this call and all later calls on the same end fail; 0: no call fails
  std::size_t calls = 0;
  std::size_t reads = 0;
  std::size_t writes = 0;
  std::size_t bytes = 0;  // the bytes that reads and writes have moved
};

/// A transport in memory.
class WireEnd final : public net::Transport {
 public:
  WireEnd(Wire& in, Wire& out, WireRules& rules) : in_(in), out_(out), rules_(rules) {}

  Transfer read(std::span<const iovec> into) noexcept override {
    if (fails()) return failure();
    ++rules_.reads;
    if (in_.bytes.empty()) return {.state = in_.ended ? State::end : State::wait_read};
    const std::size_t size = std::min({in_.bytes.size(), into[0].iov_len, rules_.read_at_most});
    std::memcpy(into[0].iov_base, in_.bytes.data(), size);
    in_.bytes.erase(0, size);
    rules_.bytes += size;
    return {.bytes = size};
  }
  Transfer write(std::span<const iovec> from) noexcept override {
    if (fails()) return failure();
    if (rules_.write_error) return {.error = rules_.write_error, .state = State::failed};
    ++rules_.writes;
    const std::size_t room = rules_.capacity - std::min(rules_.capacity, out_.bytes.size());
    const std::size_t size = std::min({from[0].iov_len, room, rules_.write_at_most});
    if (size == 0) return {.state = State::wait_write};
    out_.bytes.append(static_cast<const char*>(from[0].iov_base), size);
    rules_.bytes += size;
    return {.bytes = size};
  }
  int fd() const noexcept override { return -1; }
  void shutdown_write() noexcept override { out_.ended = true; }

 private:
  bool fails() noexcept {
    if (++rules_.calls == rules_.fail_at) broken_ = true;
    return broken_;
  }
  static Transfer failure() noexcept {
    return {.error = std::make_error_code(std::errc::io_error), .state = State::failed};
  }

  Wire& in_;
  Wire& out_;
  WireRules& rules_;
  bool broken_ = false;
};

/// One end: the bytes to write, the bytes that it has read, and how it ended.
struct TlsEnd {
  std::unique_ptr<tls::TlsTransport> tls{};
  SSL* ssl = nullptr;  ///< the object inside `tls`
  std::string to_write{};
  std::string got{};
  net::Transport::Transfer last{};  ///< the last result of a read: ok, end or failed
  std::error_code write_error{};
  std::size_t room = 64 << 10;  ///< the room of one read

  /// Whether the session was resumed. Valid when the handshake is done.
  bool resumed() const { return SSL_session_reused(ssl) == 1; }
  bool over() const { return last.state != net::Transport::State::ok; }

  /// Reads all bytes that have arrived, and writes as many as possible.
  void turn() {
    using State = net::Transport::State;
    std::string buffer(room, '\0');
    while (!over()) {
      const iovec into{buffer.data(), buffer.size()};
      const auto read = tls->read({&into, 1});
      if (read.state == State::end || read.state == State::failed) last = read;
      if (read.state != State::ok) break;
      got.append(buffer, 0, read.bytes);
      if (!read.more && read.bytes < room) break;
    }
    while (!write_error && (!to_write.empty() || tls->has_unsent())) {
      const iovec from{to_write.data(), to_write.size()};
      const auto put = to_write.empty() ? tls->flush() : tls->write({&from, 1});
      if (put.state == State::failed) write_error = put.error;
      if (put.state != State::ok) break;
      to_write.erase(0, put.bytes);
    }
  }
};

/// A connected client and server of localhost.
struct TlsPair {
  WireRules rules{};
  Wire to_server{};
  Wire to_client{};
  tls::Scratch scratch{};
  TlsEnd client{};
  TlsEnd server{};

  TlsPair(const TlsServer& server_options, const TlsClient& client_options,
          const std::string& name = "localhost") {
    auto server_context = tls::ServerContext::load(server_options);
    auto client_context = client_options.memory
                              ? client_options.memory->contexts().get(client_options)
                              : tls::ClientContext::load(client_options);
    EXPECT_TRUE(server_context) << server_context.error().message();
    EXPECT_TRUE(client_context) << client_context.error().message();
    connect(*std::move(server_context), *std::move(client_context), name);
  }
  TlsPair(std::shared_ptr<tls::ServerContext> server_context,
          std::shared_ptr<tls::ClientContext> client_context,
          const std::string& name = "localhost") {
    connect(std::move(server_context), std::move(client_context), name);
  }

  void only_version(int version) {
    SSL_set_min_proto_version(client.ssl, version);
    SSL_set_max_proto_version(client.ssl, version);
  }

  /// Both ends take turns until nothing moves any more.
  void run() {
    std::size_t before;
    do {
      before = rules.bytes;
      client.turn();
      server.turn();
    } while (rules.bytes != before);
  }

  /// The client's first write carries the handshake.
  void shake_hands() {
    client.to_write = "hello";
    run();
    EXPECT_EQ(server.got, "hello") << client.tls->explanation() << server.tls->explanation();
    server.got.clear();
  }

 private:
  void connect(std::shared_ptr<tls::ServerContext> server_context,
               std::shared_ptr<tls::ClientContext> client_context, const std::string& name) {
    last_made_ssl();
    client.tls = tls::TlsTransport::client(std::make_unique<WireEnd>(to_client, to_server, rules),
                                           std::move(client_context), name, 443, scratch);
    client.ssl = last_made_ssl();
    server.tls = tls::TlsTransport::server(std::make_unique<WireEnd>(to_server, to_client, rules),
                                           std::move(server_context), scratch);
    server.ssl = last_made_ssl();
  }
};

inline TlsServer server_of(const Identity& identity) {
  return {.certificate_pem = identity.certificate(), .private_key_pem = identity.key()};
}
inline TlsClient trusting(const Identity& ca) { return {.ca_pem = ca.certificate()}; }

}  // namespace tern::test
