// The part of HTTP that WebSocket needs: a received request or response as views, and a response to
// send.
#pragma once

#include "tern/behind_proxy.h"
#include "tern/unique_function.h"

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern {

namespace http {
class BodySource;
}

/// One header field as received. The value has no white space around it (RFC 9112 §5).
struct HeaderField {
  std::string_view name{};
  std::string_view value{};
};

/// A parameter of a route's path, as {room} in "/rooms/{room}". The value is as received, so it is
/// percent-encoded.
struct PathParameter {
  std::string_view name{};
  std::string_view value{};
};

/// A received request. Copies are views of the same bytes. Lifetime: in a handler until
/// the handler returns; from Upgrade::request() until the upgrade is answered.
class Request {
 public:
  /// The parts of a Request, for the engine and for tests of handlers.
  struct Parts {
    std::string_view method{};
    std::string_view target{};  ///< origin form: "/chat?room=7"; for OPTIONS also "*"
    std::span<const HeaderField> fields{};
    std::string_view remote_address{};
    std::string_view client_subject{};
    std::string_view body{};
    int minor_version = 1;
    std::span<const PathParameter> parameters{};  ///< of the route's path
    std::string_view host{};          ///< as a trusted proxy tells it; empty: that of Host
    std::string_view peer_address{};  ///< of the last proxy; empty: remote_address
    const ProxyHeader* proxy_header = nullptr;
    bool secure = false;
  };

  Request() noexcept = default;
  explicit Request(const Parts& parts) noexcept : parts_(parts) {}

  /// The method as received: "GET", "HEAD" … (RFC 9110 §9).
  std::string_view method() const noexcept { return parts_.method; }
  /// Path and query as received; for OPTIONS also "*". If the request had the absolute form ("GET
  /// http://host/path"), its host stands in the Host field. RFC 9112 §3.2.1, §3.2.2.
  std::string_view target() const noexcept { return parts_.target; }
  /// The target up to '?' as received; it is not percent-decoded.
  std::string_view path() const noexcept;
  /// The percent-decoded value of a parameter of the route's path: "a b" for {name} if the segment
  /// is "a%20b". "%2F" becomes '/', "%00" a NUL, and '+' stays. Empty if the path of the route has
  /// no such parameter. Throws std::bad_alloc.
  std::string parameter(std::string_view name) const;
  /// All parameters of the route's path, as received.
  std::span<const PathParameter> parameters() const noexcept { return parts_.parameters; }
  /// The percent-decoded value of the first query parameter of this name; '+' becomes a space.
  /// Empty if it is absent. Throws std::bad_alloc.
  std::string query(std::string_view name) const;
  /// The value of a cookie without quotes around it; empty if it is absent. RFC 6265 §5.4.
  std::string_view cookie(std::string_view name) const noexcept;
  /// The value of the first field of this name, in any case; empty if it is absent.
  std::string_view header(std::string_view name) const noexcept;
  /// Whether there is a field of this name, in any case.
  bool has_header(std::string_view name) const noexcept;
  /// All fields in the order in which they were received.
  std::span<const HeaderField> headers() const noexcept { return parts_.fields; }
  /// The address of the client, e.g. "192.0.2.7:51234" or "[2001:db8::7]:51234"; empty if there is
  /// no socket. Behind a trusted proxy (ServerOptions::trusted_proxies, proxy_protocol) the proxy
  /// tells it: then it may have no port ("192.0.2.7", "2001:db8::7"), or be "unix:" and a path, or
  /// the name behind which the proxy hides its client ("unknown", "_a1").
  std::string_view remote_address() const noexcept { return parts_.remote_address; }
  /// The address of the machine that is connected: of the last proxy, or of the client if there is
  /// none. Empty if there is no socket.
  std::string_view peer_address() const noexcept {
    return parts_.peer_address.empty() ? parts_.remote_address : parts_.peer_address;
  }
  /// The host that the client named, with its port unless that is the default: "example.org:8443".
  /// It is that of Host, or the one that a trusted proxy tells. The origin rule uses it.
  std::string_view host() const noexcept {
    return parts_.host.empty() ? header("Host") : parts_.host;
  }
  /// Returns whether the client uses TLS: with this server, or as a trusted proxy tells.
  bool is_secure() const noexcept { return parts_.secure; }
  /// The contents of the PROXY header of this connection; null if there was none.
  const ProxyHeader* proxy_header() const noexcept { return parts_.proxy_header; }
  /// The subject of the client's verified certificate, e.g. "CN=alice,O=Example" (RFC 4514); empty
  /// if none was requested or sent. See TlsServer::client_certificates.
  std::string_view client_subject() const noexcept { return parts_.client_subject; }
  /// The body without its framing; empty if there is none. It is complete, because a handler is
  /// called after its last byte, and has at most Limits::max_body_bytes. Its trailers are dropped.
  /// RFC 9110 §6.4.
  std::string_view body() const noexcept { return parts_.body; }
  /// The minor version of HTTP: 1 for "HTTP/1.1", 0 for "HTTP/1.0".
  int minor_version() const noexcept { return parts_.minor_version; }
  /// The parts, as views of the same bytes.
  const Parts& parts() const noexcept { return parts_; }

 private:
  Parts parts_{};
};

/// The head of a received response. Lifetime: see the function of Engine or Error that returns it.
struct ResponseHead {
  int status = 0;             ///< 101, 404 …; 0 if none was received
  std::string_view reason{};  ///< the phrase after the status
  std::span<const HeaderField> fields{};
  int minor_version = 1;  ///< 1 for "HTTP/1.1"

  /// The value of the first field of this name, in any case; empty if it is absent.
  std::string_view header(std::string_view name) const noexcept;
};

/// The request of a client in its opening handshake. Owns its strings. RFC 6455 §4.1.
struct ClientRequest {
  std::string host{};                    ///< the Host field: "example.org" or "example.org:9001"
  std::string target = "/";              ///< path and query, percent-encoded
  std::vector<std::string> protocols{};  ///< subprotocols to offer, the preferred one first
  /// Fields to add, e.g. Origin, Authorization, Cookie. Fields that tern writes itself are refused.
  std::vector<std::pair<std::string, std::string>> headers{};
  /// The time until the server's 101, instead of Timeouts::handshake.
  std::optional<std::chrono::nanoseconds> timeout{};
};

/// A response that a handler returns. Owns its strings. These fields are refused, because tern
/// writes them itself: Connection, Content-Length, Transfer-Encoding, Upgrade, Sec-WebSocket-*.
/// Also refused are a name that is not a token and a value with a control character. If a field is
/// refused, nothing of the response is sent: the peer receives 500, and the log gets
/// Errc::invalid_header.
class Response {
 public:
  /// A response of this status with a line of text; by default the phrase of the status. 204 and
  /// 304 have no text (RFC 9110 §6.4.1). A status outside of 200-599 becomes 500.
  static Response status(int code, std::string text = {});
  /// 200 text/plain.
  static Response text(std::string body);
  /// 200 text/html.
  static Response html(std::string body);
  /// 200 application/json.
  static Response json(std::string text);
  /// 200 with a body of any type, e.g. "image/png".
  static Response body(std::string bytes, std::string content_type);
  /// 200 with a body that is shared and not copied, for fixed pages.
  static Response shared(std::shared_ptr<const std::string> body, std::string content_type);
  /// 200 with a body that is made while the peer takes it, for long answers. `next` returns the
  /// next piece; nothing ends the body. It is called when at most 64 KiB wait to be written, or
  /// Limits::low_water_bytes if that is less. It must not wait. A piece that is empty is skipped.
  /// HTTP/1.1 has the body in chunks, for HTTP/1.0 the end of the connection ends it. HEAD does not
  /// call `next`. If `next` throws, that is logged, and the connection ends in a way that shows the
  /// peer that the body is not complete.
  /// Lifetime: `next` is destroyed at the end of the body or with the connection. Copies of the
  /// Response share it. Thread: the connection's loop. RFC 9112 §6.3, §7.1.
  static Response stream(std::string content_type,
                         UniqueFunction<std::optional<std::string>()> next);

  /// Sends the client to another location: a path of this server, or a URL, percent-encoded. The
  /// code is 301 or 308 if the location changed for good, 302 or 307 if not (307 and 308 keep the
  /// method), and 303 after a POST, so that the client requests the location by GET. Another code,
  /// or a location that is empty or has other characters than visible ASCII, makes it a 500 whose
  /// text names the mistake. RFC 9110 §15.4, RFC 3986 §2.
  static Response redirect(std::string location, int code = 302);

  /// Adds a field. A field that may occur only once (Content-Type, Location, ETag …) replaces the
  /// field of its name. Calls can be chained: `return Response::status(503).header("Retry-After",
  /// "2");`
  Response& header(std::string name, std::string value) &;
  Response header(std::string name, std::string value) &&;

  /// The status, e.g. 200.
  int code() const noexcept { return code_; }
  /// The body; empty if there is none or if it is a stream. Lifetime of the view: shared_body().
  std::string_view body() const noexcept { return body_ ? std::string_view(*body_) : ""; }
  /// The shared body; null if there is none.
  const std::shared_ptr<const std::string>& shared_body() const noexcept { return body_; }
  /// For the library: a response with a body that is read while the peer takes it.
  static Response pulled(int code, std::shared_ptr<http::BodySource> source);
  /// For the library: where the body is read from; null if the body is in memory.
  const std::shared_ptr<http::BodySource>& source() const noexcept { return source_; }
  /// For the library: a file that has the bytes of the shared body and never changes. Lifetime:
  /// that of the shared body, which owns it. -1: there is none.
  int body_file() const noexcept { return body_file_; }
  void set_shared_body(std::shared_ptr<const std::string> body, int file) noexcept {
    body_ = std::move(body);
    body_file_ = file;
  }
  /// The fields so far. Content-Type is the first if there is one.
  const std::vector<std::pair<std::string, std::string>>& fields() const noexcept {
    return fields_;
  }

 private:
  int code_ = 200;
  int body_file_ = -1;
  std::shared_ptr<const std::string> body_{};
  std::shared_ptr<http::BodySource> source_{};
  std::vector<std::pair<std::string, std::string>> fields_{};
};

}  // namespace tern
