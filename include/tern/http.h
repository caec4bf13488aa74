// HTTP as far as WebSocket needs it: a received request or answer as views, and an answer to give.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern {

/// One header field as received; the value without the white space around it (RFC 9112 §5).
struct HeaderField {
  std::string_view name{};
  std::string_view value{};
};

/// A received request head. Copies are views of the same bytes.
/// Lifetime: in a handler until it returns; of Upgrade::request() until the upgrade is answered.
class Request {
 public:
  /// What a Request is made of; for the engine, and for tests of handlers.
  struct Parts {
    std::string_view method{};
    std::string_view target{};  ///< origin form: "/chat?room=7"; or "*" of OPTIONS
    std::span<const HeaderField> fields{};
    std::string_view remote_address{};
    std::string_view client_subject{};
    int minor_version = 1;
  };

  Request() noexcept = default;
  explicit Request(const Parts& parts) noexcept : parts_(parts) {}

  /// "GET", "HEAD" …, as received (RFC 9110 §9).
  std::string_view method() const noexcept { return parts_.method; }
  /// Path and query, as received (RFC 9112 §3.2.1); of OPTIONS also "*". If the request was in
  /// absolute form ("GET http://host/path"), its host is told as the Host field (§3.2.2).
  std::string_view target() const noexcept { return parts_.target; }
  /// The target up to '?', as received: not percent-decoded.
  std::string_view path() const noexcept;
  /// The percent-decoded value of the first query parameter of this name ('+' is a blank); empty
  /// when absent.
  std::string query(std::string_view name) const;
  /// The value of a cookie (RFC 6265 §5.4), without quotes around it; empty when absent.
  std::string_view cookie(std::string_view name) const noexcept;
  /// The first field of this name, in any case; empty when absent.
  std::string_view header(std::string_view name) const noexcept;
  /// Whether a field of this name, in any case, is there.
  bool has_header(std::string_view name) const noexcept;
  /// All fields in the order received.
  std::span<const HeaderField> headers() const noexcept { return parts_.fields; }
  /// The peer as "192.0.2.7:51234" or "[2001:db8::7]:51234"; empty where there is no socket.
  std::string_view remote_address() const noexcept { return parts_.remote_address; }
  /// The subject of the client's verified certificate, as "CN=alice,O=Example" (RFC 4514); empty
  /// where none was asked for or sent. See TlsServer::client_certificates.
  std::string_view client_subject() const noexcept { return parts_.client_subject; }
  /// 1 of "HTTP/1.1", 0 of "HTTP/1.0".
  int minor_version() const noexcept { return parts_.minor_version; }

 private:
  Parts parts_{};
};

/// A received answer head. Lifetime: as the Engine or Error that gave it says.
struct ResponseHead {
  int status = 0;             ///< 101, 404 …; 0 when none came
  std::string_view reason{};  ///< the phrase behind the status
  std::span<const HeaderField> fields{};
  int minor_version = 1;  ///< 1 of "HTTP/1.1"

  /// The first field of this name, in any case; empty when absent.
  std::string_view header(std::string_view name) const noexcept;
};

/// What a client asks for in its opening handshake (RFC 6455 §4.1). Owns its strings.
struct ClientRequest {
  std::string host{};                    ///< Host field: "example.org" or "example.org:9001"
  std::string target = "/";              ///< path and query, percent-encoded
  std::vector<std::string> protocols{};  ///< subprotocols offered, the preferred one first
  /// Fields added, e.g. Origin, Authorization, Cookie. Those that tern writes itself are refused.
  std::vector<std::pair<std::string, std::string>> headers{};
};

/// An answer that a handler gives; owns its strings. Fields that tern writes itself
/// (Connection, Content-Length, Transfer-Encoding, Upgrade, Sec-WebSocket-*) are refused:
/// such an answer becomes 500, with Errc::invalid_header for the log. So does a name that is no
/// token or a value with a control character: nothing of it is sent.
class Response {
 public:
  /// An answer of this status with a line of text, by default the status' own phrase. 204 and 304
  /// have no text (RFC 9110 §6.4.1); a status outside of 200-599 is answered as 500.
  static Response status(int code, std::string text = {});
  /// 200 text/plain.
  static Response text(std::string body);
  /// 200 text/html.
  static Response html(std::string body);
  /// 200 application/json.
  static Response json(std::string text);
  /// 200 with a body of any type, as "image/png".
  static Response body(std::string bytes, std::string content_type);
  /// 200 with a body that is shared, not copied: for fixed pages.
  static Response shared(std::shared_ptr<const std::string> body, std::string content_type);

  /// Adds a field. One that may stand only once (Content-Type, Location, ETag …) replaces the field
  /// of its name. Chains: `return Response::status(503).header("Retry-After", "2");`
  Response& header(std::string name, std::string value) &;
  Response&& header(std::string name, std::string value) &&;

  /// The status, e.g. 200.
  int code() const noexcept { return code_; }
  /// Lifetime of the view: shared_body().
  std::string_view body() const noexcept { return body_ ? std::string_view(*body_) : ""; }
  /// The body as it is kept; null when there is none.
  const std::shared_ptr<const std::string>& shared_body() const noexcept { return body_; }
  /// The fields so far, Content-Type first where there is one.
  const std::vector<std::pair<std::string, std::string>>& fields() const noexcept {
    return fields_;
  }

 private:
  int code_ = 200;
  std::shared_ptr<const std::string> body_{};
  std::vector<std::pair<std::string, std::string>> fields_{};
};

}  // namespace tern
