// The data that the transports of a server, or the dials of a client, share: certificates and
// trust.
#pragma once

#include "tern/error.h"
#include "tern/tls.h"

#include "tls/openssl.h"

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tern::tls {

/// The calls of a transport to its context. Thread: any.
class Context {
 public:
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  virtual ~Context() = default;

  /// Checks the peer when the handshake is done. Returns the reason to refuse it, or nothing.
  /// Throws std::bad_alloc.
  virtual std::string object_to(SSL& ssl) const = 0;
  /// Takes a session that can be resumed later. Returns true if it took over the ownership.
  virtual bool keep_session(const std::string& name, SSL_SESSION* session) noexcept = 0;

 protected:
  Context() = default;
};

/// A server's certificates. It does not change after load(). Lifetime: its transports keep it
/// alive.
class ServerContext final : public Context {
 public:
  /// Reads and checks all certificates, keys and CAs. Errors: those of reading a file,
  /// tls_options_invalid. Throws std::bad_alloc.
  static Result<std::shared_ptr<ServerContext>> load(const TlsServer& options);

  /// Returns a server's end of a new connection; null if memory is out.
  Ssl make() const noexcept { return Ssl(SSL_new(by_name_.front().get())); }

  std::string object_to(SSL&) const override { return {}; }
  bool keep_session(const std::string&, SSL_SESSION*) noexcept override { return false; }

 private:
  static int choose_by_name(SSL* ssl, int* alert, void* context) noexcept;

  // The first one is also for a client that sends no name or an unknown name.
  std::vector<SslContext> by_name_{};
};

/// The certificates that a client trusts, and the sessions of servers that it has connected to.
class ClientContext final : public Context {
 public:
  /// Reads and checks all certificates and keys. Errors: like ServerContext::load(). Throws
  /// std::bad_alloc.
  static Result<std::shared_ptr<ClientContext>> load(const TlsClient& options);

  /// Returns a client's end of a new connection. It requests the server `name` and expects this
  /// name in the certificate. It resumes a session that is stored under `session_name`. Null if
  /// memory is out.
  Ssl make(const std::string& name, const std::string& session_name);

  std::string object_to(SSL& ssl) const override;
  bool keep_session(const std::string& name, SSL_SESSION* session) noexcept override;

 private:
  static constexpr std::size_t max_sessions = 256;

  SslContext context_{};
  std::vector<std::string> pins_{};  // SHA-256 in base64

  std::mutex mutex_{};
  std::unordered_map<std::string, Session> sessions_{};  // guarded by mutex_
};

/// The contents of a TlsMemory: one context for each set of options. Thread: any.
class ClientContexts {
 public:
  /// Returns the context for these options, and loads it if there is none yet. Errors: like
  /// ClientContext::load(). Throws std::bad_alloc.
  Result<std::shared_ptr<ClientContext>> get(const TlsClient& options);

 private:
  std::mutex mutex_{};
  std::unordered_map<std::string, std::shared_ptr<ClientContext>> contexts_{};
};

}  // namespace tern::tls
