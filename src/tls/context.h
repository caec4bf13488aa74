// What the transports of a server, or the dials of a client, have in common: certificates, trust.
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

/// What a transport asks its context. Thread: any.
class Context {
 public:
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  virtual ~Context() = default;

  /// Looks at the peer once the handshake is done: why it does not pass, else empty. Throws
  /// std::bad_alloc.
  virtual std::string object_to(SSL& ssl) const = 0;
  /// A session that can be resumed was given. True when it was taken over.
  virtual bool keep_session(const std::string& name, SSL_SESSION* session) noexcept = 0;

 protected:
  Context() = default;
};

/// A server's certificates. Immutable once loaded; transports keep theirs alive.
class ServerContext final : public Context {
 public:
  /// Reads and checks everything. Errors: those of reading a file, tls_options_invalid. Throws
  /// std::bad_alloc.
  static Result<std::shared_ptr<ServerContext>> load(const TlsServer& options);

  /// A new server's end; null when memory is out.
  Ssl make() const noexcept { return Ssl(SSL_new(by_name_.front().get())); }

  std::string object_to(SSL&) const override { return {}; }
  bool keep_session(const std::string&, SSL_SESSION*) noexcept override { return false; }

 private:
  static int choose_by_name(SSL* ssl, int* alert, void* context) noexcept;

  std::vector<SslContext> by_name_{};  // the first is for who asks for no name or for another one
};

/// Whom a client trusts, and the sessions of servers it has spoken to.
class ClientContext final : public Context {
 public:
  /// Reads and checks everything. Errors: as of ServerContext. Throws std::bad_alloc.
  static Result<std::shared_ptr<ClientContext>> load(const TlsClient& options);

  /// A new client's end for this server: it will ask for `name` and expect it in the certificate.
  /// `session_name` says which sessions fit. Null when memory is out.
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

/// Behind TlsMemory: one context for each way to dial. Thread: any.
class ClientContexts {
 public:
  /// The context of options like these, loaded if there is none yet. Throws std::bad_alloc.
  Result<std::shared_ptr<ClientContext>> get(const TlsClient& options);

 private:
  std::mutex mutex_{};
  std::unordered_map<std::string, std::shared_ptr<ClientContext>> contexts_{};
};

}  // namespace tern::tls
